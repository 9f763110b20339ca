"""ROC curves and areas: against ε, against the size of the change, against the epoch, and against each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.metrics import MINIMUM_MISTAGGED, RankedPair
from kerastag.plots.style import COLORS, LINES, MARKERS, Drawn, Style, legend_below, panels, styled, tagger_styles
from kerastag.results import Interval, NotDefined
from kerastag.schema import Separation
from kerastag.tables import Row, unique, where

_GAP = Interval(np.nan, np.nan, np.nan)


@styled
def roc(
    y: np.ndarray,
    logits: Mapping[str, Mapping[str, np.ndarray | Mapping[str, np.ndarray]]],
    separations: Iterable[Separation],
    title: str,
    weights: np.ndarray | None = None,
    counted: Mapping[str, np.ndarray] | None = None,
) -> Drawn:
    """ROC curves: a panel per discriminator, a colour per tagger, a line style per condition.

    Args:
        y: True flavours, one-hot `(jets, classes)`.
        logits: `logits[tagger][condition]`, `(jets, classes)` each, or by discriminator where jets differ between panels; a
            panel without such a discriminator has no curve of it.
        separations: The discriminators.
        title: Title of the figure.
        weights: Weights of the jets, `(jets,)`; None for equal ones.
        counted: Jets that count for a tagger, bool `(jets,)`, where not all do.
    """
    shown = list(separations)
    figure, axes = panels(1, len(shown), title, (10, 12))
    for axis, separation in zip(axes[0], shown, strict=True):
        for tagger, label, style, scores in _roc_styles(logits):
            of_panel = scores.get(separation.name) if isinstance(scores, Mapping) else scores
            if of_panel is None:
                continue
            rows = (counted or {}).get(tagger, slice(None))
            _roc_curve(
                axis, RankedPair(y[rows], of_panel[rows], separation), None if weights is None else weights[rows], style, label
            )
        _finish_roc(axis, y, separation)
    return figure, axes


def _roc_styles(
    logits: Mapping[str, Mapping[str, np.ndarray | Mapping[str, np.ndarray]]],
) -> Iterator[tuple[str, str, Style, np.ndarray | Mapping[str, np.ndarray]]]:
    """Tagger, label, style and logits of each curve."""
    styles = tagger_styles(logits)
    for tagger, by_condition in logits.items():
        for line, (condition, scores) in zip(LINES, by_condition.items(), strict=False):
            yield tagger, f"{tagger}, {condition}", {"color": styles[tagger]["color"], "linestyle": line}, scores


def _roc_curve(axis: plt.Axes, pair: RankedPair, weights: np.ndarray | None, style: Style, label: str) -> None:
    area = pair.auc(weights)
    if isinstance(area, NotDefined):
        return
    efficiency, mistag, mistagged = pair.roc(weights)
    enough = mistagged >= MINIMUM_MISTAGGED
    axis.plot(efficiency[enough], mistag[enough], label=f"{label} ({area:.3f})", **style)


def _finish_roc(axis: plt.Axes, y: np.ndarray, separation: Separation) -> None:
    """Labels and ranges of a panel, and the legend, or why it is empty."""
    over, against = separation.sides
    axis.set(
        xlabel=f"{over} tagging efficiency",
        ylabel=f"mistag rate of {against} jets",
        yscale="log",
        xlim=(0, 1),
        ylim=(_lowest_mistag(y, separation), 1),
        title=separation.name,
    )
    axis.grid(alpha=0.3, which="both")
    if axis.lines:
        legend_below(axis)
    else:
        area = RankedPair(y, np.zeros(y.shape), separation).auc()
        reason = str(area) if isinstance(area, NotDefined) else "too few mistagged jets, or no score"
        axis.text(0.5, 0.5, reason, transform=axis.transAxes, ha="center")


def _lowest_mistag(y: np.ndarray, separation: Separation) -> float:
    """Lower end of the axis: 1e-3, or where too few mistagged jets are left."""
    rejected = max(y[:, separation.columns[1]].sum(), 1)
    return max(1e-3, 0.5 * MINIMUM_MISTAGGED / rejected)


def _band(axis: plt.Axes, at: Sequence[float], intervals: Sequence[Interval], dashes: str, style: Style, label: str) -> None:
    """A line through the values of intervals at some places, from left to right, and a band between their ends."""
    if not intervals:
        return
    points = sorted(zip(at, intervals, strict=True), key=lambda point: point[0])
    places = [place for place, _ in points]
    axis.plot(places, [interval.value for _, interval in points], dashes, markersize=8, label=label, **style)
    lows, highs = ([getattr(interval, end) for _, interval in points] for end in ("low", "high"))
    axis.fill_between(places, lows, highs, color=style["color"], alpha=0.25, lw=0)


@styled
def against_epsilon(rows: Sequence[Row], title: str, unit: str = "σ") -> Drawn:
    """Area against ε: a row per relative cap, a panel per discriminator, a colour per tagger, a line style per attack.

    Args:
        rows: `tagger`, `attack`, `epsilon`, `cap`, `discriminator`, `area`.
        title: Title of the figure.
        unit: Unit of ε.
    """
    caps, discriminators = unique(rows, "cap"), unique(rows, "discriminator")
    styles = tagger_styles(unique(rows, "tagger"))
    figure, axes = panels(len(caps), len(discriminators), title, sharey="col")
    for (line, column), axis in np.ndenumerate(axes):
        cap, discriminator = caps[line], discriminators[column]
        _epsilon_panel(axis, where(rows, cap=cap, discriminator=discriminator), styles)
        axis.set(
            xlabel=f"ε [{unit} of each feature]",
            ylabel=f"{discriminator} AUC",
            title="no cap" if cap is None else f"relative cap {cap:.0%}",
        )
    axes[0, 0].legend(fontsize="x-small", loc="lower left")
    return figure, axes


def _epsilon_panel(axis: plt.Axes, rows: Sequence[Row], styles: Mapping[str, Style]) -> None:
    for tagger, style in styles.items():
        for attack, dashes in zip(unique(rows, "attack"), LINES, strict=False):
            curve = where(rows, tagger=tagger, attack=attack)
            label = f"{tagger}, {attack}"
            _band(axis, [row["epsilon"] for row in curve], [row["area"] for row in curve], dashes, style, label)
    axis.axhline(0.5, color="gray", linewidth=1)
    axis.grid(alpha=0.3)


@styled
def certified(rows: Sequence[Row], main: str, title: str, unit: str = "σ") -> Drawn:
    """Area against ε: what the strongest attack leaves, solid, and what no attack can pass, dashed, with the band between them.

    Certified areas far below 0.5, which say nothing, are cut off.

    Args:
        rows: `tagger`, `epsilon` above 0, and the areas `attacked` and `certified`.
        main: Name of the discriminator.
        title: Title of the figure.
        unit: Unit of ε.
    """
    figure, axes = panels(1, 1, title)
    axis = axes[0, 0]
    for tagger, style in tagger_styles(unique(rows, "tagger")).items():
        curve = where(rows, tagger=tagger)
        sizes = [row["epsilon"] for row in curve]
        for name, dashes in (("attacked", "-"), ("certified", "--")):
            values = [row[name] for row in curve]
            errors = np.transpose([(max(one.value - one.low, 0), max(one.high - one.value, 0)) for one in values])
            label = f"{tagger}, {'strongest attack' if name == 'attacked' else 'certified'}"
            axis.errorbar(sizes, [one.value for one in values], errors, linestyle=dashes, label=label, capsize=3, **style)
        ends = ([row[name].value for row in curve] for name in ("certified", "attacked"))
        axis.fill_between(sizes, *ends, color=style["color"], alpha=0.15)
    axis.axhline(0.5, color="gray", linewidth=1)
    axis.set(xlabel=f"ε [{unit} of each feature]", ylabel=f"{main} AUC", ylim=(0.45, 1.0), xscale="log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="x-small", loc="lower left")
    return figure, axes


@styled
def against_size(rows: Sequence[Row], title: str, main: str) -> Drawn:
    """What attacks and distortions take, on one axis of the size of the change: a panel per tagger, a colour per kind.

    Losses that are not above 0 by their error are not drawn: the axis is logarithmic.

    Args:
        rows: `tagger`, `kind`, `is_attack`, `size` (root of the mean squared Δx/σ of the cells that may move), and `loss` of
            area.
        title: Title of the figure.
        main: Name of the discriminator whose area is lost.
    """
    taggers = unique(rows, "tagger")
    figure, axes = panels(1, len(taggers), title, (10, 10), sharey=True)
    for axis, tagger in zip(axes[0], taggers, strict=True):
        for place, kind in enumerate(unique(rows, "kind")):
            style = {"color": (*COLORS, "black")[place % 7], "marker": MARKERS[place % len(MARKERS)]}
            _size_curve(axis, where(rows, tagger=tagger, kind=kind), style, kind)
        axis.set(xlabel="size of the change, r.m.s. of Δx/σ", title=tagger)
        if any(np.isfinite(line.get_ydata()).any() for line in axis.lines):
            axis.set(xscale="log", yscale="log")
        axis.grid(alpha=0.3, which="both")
        legend_below(axis, 3)
    axes[0, 0].set_ylabel(f"loss of {main} AUC")
    return figure, axes


def _size_curve(axis: plt.Axes, rows: Sequence[Row], style: Style, kind: str) -> None:
    """Losses of a kind of attack, with a gap where the loss is not above 0 by its error."""
    losses = [row["loss"] if row["loss"].low > 0 else _GAP for row in rows]
    dashes = "-" if rows and rows[0]["is_attack"] else "--"
    _band(axis, [row["size"] for row in rows], losses, dashes, style, kind)


@styled
def trade_off(histories: Mapping[str, Sequence[tuple[float, float]]], attack: str, title: str, main: str) -> Drawn:
    """Clean area against what the attack takes, a point per epoch, its colour the epoch, a marker per training.

    Args:
        histories: Clean and attacked area of each epoch, by training.
        attack: Name of the attack, for the axis.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    figure, axes = panels(1, 1, title, (13, 9))
    axis = axes[0, 0]
    longest = max(len(epochs) for epochs in histories.values())
    for marker, (name, epochs) in zip(MARKERS, histories.items(), strict=False):
        clean, attacked = np.array(epochs).T
        axis.plot(clean, attacked - clean, color="gray", linewidth=0.8, zorder=1)
        points = axis.scatter(
            clean,
            attacked - clean,
            c=np.arange(1, len(epochs) + 1),
            cmap="viridis",
            vmin=1,
            vmax=longest,
            marker=marker,
            s=110,
            edgecolors="black",
            linewidths=0.6,
            label=name,
            zorder=2,
        )
    figure.colorbar(points, ax=axis, label="epoch")
    axis.set(xlabel=f"clean {main} AUC, validation jets", ylabel=f"{attack} - clean {main} AUC")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", loc="best")
    return figure, axes


