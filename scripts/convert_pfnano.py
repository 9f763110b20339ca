"""The same as `kerastag convert_pfnano`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("convert_pfnano")
