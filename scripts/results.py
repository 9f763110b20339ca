"""The same as `kerastag results`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("results")
