"""`python -m teleglas_sim`."""

from teleglas_sim.main import main

if __name__ == "__main__":
    main()