@styled
def history(rows: Sequence[Mapping[str, float]], attack: str, epsilon: float, discriminators: Sequence[str]) -> Drawn:
    """AUC and cross-entropy of the validation jets against the epoch, clean and attacked, and the loss ratio.

    Args:
        rows: Logs of each epoch, as `AttackedAUC` makes them.
        attack: Name of the attack in the logs.
        epsilon: Size of the attack.
        discriminators: Names of those in the logs.
    """
    epochs = np.arange(1, len(rows) + 1)

    def series(name: str) -> np.ndarray:
        return np.array([row.get(name, np.nan) for row in rows])

    figure, axes = panels(1, 3, f"{attack.upper()}, ε = {epsilon:g}", (9, 8))
    left, middle, right = axes[0]
    for color, name in zip(COLORS, discriminators, strict=False):
        left.plot(epochs, series(f"val_{name}_auc"), color=color, label=f"{name}, clean")
        left.plot(epochs, series(f"val_{name}_auc_{attack}"), "--", color=color, label=f"{name}, attacked")
    left.set(xlabel="epoch", ylabel="validation AUC")
    clean, attacked = series("val_cross_entropy"), series(f"val_cross_entropy_{attack}")
    middle.plot(epochs, clean, color=COLORS[0], label="clean")
    middle.plot(epochs, attacked, "--", color=COLORS[0], label="attacked")
    middle.set(xlabel="epoch", ylabel="validation cross-entropy")
    right.plot(epochs, attacked / clean, color=COLORS[1], label="attacked / clean")
    right.set(xlabel="epoch", ylabel="ratio of cross-entropies")
    for axis in axes[0]:
        axis.grid(alpha=0.3)
        axis.legend(fontsize="xx-small")
    return figure, axes


