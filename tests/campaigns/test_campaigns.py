"""A few steps of each campaign; the long ones are run by hand, see kerastag/README.md."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("words", ("mutants --mutants 70 --seed 10000", "kills --trials 4 --only train build convert simulate"))
def test_nothing_falls_short(words, tmp_path):
    command = [sys.executable, "-m", *f"tests.campaigns.{words}".split()]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.strip().splitlines()
    assert not [line for line in lines if "seed" in line and not line.endswith(": well")], result.stdout
    assert len(lines) >= 4
