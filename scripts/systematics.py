"""The same as `kerastag systematics`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("systematics")
