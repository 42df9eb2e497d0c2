"""`python -m teleglas_sim.botapi`."""

from teleglas_sim.botapi.main import main

if __name__ == "__main__":
    main()
