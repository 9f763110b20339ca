"""Are probabilities what they say, clean and attacked?"""

from collections.abc import Mapping, Sequence

from kerastag import plots
from kerastag.attacks import CLEAN
from kerastag.evaluation.calibration import calibration
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.tables import Row

NAME = "calibration"


def numbers(subject: Subject) -> Numbers:
    """Reliability and expected calibration error of each tagger, clean and under FGSM."""
    return {
        "curves": {
            name: {
                condition.label: calibration(
                    subject.jets.label, subject.logits(name, condition), subject.bootstrap, subject.dataset.schema.class_names
                )
                for condition in (CLEAN, subject.fgsm())
            }
            for name in subject.names
        }
    }


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Reliability by flavour."""
    return {
        "calibration": plots.reliability(
            numbers["curves"], subject.dataset.schema.class_names, f"{subject.title}; 15 bins, errors 68 %"
        )
    }


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """The points of the curves."""
    return {
        "calibration": [
            {"tagger": name, "condition": condition, "flavour": flavour, **row}
            for name, by_condition in numbers["curves"].items()
            for condition, result in by_condition.items()
            for flavour, curve in result["curves"].items()
            for row in curve
        ]
    }


def section(subject: Subject, numbers: Numbers) -> Section:
    """The expected calibration errors."""
    rows = [
        [name, condition, f"{result['error']:[]}"]
        for name, by_condition in numbers["curves"].items()
        for condition, result in by_condition.items()
    ]
    return Section(
        "Are the probabilities what they say?",
        [
            "Expected calibration error (ECE) of the predicted flavour, 15 bins of equal width, as of arXiv:1706.04599; it "
            "is bounded by 0, so resampling pushes small values up. Probabilities refer to the mixture of flavours of this "
            "sample."
        ],
        [Table("ECE with 68 % intervals:", ["tagger", "jets", "ECE"], rows)],
        [Figure("calibration", "Observed share against predicted probability; bins of at least 20 jets.")],
    )