@styled
def epochs(histories: Mapping[float, Mapping[str, Mapping[str, np.ndarray]]], attack: str, main: str) -> Drawn:
    """Validation area and ratio of cross-entropies against the epoch: a column per ε, a colour per training.

    Args:
        histories: By ε and training, `clean` and `attacked` area and `ratio` of cross-entropies, `(epochs,)` each.
        attack: Name of the attack in the catalogue.
        main: Name of the discriminator.
    """
    figure, axes = panels(2, len(histories), "validation jets", (10, 7))
    for (area, ratio), (epsilon, by_training) in zip(axes.T, histories.items(), strict=True):
        for name, style in tagger_styles(by_training).items():
            color, series = style["color"], by_training[name]
            number = np.arange(1, len(series["clean"]) + 1)
            area.plot(number, series["clean"], color=color, label=f"{name}, clean")
            area.plot(number, series["attacked"], "--", color=color, label=f"{name}, attacked")
            ratio.plot(number, series["ratio"], color=color, label=name)
        area.set(ylabel=f"validation {main} AUC", title=f"{attack.upper()} ε = {epsilon:g}")
        ratio.set(xlabel="epoch", ylabel="cross-entropy, attacked / clean")
        for axis in (area, ratio):
            axis.grid(alpha=0.3)
            axis.legend(fontsize="xx-small")
    return figure, axes


