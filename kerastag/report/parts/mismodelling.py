"""Taggers on simulated mismodelling, where `kerastag systematics` has measured them."""

from collections.abc import Mapping, Sequence

from kerastag import files, plots
from kerastag.evaluation import systematics, systematics_tables
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.tables import Row, where

NAME = "mismodelling"
_TITLE = "Real mismodelling"


def numbers(subject: Subject) -> Numbers:
    """What was measured; empty if nothing was."""
    if not subject.systematics:
        return {}
    content = files.read_json(subject.systematics / systematics.RESULT)
    # Earlier versions knew no seeds: each tagger was a training of its own.
    return {"trainings": {row["tagger"]: [row["tagger"]] for row in content["summary"]}} | content


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Loss under attack against change under variations."""
    if not numbers:
        return {}
    title = f"{numbers['jets']:,} nominal jets of {numbers['config']}; bars: 68 %"
    return {"mismodelling": plots.attack_against_variations(*systematics_tables.figure_rows(numbers), title)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """A row for each variation and tagger, and one for each tagger."""
    return {"mismodelling": numbers["rows"], "mismodelling_taggers": numbers["summary"]} if numbers else {}


def section(subject: Subject, numbers: Numbers) -> Section:
    """What changes under variations, and whether the loss under attack predicts it."""
    if not numbers:
        return Section(_TITLE, ["Not measured: run scripts/systematics.py and give its folder with --systematics."])
    groups, rows = list(numbers["groups"]), systematics_tables.training_rows(numbers["summary"], numbers["trainings"])
    return Section(
        _TITLE,
        [
            "The test events simulated again with one thing changed in the detector, paired jet by jet, or in the physics, "
            "with events of its own. Thresholds are frozen on nominal jets. The taggers are those of this command: "
            f"{numbers['command']}",
            _answer(numbers, groups),
        ],
        [
            Table(
                f"Mean absolute change of the BvL area. {systematics_tables.OF_SEEDS}",
                *systematics_tables.summary_table(rows, groups),
            ),
            Table("Scale factors and shapes:", *systematics_tables.quantity_table(rows, groups)),
            Table("Loss under attack:", *systematics_tables.loss_table(rows)),
            Table("Rank correlation of both:", *systematics_tables.prediction_table(numbers["predictions"])),
            Table(
                "Change of BvL area, in 1e-4, means over seeds with the error of the sample:",
                *systematics_tables.variation_table(numbers["rows"], numbers["trainings"]),
            ),
        ],
        [Figure("mismodelling", "Loss under attack against the mean change under variations, a point for each tagger.")],
    )


def _answer(numbers: Numbers, groups: Sequence[str]) -> str:
    """Whether the loss under any attack predicts a change; p-values are corrected for the number of attacks."""
    return " ".join(f"{group}: {_prediction(numbers['predictions'], group)}" for group in groups)


def _prediction(rows: Sequence[Row], group: str) -> str:
    rows = [row for row in where(rows, variations=group, quantity="area") if isinstance(row["p"], float)]
    if not rows:
        return "too few taggers to tell."
    best = min(rows, key=lambda row: row["p"])
    p = min(1.0, len(rows) * best["p"])
    verdict = "does" if p < 0.05 and best["correlation"].value > 0 else "does not"
    return (
        f"the loss under attack {verdict} rank the {best['taggers']} networks by their change. Of {len(rows)} attacks the "
        f"strongest relation is that of {best['attack']}: ρ = {best['correlation']:+[]}, p = {p:.2g} (Bonferroni)."
    )
