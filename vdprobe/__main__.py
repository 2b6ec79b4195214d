"""`python -m vdprobe`."""

from vdprobe.cli.main import main

if __name__ == "__main__":
    main()
