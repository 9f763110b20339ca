"""What the commands run, a module each of the command's name, for use from Python as well.

import kerastag.backend  # noqa: F401  (before Keras is imported)
from pathlib import Path
from kerastag import runs
from kerastag.request import Sample

runs.evaluate(["saved_models/jet_flavor_nominal"], Sample("jet_flavor"), Path("comparison"))
"""

from kerastag.runs.architectures import architectures
from kerastag.runs.benchmark import benchmark
from kerastag.runs.benchmark_robustness import benchmark_robustness
from kerastag.runs.compare import compare
from kerastag.runs.evaluate import evaluate
from kerastag.runs.export import export
from kerastag.runs.leaderboard import Measurements, Words, enter, leaderboard, submit
from kerastag.runs.report import report
from kerastag.runs.scan_inputs import scan_inputs
from kerastag.runs.study import study
from kerastag.runs.systematics import systematics
from kerastag.runs.threat_model import threat_model
from kerastag.runs.train import train

__all__ = [
    "Measurements",
    "Words",
    "architectures",
    "benchmark",
    "benchmark_robustness",
    "compare",
    "enter",
    "evaluate",
    "export",
    "leaderboard",
    "report",
    "scan_inputs",
    "study",
    "submit",
    "systematics",
    "threat_model",
    "train",
]
