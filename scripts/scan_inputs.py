"""The same as `kerastag scan_inputs`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("scan_inputs")
