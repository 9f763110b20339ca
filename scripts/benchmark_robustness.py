"""The same as `kerastag benchmark_robustness`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("benchmark_robustness")
