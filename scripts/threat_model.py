"""The same as `kerastag threat_model`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("threat_model")
