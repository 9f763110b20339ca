"""Are probabilities what they say, clean and attacked?"""

from kerastag import plots
from kerastag.evaluation.calibration import calibration
from kerastag.report.page import Figure, Section, Table
from kerastag.report.subject import CLEAN, Subject

NAME = "calibration"


def numbers(subject: Subject) -> dict:
    """Reliability and expected calibration error of each tagger, clean and under FGSM."""
    return {
        "curves": {
            name: {
                condition.label: calibration(subject.split.label, subject.logits(name, condition), subject.bootstrap)
                for condition in (CLEAN, subject.fgsm())
            }
            for name in subject.names
        }
    }


def draw(subject: Subject, found: dict) -> dict:
    """Reliability by flavour."""
    return {"calibration": plots.reliability(found["curves"], f"{subject.sample}; 15 bins, errors 68 %")}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    rows = [
        {"tagger": name, "condition": condition, "flavour": flavour, **row}
        for name, by_condition in found["curves"].items()
        for condition, own in by_condition.items()
        for flavour, curve in own["curves"].items()
        for row in curve
    ]
    return {"calibration": rows}


def section(subject: Subject, found: dict) -> Section:
    """The expected calibration errors."""
    rows = [
        [name, condition, f"{own['error']:.4f} [{own['error_low']:.4f}, {own['error_high']:.4f}]"]
        for name, by_condition in found["curves"].items()
        for condition, own in by_condition.items()
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
