"""All trainings on one axis, clean and attacked, and what their outputs look like."""

from kerastag import plots
from kerastag.report.page import Figure, Section
from kerastag.report.subject import CLEAN, Subject

NAME = "trainings"


def numbers(subject: Subject) -> dict:
    """Nothing beyond the logits."""
    return {}


def draw(subject: Subject, found: dict) -> dict:
    """ROC curves on one axis; outputs and discriminators."""
    logits = {name: {one.label: subject.logits(name, one) for one in (CLEAN, subject.fgsm())} for name in subject.names}
    weights = subject.split.weights
    title = f"{subject.sample}, ε = {subject.options.epsilon:g}"
    return {
        "trainings_roc": plots.roc(subject.y, logits, ["BvL"], f"{title} (AUC)", weights),
        "outputs": plots.outputs(subject.dataset.schema, subject.split.label, logits, weights, f"{title}, FGSM"),
    }


def tables_of(found: dict) -> dict:
    """None."""
    return {}


def section(subject: Subject, found: dict) -> Section:
    """What training changes."""
    name, *others = subject.names
    words = [
        f"{other} minus {name}: clean {subject.difference((other, CLEAN), (name, CLEAN))}, attacked "
        f"{subject.difference((other, subject.fgsm()), (name, subject.fgsm()))} (BvL area, paired)."
        for other in others
    ]
    return Section(
        "What does the training change?",
        words or ["One tagger alone was given."],
        figures=[
            Figure("trainings_roc", "b against light, clean (solid) and under FGSM (dashed)."),
            Figure("outputs", "Probabilities and discriminators by flavour: clean filled, under FGSM as lines."),
        ],
    )
