"""What a tagger in use would do: thresholds frozen on clean jets."""

from kerastag import plots
from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.evaluation.working_points import binnings, working_points
from kerastag.flavours import FLAVOURS
from kerastag.report.page import Figure, Section, Table, plus_minus
from kerastag.report.subject import CLEAN, Subject

NAME = "working_points"


def numbers(subject: Subject) -> dict:
    """Efficiencies and mistag rates of each tagger under each attack, in bins."""
    bins = binnings(subject.dataset.schema, subject.split)
    rows = []
    for name in subject.names:
        under = [CLEAN, subject.fgsm(), subject.fgsm(RELATIVE_CAP), subject.strongest[name, None], *subject.distortions()]
        logits = {condition.label: subject.logits(name, condition) for condition in under}
        found = working_points(subject.split.label, logits, bins, subject.bootstrap)
        rows += [{"tagger": name, **row} for row in found]
    return {"rows": rows, "bins": {name: names for name, (names, _) in bins.items()}}


def draw(subject: Subject, found: dict) -> dict:
    """Ratios in bins under FGSM, a figure per working point."""
    drawn = {}
    for rate in dict.fromkeys(row["working_point"] for row in found["rows"]):
        own = [row for row in found["rows"] if row["working_point"] == rate and row["condition"] == subject.fgsm().label]
        title = f"threshold at {_percent(rate)} light mistag on clean jets; {subject.sample}, {subject.fgsm().label}"
        drawn[_figure(rate)] = plots.working_points(own, found["bins"], FLAVOURS, title)
    return drawn


def _figure(rate: float) -> str:
    return f"working_point_{rate:g}".replace(".", "")


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"working_points": found["rows"]}


def section(subject: Subject, found: dict) -> Section:
    """Efficiencies and mistag rates over all jets."""
    distorted = [condition.label for condition in subject.distortions()]
    inclusive = [row for row in found["rows"] if row["binning"] == "all" and row["condition"] not in distorted]
    by_line: dict[tuple, dict] = {}
    for row in inclusive:
        key = (_percent(row["working_point"]), row["tagger"], row["condition"])
        by_line.setdefault(key, {})[row["flavour"]] = row
    rows = [
        [*key, *(_rate(own[flavour]) for flavour in FLAVOURS), *(_ratio(own[flavour]) for flavour in ("b", "light"))]
        for key, own in by_line.items()
    ]
    header = ["light mistag", "tagger", "jets", "b efficiency", "c mistag", "light mistag now", "b / clean", "light / clean"]
    rates = list(dict.fromkeys(row["working_point"] for row in found["rows"]))
    return Section(
        "What happens at a working point?",
        [
            "Thresholds on BvL are set on clean jets and kept. Errors are 68 %, ratios paired. Where fewer than 20 jets are "
            "tagged there is no number; the working point of 0.1 % needs a million jets. In bins of pT, |η| and number of "
            "tracks, and for distortions too: working_points.csv."
        ],
        [Table("All jets:", header, rows)],
        [
            Figure(_figure(rate), f"Rates under FGSM over those on clean jets, threshold at {_percent(rate)} light mistag.")
            for rate in rates
        ],
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"


def _rate(row: dict) -> str:
    return "fewer than 20 jets" if row["value"] is None else plus_minus(row)


def _ratio(row: dict) -> str:
    if row["ratio"] is None or row["condition"] == CLEAN.label:
        return "–"
    return plus_minus(row, "ratio", "ratio_", ".3f")
