"""Areas with the uncertainty of the sample, and apart from it that of the seeds; differences of taggers, paired."""

import dataclasses

from kerastag import plots
from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.report.page import Figure, Section, Table, plus_minus
from kerastag.report.subject import CLEAN, Scenario, Subject

NAME = "areas"


def numbers(subject: Subject) -> dict:
    """BvL area of every tagger and condition, and its difference from that of the first tagger."""
    rows, differences = [], []
    for name in subject.names:
        for title, condition in _conditions(subject, name).items():
            area = dataclasses.asdict(subject.interval(name, condition))
            seeds = subject.of_seeds(name, condition)
            several = len(seeds) > 1
            spread = {"seeds": len(seeds), "seeds_mean": float(seeds.mean())}
            spread["seeds_spread"] = float(seeds.std(ddof=1)) if several else None
            rows.append({"tagger": name, "condition": title, "attack": condition.label, **area, **spread})
            first = subject.names[0]
            if name != first:
                difference = subject.difference((name, condition), (first, _conditions(subject, first)[title]))
                differences.append({"tagger": name, "condition": title, **dataclasses.asdict(difference)})
    return {"rows": rows, "differences": differences}


def _conditions(subject: Subject, name: str) -> dict[str, Scenario]:
    """What is compared; the strongest attack may be another one for each tagger."""
    named = {"clean": CLEAN}
    for cap in (None, RELATIVE_CAP):
        suffix = "" if cap is None else f", cap {cap:.0%}"
        for condition in subject.strong_attacks(cap)[:2]:
            named[condition.title + suffix] = condition
        named[f"strongest{suffix}"] = subject.strongest[name, cap]
        for condition in subject.distortions(cap):
            named[condition.title + suffix] = condition
    return named


def draw(subject: Subject, found: dict) -> dict:
    """Points with both errors."""
    rows, differences = ([row for row in found[what] if "cap" not in row["condition"]] for what in ("rows", "differences"))
    title = f"{subject.sample}, attacks ε = {subject.options.epsilon:g}, distortions {subject.options.distortion:g}"
    return {"areas": plots.areas(rows, differences, subject.names[0], title)}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"areas": found["rows"]} | ({"differences": found["differences"]} if found["differences"] else {})


def section(subject: Subject, found: dict) -> Section:
    """Differences with their intervals, and the two kinds of error apart."""
    conditions = list(dict.fromkeys(row["condition"] for row in found["rows"]))
    of_row = {(row["tagger"], row["condition"]): row for row in found["rows"]}
    of_difference = {(row["tagger"], row["condition"]): row for row in found["differences"]}
    others = subject.names[1:]
    header = ["jets", *subject.names, *(f"{name} - {subject.names[0]}" for name in others)]
    rows = [
        [condition]
        + [_area(of_row[name, condition]) for name in subject.names]
        + [plus_minus(of_difference[name, condition], number="+.4f") for name in others]
        for condition in conditions
    ]
    several = [name for name, seeds in subject.taggers.items() if len(seeds) > 1]
    seeds = (
        f"In brackets the mean ± standard deviation over the seeds of {', '.join(several)}; numbers outside are of the first "
        "seed."
        if several
        else "One training of each was given, so the spread between seeds is not known here; give a NAME= several times for it."
    )
    return Section(
        "How sure are these areas and their differences?",
        [
            f"± is half the 68 % interval of {subject.options.replicates} resamples of events, the same for all taggers, so "
            f"that differences are paired and much better known than areas. {seeds}"
        ],
        [Table("BvL area:", header, rows)],
        [
            Figure(
                "areas",
                "Points: areas and paired differences with the error of the test sample; thick bars: mean and spread of the "
                "seeds.",
            )
        ],
    )


def _area(row: dict) -> str:
    text = plus_minus(row)
    return text if row["seeds_spread"] is None else f"{text} ({row['seeds_mean']:.4f} ± {row['seeds_spread']:.4f})"
