"""All trainings on one axis, clean and attacked, and what their outputs look like."""

from collections.abc import Mapping, Sequence

from kerastag import plots
from kerastag.attacks import CLEAN
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.tables import Row

NAME = "trainings"


def numbers(subject: Subject) -> Numbers:
    """No numbers beyond the logits."""
    return {}


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """ROC curves on one axis; outputs and discriminators."""
    schema, jets = subject.dataset.schema, subject.jets
    logits = {name: subject.labelled_logits(name, (CLEAN, subject.fgsm())) for name in subject.names}
    title = f"{subject.title}, ε = {subject.options.epsilon:g}"
    return {
        "trainings_roc": plots.roc(jets.y, logits, [subject.main], f"{title} (AUC)", jets.weights),
        "outputs": plots.outputs(schema, jets.label, logits, jets.weights, f"{title}, FGSM"),
    }


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """No tables."""
    return {}


def section(subject: Subject, numbers: Numbers) -> Section:
    """What training changes."""
    first, *others = subject.names
    differences = []
    for name in others:
        clean, attacked = (
            (subject.area(name, condition) - subject.area(first, condition)).interval for condition in (CLEAN, subject.fgsm())
        )
        differences.append(f"{name} minus {first}: clean {clean}, attacked {attacked} ({subject.main.name} area, paired).")
    return Section(
        "What does the training change?",
        differences or ["One tagger alone was given."],
        figures=[
            Figure("trainings_roc", f"{' against '.join(subject.main.sides)}, clean (solid) and under FGSM (dashed)."),
            Figure("outputs", "Probabilities and discriminators by flavour: clean filled, under FGSM as lines."),
        ],
    )
