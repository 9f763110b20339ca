"""`python -m kerastag NAME`, the same as `kerastag NAME`."""

from kerastag.commands import main

if __name__ == "__main__":
    main()
