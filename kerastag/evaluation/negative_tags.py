"""What a negative tagger says of the mistag rate, at thresholds that are frozen on clean jets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerastag import tables
from kerastag.attacks import Condition, attacked_features, attacked_logits
from kerastag.data import JetDataset
from kerastag.evaluation.working_points import MISTAG_RATES, threshold
from kerastag.jets import Jets
from kerastag.metrics import MINIMUM_MISTAGGED, Bootstrap, discriminant
from kerastag.results import NotDefined, Resampled
from kerastag.schema import Separation
from kerastag.schema.negative import negative
from kerastag.tables import Row


def negative_tags(
    models: Mapping[str, keras.Model],
    dataset: JetDataset,
    jets: Jets,
    under: Sequence[Condition],
    bootstrap: Bootstrap,
    progress: Callable[[list], Iterable] = iter,
) -> list[dict[str, Any]]:
    """Mistag rates, and what the negative tagger makes of them, by tagger, working point and condition.

    Attacked jets are those that the tagger was attacked with; the negative tagger sees them flipped, as it would in data.

    Args:
        models: Taggers by name, from raw features to logits.
        dataset: Data set of the jets.
        jets: Clean jets.
        under: Conditions, that of clean jets first.
        bootstrap: Resamples, and the weights of the jets.
        progress: Wraps the list of (tagger, condition) pairs, for a progress bar.

    Returns:
        Rows as of `rates`, with the name of the `tagger`.

    Raises:
        UserError: if nothing flips, or a condition does not fit the data set.
    """
    main = dataset.schema.main
    scores: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {name: {} for name in models}
    for name, condition in progress([(name, condition) for name in models for condition in under]):
        attack = condition.aimed_at(main.name).build(dataset)
        moved = attacked_features(models[name], jets.features, jets.y, attack)
        tagger, flipped = (
            discriminant(attacked_logits(models[name], x, jets.y, None), main) for x in (moved, negative(dataset.schema, moved))
        )
        scores[name][condition.label] = tagger, flipped
    return [{"tagger": name, **row} for name in models for row in rates(jets.label, scores[name], bootstrap, main)]


def rates(
    label: np.ndarray, scores: Mapping[str, tuple[np.ndarray, np.ndarray]], bootstrap: Bootstrap, separation: Separation
) -> list[dict[str, Any]]:
    """Rates of one tagger.

    Args:
        label: Class indices, `(jets,)`.
        scores: By condition, values of the discriminator by the tagger and by the negative tagger, `(jets,)` each; the first
            are those of clean jets, on which thresholds are set.
        bootstrap: Resamples, and the weights of the jets.
        separation: The discriminator.

    Returns:
        Rows with `working_point`, `condition` and five numbers. `mistagged` and `negative` are the shares of the jets to reject
        that the tagger and the negative tagger tag; `ratio` is the first over the second; `negative_of_all` is the share of all
        jets. `estimate` is that share times `mistagged` over `negative_of_all` of clean jets, as an experiment takes its
        mistag rate from data and this ratio from simulation. None is defined where fewer than 20 jets would make it.
    """
    rejected = np.isin(label, separation.columns[1])
    clean = next(iter(scores.values()))[0]
    rows = []
    for rate in MISTAG_RATES:
        cut = threshold(clean[rejected], bootstrap.weights[rejected], rate)
        simulated = None
        for condition, (tagger, flipped) in scores.items():
            mistagged, negative_rate = (_share(values, cut, rejected, bootstrap) for values in (tagger, flipped))
            of_all = _share(flipped, cut, np.ones_like(rejected), bootstrap)
            simulated = simulated or _over(of_all, mistagged)
            numbers = {
                "mistagged": mistagged,
                "negative": negative_rate,
                "ratio": _over(mistagged, negative_rate),
                "negative_of_all": of_all,
                "estimate": _over(of_all, simulated),
            }
            values = {name: number.interval for name, number in numbers.items()}
            rows.append({"working_point": rate, "condition": condition, **values})
    return rows


def _over(number: Resampled | NotDefined, other: Resampled | NotDefined) -> Resampled | NotDefined:
    """A ratio; not defined if one of them is not."""
    return other if isinstance(other, NotDefined) else number / other


def _share(scores: np.ndarray, cut: float, rows: np.ndarray, bootstrap: Bootstrap) -> Resampled | NotDefined:
    """Weighted share of some jets whose scores are not below a threshold."""
    if nans := np.count_nonzero(np.isnan(scores[rows])):
        return NotDefined(f"the outputs of {nans:,} jets are not finite")
    passed = rows & (scores >= cut)
    if np.count_nonzero(passed) < MINIMUM_MISTAGGED:
        return NotDefined(f"fewer than {MINIMUM_MISTAGGED} jets")

    def share(weights: np.ndarray) -> float | NotDefined:
        total = weights[rows].sum()
        return float(weights[passed].sum() / total) if total > 0 else NotDefined("the weights do not add up to more than 0")

    return bootstrap.resample(share)


def markdown(rows: Sequence[Row], separation: Separation) -> str:
    """A line per tagger, working point and condition; ± is half the 68 % interval."""
    found, against = separation.sides
    header = [
        "tagger",
        "clean mistag rate",
        "jets",
        f"{against} jets {found}-tagged",
        f"{against} jets negatively tagged",
        "ratio",
        "all jets negatively tagged",
        "mistag rate estimated from these",
    ]
    names = ("mistagged", "negative", "ratio", "negative_of_all", "estimate")
    lines = [
        [row["tagger"], f"{row['working_point']:.0%}", row["condition"], *(str(row[name]) for name in names)] for row in rows
    ]
    return tables.markdown(header, lines)
