"""The same as `kerastag leaderboard`; `--help` tells the rest."""

from kerastag.commands import run

if __name__ == "__main__":
    run("leaderboard")
