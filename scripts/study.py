"""The same as `kerastag study`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("study")
