"""The answer first: every tagger, clean, attacked and distorted, with and without the cap."""

import dataclasses

from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.report.page import Section, Table, plus_minus
from kerastag.report.subject import CLEAN, Subject


def section(subject: Subject, found: dict) -> Section:
    """The verdict table.

    Args:
        subject: What the report is about.
        found: Numbers of all parts.
    """
    made = [_table(subject, found["areas"]["rows"], cap) for cap in (None, RELATIVE_CAP)]
    return Section(
        "Verdict",
        [
            f"BvL area (b against light) of {subject.sample}; mean over seeds where there are several, ± half the 68 % "
            "interval of the sample. Attacks have ε = "
            f"{subject.options.epsilon:g}, distortions {subject.options.distortion:g}, in σ of each input; whole numbers and "
            "absent values never move. Robustness is measured against these attacks, no others."
        ],
        made,
    )


def _table(subject: Subject, rows: list[dict], cap: float | None) -> Table:
    suffix = "" if cap is None else f", cap {cap:.0%}"
    titles = [one.title for one in subject.strong_attacks()[:2]]
    titles += ["strongest", *(one.title for one in subject.distortions())]
    of = {(row["tagger"], row["condition"]): row for row in rows}
    lines = []
    for name in subject.names:
        cells = [plus_minus(of[name, title], "seeds_mean") for title in (CLEAN.title, *(one + suffix for one in titles))]
        place = titles.index("strongest") + 1
        cells[place] += f" ({subject.strongest[name, cap].title})"
        lines.append([name, *cells])
    caption = "No cap:" if cap is None else f"No cell moved by more than {cap:.0%} of its value:"
    return Table(caption, ["tagger", "clean", *titles], lines)


def summary(subject: Subject, found: dict) -> list[str]:
    """The verdict in a few sentences."""
    first, *others = subject.names
    normal, held_back = (found["shapes"][what][first] for what in ("answers", "held_back"))
    strongest = subject.strongest[first, None]
    sentences = [
        f"FGSM of ε = {subject.options.epsilon:g} σ takes {subject.loss(first, subject.fgsm())} of BvL area from {first}, "
        f"{strongest.title}, the strongest attack tried, {subject.loss(first, strongest)}. {normal['normal']} of the "
        f"{normal['moving']} inputs that FGSM moves keep their distribution within {subject.options.uncertainty:.0%}; held "
        f"back until all do, it still takes {plus_minus(held_back)}."
    ]
    for name in others:
        hardest = subject.strongest[name, None]
        clean = subject.difference((name, CLEAN), (first, CLEAN))
        sentences.append(
            f"{name} loses {subject.loss(name, subject.fgsm())} and {subject.loss(name, hardest)}; its clean area is "
            f"{plus_minus(dataclasses.asdict(clean), number='+.4f')} against that of {first}."
        )
    return sentences
