"""`python -m teleglas_notification`."""

from teleglas_notification.main import main

if __name__ == "__main__":
    main()
