"""A few steps of each campaign; the long ones are run by hand, see kerastag/README.md."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.campaigns.mutants import CORPUS, ROOT, SETTINGS

CAMPAIGNS = Path(__file__).parent


def run(*command, **options) -> list[str]:
    """Lines that a campaign prints; nothing in it may fall short."""
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip().splitlines()


@pytest.mark.slow
def test_nothing_falls_short():
    lines = run("-m", "tests.campaigns.mutants", "--mutants", "14", "--seed", "10000")
    assert len(lines) == 7 and not [line for line in lines if "seed" in line]
    lines = run("-m", "tests.campaigns.kills", "--trials", "2", "--only", "train", "build")
    assert len([line for line in lines if line.endswith(": well")]) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("words", ("mutants.py --mutants 1 --only settings.toml", "kills.py --trials 1 --only convert"))
def test_a_campaign_started_by_its_file_finds_our_tests(tmp_path, words):
    """Another package has brought `tests` of its own."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").write_text("import common")
    name, *words = words.split()
    assert run(CAMPAIGNS / name, *words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)})


def test_mutants_that_fell_short_once_do_no_more():
    """Of the kills that did, a campaign tries the seeds first, which takes minutes."""
    entries = [path for path in CORPUS.glob("*-*") if path.is_dir()]
    if not entries:
        pytest.skip("none ever did")
    lines = run("-m", "tests.campaigns.mutants", "--mutants", "0")
    assert sum(int(part.split()[0]) for line in lines for part in line[14:].split(", ")) == len(entries)


# A reader that takes the original alone, and then the real one, which gives the numbers of any settings.
REPLAY = """
from pathlib import Path
from tests.campaigns import mutants

def broken(path):
    return {0: "numbers"}[path.read_text() != mutants.SETTINGS]

corpus, real = Path("corpus"), mutants.KINDS["settings.toml"]
mutants.KINDS["settings.toml"] = mutants.Kind(broken)
print([row[3] for row in mutants.campaign(Path("."), ["settings.toml"], 3, 5, corpus)])
print(list(mutants.replay(["settings.toml"], corpus)))
mutants.KINDS["settings.toml"] = real
print(sorted({row[3] for row in mutants.replay(["settings.toml"], corpus)} - {"equal", "refused"}))
print(list(mutants.replay(["root"], corpus)))
"""


def test_what_falls_short_is_kept_and_read_again(tmp_path):
    (tmp_path / "settings.toml").write_text(SETTINGS)
    first, again, mended, others = run("-c", REPLAY, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert first == "['failed', 'failed', 'failed']"
    assert again == str([("settings.toml", seed, "of the corpus", "failed", "KeyError: True") for seed in (5, 6, 7)])
    assert (mended, others) == ("[]", "[]")


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.campaigns import kills

process = kills.started("simulate --jets 1000000 --output {out}/jets.root", Path(), Path(sys.argv[1]))
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_campaign_that_is_killed_leaves_no_command_behind(tmp_path):
    campaign = subprocess.run([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert campaign.returncode == -signal.SIGKILL
    status, limit = Path(f"/proc/{int(campaign.stdout)}/status"), time.monotonic() + 30
    while is_running(status) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not is_running(status)


def is_running(status: Path) -> bool:
    """Whether a process is there, and has not ended without being asked for its exit code."""
    return status.exists() and "State:\tZ" not in status.read_text()
