"""The same as `kerastag inspect`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("inspect")
