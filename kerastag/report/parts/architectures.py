"""Whether more structure makes a tagger more vulnerable, where `kerastag study --models` has measured it."""

from collections.abc import Mapping, Sequence

from kerastag import files, plots
from kerastag.evaluation import architectures
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.tables import Row

NAME = "architectures"
_TITLE = "Does more structure make a tagger more vulnerable?"


def numbers(subject: Subject) -> Numbers:
    """The result of the study; empty if there is none."""
    return files.read_json(subject.study / architectures.RESULT) if subject.study else {}


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Clean area against each loss."""
    if not numbers:
        return {}
    return {"architectures": plots.architectures(architectures.points(numbers["results"]), numbers["main"])}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """A row for each model, training and loss, and one for each difference to the first model."""
    if not numbers:
        return {}
    points = architectures.points(numbers["results"])
    return {"architectures": points, "architectures_differences": architectures.differences(points)}


def section(subject: Subject, numbers: Numbers) -> Section:
    """The answer, the tables of the study, and what the answer is made of."""
    if not numbers:
        return Section(_TITLE, ["Not measured: run scripts/study.py --models and give its folder with --study."])
    points = architectures.points(numbers["results"])
    return Section(
        _TITLE,
        [
            f"Models on the same {numbers['jets']:,} jets, each trained nominally and with FGSM, beside boosted trees. Where "
            "an attack needs a gradient, trees meet jets that were attacked on the first model, and random search. A set of "
            "objects has more structure than a list of features, and objects that see each other, as in a graph or under "
            "attention, have more than a set.",
            *(list(architectures.answers(points)) or ["No network has more structure than the first."]),
        ],
        [
            Table(
                f"{numbers['main']} area and its losses, mean ± standard deviation over seeds:",
                *architectures.table(numbers["results"]),
            ),
            Table(
                "Above the first model, paired by seed, with the 95 % interval of the mean:",
                *architectures.difference_table(points),
            ),
            Table(
                "Rank correlation of structure and loss over networks; p is the share of their orders in which it is as large:",
                *architectures.correlation_table(points),
            ),
            Table("Parameters, and jets/s:", *architectures.cost_table(numbers["costs"])),
        ],
        [Figure("architectures", "Clean area against what is lost; nominal trainings open, adversarial ones filled.")],
    )
