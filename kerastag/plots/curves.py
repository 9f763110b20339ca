"""ROC curves and areas: against ε, against the size of the change, against the epoch, and against each other."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.flavours import FLAVOURS
from kerastag.metrics import DISCRIMINATORS, HEADLINE, MINIMUM_MISTAGGED, RankedPair
from kerastag.plots.style import COLORS, LINES, MARKERS, Drawn, legend_below, panels, styled, tagger_styles


@styled
def roc(
    y: np.ndarray,
    logits: dict[str, dict[str, np.ndarray]],
    discriminators: Iterable[str],
    title: str,
    weights: np.ndarray | None = None,
) -> Drawn:
    """ROC curves: a panel per discriminator, a colour per tagger, a line style per condition.

    Args:
        y: One-hot `(jets, classes)`.
        logits: `logits[tagger][condition]`, `(jets, classes)`.
        discriminators: Names in `DISCRIMINATORS`.
        title: Says what sample this is.
        weights: Of the jets, `(jets,)`; None for equal ones.
    """
    names = list(discriminators)
    figure, axes = panels(1, len(names), title, (10, 12))
    styles = tagger_styles(logits)
    for axis, name in zip(axes[0], names, strict=True):
        for tagger, by_condition in logits.items():
            for line, (condition, scores) in zip(LINES, by_condition.items(), strict=False):
                style = {"color": styles[tagger]["color"], "linestyle": line}
                _roc_curve(axis, RankedPair(y, scores, name), weights, style, f"{tagger}, {condition}")
        over, against = (FLAVOURS[number] for number in DISCRIMINATORS[name])
        axis.set(
            xlabel=f"{over} tagging efficiency",
            ylabel=f"mistag rate of {against} jets",
            yscale="log",
            xlim=(0, 1),
            ylim=(_lowest_mistag(y, name), 1),
            title=name,
        )
        axis.grid(alpha=0.3, which="both")
        if axis.lines:
            legend_below(axis)
        else:
            axis.text(0.5, 0.5, RankedPair(y, np.zeros(y.shape), name).auc(), transform=axis.transAxes, ha="center")
    return figure, axes


def _lowest_mistag(y: np.ndarray, name: str) -> float:
    """Lower end of the axis: 1e-3, or where too few mistagged jets are left."""
    rejected = max(y[:, DISCRIMINATORS[name][1]].sum(), 1)
    return max(1e-3, 0.5 * MINIMUM_MISTAGGED / rejected)


def _roc_curve(axis: plt.Axes, pair: RankedPair, weights: np.ndarray | None, style: Mapping, label: str) -> None:
    if pair.missing:
        return
    efficiency, mistag, mistagged = pair.roc(weights)
    shown = mistagged >= MINIMUM_MISTAGGED
    axis.plot(efficiency[shown], mistag[shown], label=f"{label} ({pair.auc(weights):.3f})", **style)


@styled
def against_epsilon(rows: Sequence[Mapping], title: str) -> Drawn:
    """Area against ε: a row per relative cap, a panel per discriminator, a colour per tagger, a line style per attack.

    Args:
        rows: `tagger`, `attack`, `epsilon`, `cap`, `discriminator`, `value`, `low`, `high`.
        title: Says what sample this is.
    """
    caps = list(dict.fromkeys(row["cap"] for row in rows))
    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    styles = tagger_styles(dict.fromkeys(row["tagger"] for row in rows))
    figure, axes = panels(len(caps), len(HEADLINE), title, sharey="col")
    for (line, name), axis in np.ndenumerate(axes):
        cap, discriminator = caps[line], HEADLINE[name]
        for tagger, style in styles.items():
            for attack, dashes in zip(attacks, LINES, strict=False):
                own = [
                    row
                    for row in rows
                    if (row["cap"], row["discriminator"], row["tagger"], row["attack"]) == (cap, discriminator, tagger, attack)
                ]
                _band(axis, own, "epsilon", dashes, style, f"{tagger}, {attack}")
        axis.axhline(0.5, color="gray", linewidth=1)
        axis.set(
            xlabel="ε [σ of each feature]",
            ylabel=f"{discriminator} AUC",
            title="no cap" if cap is None else f"relative cap {cap:.0%}",
        )
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize="x-small", loc="lower left")
    return figure, axes


def _band(axis: plt.Axes, rows: Sequence[Mapping], x: str, dashes: str, style: Mapping, label: str) -> None:
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row[x])
    at = [row[x] for row in rows]
    axis.plot(at, [row["value"] for row in rows], dashes, markersize=8, label=label, **style)
    axis.fill_between(at, [row["low"] for row in rows], [row["high"] for row in rows], color=style["color"], alpha=0.25, lw=0)


@styled
def against_size(rows: Sequence[Mapping], title: str) -> Drawn:
    """What attacks and distortions take, on one axis of the size of the change: a panel per tagger, a colour per kind.

    Losses that are not above 0 by their error are not drawn: the axis is logarithmic.

    Args:
        rows: `tagger`, `kind`, `is_attack`, `size` (root of the mean squared Δx/σ of the cells that may move), and `loss`,
            `loss_low`, `loss_high` (BvL).
        title: Says what sample this is.
    """
    taggers = list(dict.fromkeys(row["tagger"] for row in rows))
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    figure, axes = panels(1, len(taggers), title, (10, 10), sharey=True)
    for axis, tagger in zip(axes[0], taggers, strict=True):
        for place, kind in enumerate(kinds):
            style = {"color": (*COLORS, "black")[place % 7], "marker": MARKERS[place % len(MARKERS)]}
            own = [_loss(row) for row in rows if (row["tagger"], row["kind"]) == (tagger, kind)]
            _band(axis, own, "size", "-" if own and own[0]["is_attack"] else "--", style, kind)
        axis.set(xlabel="size of the change, r.m.s. of Δx/σ", title=tagger)
        if any(np.isfinite(line.get_ydata()).any() for line in axis.lines):
            axis.set(xscale="log", yscale="log")
        axis.grid(alpha=0.3, which="both")
        legend_below(axis, 3)
    axes[0, 0].set_ylabel("loss of BvL AUC")
    return figure, axes


def _loss(row: Mapping) -> dict:
    """A row with the loss for a value; NaN, which leaves a gap, where it is not above 0 by its error."""
    if row["loss_low"] <= 0:
        return row | dict.fromkeys(("value", "low", "high"), np.nan)
    return row | {"value": row["loss"], "low": row["loss_low"], "high": row["loss_high"]}


@styled
def trade_off(histories: Mapping[str, Sequence[tuple[float, float]]], attack: str, title: str) -> Drawn:
    """Clean area against what the attack takes, a point per epoch, its colour the epoch, a marker per training.

    Args:
        histories: For each training its epochs, (clean area, attacked area).
        attack: What the attack is, for the axis.
        title: Says what sample this is.
    """
    figure, axes = panels(1, 1, title, (13, 9))
    axis = axes[0, 0]
    longest = max(len(epochs) for epochs in histories.values())
    for marker, (name, epochs) in zip(MARKERS, histories.items(), strict=False):
        clean, attacked = np.array(epochs).T
        axis.plot(clean, attacked - clean, color="gray", linewidth=0.8, zorder=1)
        drawn = axis.scatter(
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
    figure.colorbar(drawn, ax=axis, label="epoch")
    axis.set(xlabel="clean BvL AUC, validation jets", ylabel=f"{attack} - clean BvL AUC")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", loc="best")
    return figure, axes


@styled
def pareto(rows: Sequence[Mapping], attacks: Sequence[str], title: str) -> Drawn:
    """Clean area against attacked area, a point per tagger with its seeds for error bars, and the front that none exceeds.

    Args:
        rows: `tagger`, `attack`, `clean`, `attacked`, `clean_spread`, `attacked_spread` (0 for one seed), `seeds`.
        attacks: A panel each.
        title: Says what sample this is.
    """
    styles = tagger_styles(dict.fromkeys(row["tagger"] for row in rows))
    figure, axes = panels(1, len(attacks), title)
    for axis, attack in zip(axes[0], attacks, strict=True):
        own = [row for row in rows if row["attack"] == attack]
        for row in own:
            seeds = f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
            axis.errorbar(
                row["clean"],
                row["attacked"],
                xerr=row["clean_spread"] or None,
                yerr=row["attacked_spread"] or None,
                linestyle="none",
                markersize=14,
                capsize=4,
                label=row["tagger"] + seeds,
                **styles[row["tagger"]],
            )
        front = sorted((row for row in own if not _dominated(row, own)), key=lambda row: row["clean"])
        axis.plot(
            [row["clean"] for row in front], [row["attacked"] for row in front], ":", color="gray", zorder=0, label="front"
        )
        axis.set(xlabel="clean BvL AUC", ylabel="attacked BvL AUC", title=attack)
        axis.grid(alpha=0.3)
        axis.margins(0.15)
        axis.ticklabel_format(useOffset=False)
        axis.tick_params(axis="x", labelrotation=30)
    axes[0, 0].legend(fontsize="x-small", loc="best")
    return figure, axes


def _dominated(row: Mapping, rows: Sequence[Mapping]) -> bool:
    return any(other["clean"] > row["clean"] and other["attacked"] > row["attacked"] for other in rows)


@styled
def history(rows: list[dict[str, float]], attack: str, epsilon: float) -> Drawn:
    """AUC and cross-entropy of the validation jets against the epoch, clean and attacked, and the loss ratio.

    Args:
        rows: Logs of each epoch, as `AttackedAUC` makes them.
        attack: Name of the attack in the logs.
        epsilon: Its size.
    """
    epochs = np.arange(1, len(rows) + 1)

    def series(name: str) -> np.ndarray:
        return np.array([row.get(name, np.nan) for row in rows])

    figure, axes = panels(1, 3, f"{attack.upper()}, ε = {epsilon:g}", (9, 8))
    left, middle, right = axes[0]
    for color, name in zip(COLORS, HEADLINE, strict=False):
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
def epochs(histories: Mapping[float, Mapping[str, Mapping[str, np.ndarray]]], attack: str) -> Drawn:
    """Validation area and ratio of cross-entropies against the epoch: a column per ε, a colour per training.

    Args:
        histories: By ε and training, `clean` and `attacked` area and `ratio` of cross-entropies, `(epochs,)` each.
        attack: Its name.
    """
    figure, axes = panels(2, len(histories), "validation jets", (10, 7))
    for (area, ratio), (epsilon, by_training) in zip(axes.T, histories.items(), strict=True):
        for name, style in tagger_styles(by_training).items():
            color, series = style["color"], by_training[name]
            number = np.arange(1, len(series["clean"]) + 1)
            area.plot(number, series["clean"], color=color, label=f"{name}, clean")
            area.plot(number, series["attacked"], "--", color=color, label=f"{name}, attacked")
            ratio.plot(number, series["ratio"], color=color, label=name)
        area.set(ylabel="validation BvL AUC", title=f"{attack.upper()} ε = {epsilon:g}")
        ratio.set(xlabel="epoch", ylabel="cross-entropy, attacked / clean")
        for axis in (area, ratio):
            axis.grid(alpha=0.3)
            axis.legend(fontsize="xx-small")
    return figure, axes


@styled
def against_inputs(rows: Sequence[Mapping], title: str) -> Drawn:
    """Area and its loss for sets of inputs, fewest first: a colour per training, a line style per condition.

    Args:
        rows: `inputs` (name), `features` (number), `training`, `condition` (the first is clean), and `value` and `loss`, each
            with its 68 % interval.
        title: Says what sample this is.
    """
    sets = dict.fromkeys((row["features"], row["inputs"]) for row in rows)
    places = {name: place for place, (_, name) in enumerate(sorted(sets))}
    trainings = tagger_styles(dict.fromkeys(row["training"] for row in rows))
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    figure, axes = panels(1, 2, title, (13, 11))
    for training, style in trainings.items():
        for dashes, condition in zip(LINES, conditions, strict=False):
            own = [
                row | {"at": places[row["inputs"]]}
                for row in rows
                if (row["training"], row["condition"]) == (training, condition)
            ]
            _band(axes[0, 0], own, "at", dashes, style, f"{training}, {condition}")
            if condition != conditions[0]:
                losses = [row | {"value": row["loss"], "low": row["loss_low"], "high": row["loss_high"]} for row in own]
                _band(axes[0, 1], losses, "at", dashes, style, f"{training}, {condition}")
    names = [f"{name} ({number})" for number, name in sorted(sets)]
    for axis, label in zip(axes[0], ("BvL AUC", "loss of BvL AUC"), strict=True):
        axis.set(xlabel="groups seen (number of inputs)", ylabel=label)
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize="x-small")
        axis.xaxis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend(fontsize="x-small")
    return figure, axes