@styled
def against_inputs(rows: Sequence[Row], title: str, main: str) -> Drawn:
    """Area and its loss for sets of inputs, fewest first: a colour per training, a line style per condition.

    Args:
        rows: `inputs` (name of the set), `features` (number), `training`, `condition` (clean first), `area` and `loss`.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    sets = sorted({(row["features"], row["inputs"]) for row in rows})
    names = [f"{name} ({number})" for number, name in sets]
    lines = dict(zip(unique(rows, "condition"), LINES, strict=False))
    figure, axes = panels(1, 2, title, (13, 11))
    for axis, quantity, conditions in zip(axes[0], ("area", "loss"), (list(lines), list(lines)[1:]), strict=True):
        shown = {condition: lines[condition] for condition in conditions}
        _inputs_panel(axis, rows, quantity, shown, [name for _, name in sets])
        axis.set_xlabel("groups seen (number of inputs)")
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize="x-small")
        axis.xaxis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize="x-small")
    axes[0, 0].set_ylabel(f"{main} AUC")
    axes[0, 1].set_ylabel(f"loss of {main} AUC")
    return figure, axes


def _inputs_panel(axis: plt.Axes, rows: Sequence[Row], quantity: str, lines: Mapping[str, str], sets: Sequence[str]) -> None:
    for training, style in tagger_styles(unique(rows, "training")).items():
        for condition, dashes in lines.items():
            curve = where(rows, training=training, condition=condition)
            at = [sets.index(row["inputs"]) for row in curve]
            _band(axis, at, [row[quantity] for row in curve], dashes, style, f"{training}, {condition}")


@styled
def against_jets(rows: Sequence[Row], title: str, main: str) -> Drawn:
    """Loss of area against the number of jets at which it shows, in inputs, in discriminators and to trees.

    Args:
        rows: `loss` and `input_jets`, `discriminator_jets`, `classifier_jets`; None for never.
        title: Title of the figure.
        main: Name of the discriminator whose area is lost.
    """
    figure, axes = panels(1, 1, title)
    axis = axes[0, 0]
    looks = {"input_jets": "inputs", "discriminator_jets": "discriminators", "classifier_jets": "boosted trees"}
    known = [row[look] for row in rows for look in looks if row[look] is not None]
    never = 10 * max(known, default=1.0)
    for (look, label), color, marker in zip(looks.items(), COLORS, MARKERS, strict=False):
        at = [never if row[look] is None else row[look] for row in rows]
        losses = [row["loss"].value for row in rows]
        errors = [row["loss"].error for row in rows]
        axis.errorbar(at, losses, errors, fmt=marker, color=color, markersize=9, capsize=3, label=label)
        for place, loss, row in zip(at, losses, rows, strict=True):
            if row[look] is None:
                axis.annotate("", (2 * place, loss), (place, loss), arrowprops={"arrowstyle": "->", "color": color})
    axis.set(xlabel="jets at which it shows", ylabel=f"loss of {main} AUC", xscale="log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    return figure, axes
