"""What in the training jets of a data set looks as if files meant something else by a value than the schema does."""

from collections.abc import Iterator

import numpy as np

from kerastag.schema import Feature, Schema

# Share of the present cells, and their number, above which a smallest or largest value is no coincidence.
_REPEATED, _CELLS = 1e-3, 5
# Distance of a whole number from all others, in units of their range, that looks like a mark.
_APART = 3.0
# σ in units of the core's, that of the values between the 20 % and 80 % quantiles; the heaviest tail of the sample has 17.
_HEAVIEST = 50.0
# Width between these quantiles of a normal distribution, in σ.
_QUANTILES, _WIDTH = (0.2, 0.8), 1.6832
# Median transverse momenta of jets in GeV between which those of a collider lie, and pseudorapidity that none reaches.
_SMALLEST_PT, _LARGEST_PT, _LARGEST_ETA = 1.0, 5_000.0, 10.0


def sentences(features: np.ndarray, schema: Schema) -> list[str]:
    """A sentence for each thing that looks wrong.

    Args:
        features: float32 `(jets, features)`, physical units; cells at their default are absent.
        schema: Features.
    """
    found = []
    for column, feature in enumerate(schema.features):
        values = features[:, column]
        values = values[values != np.float32(feature.default)]
        if len(values) >= _CELLS:
            found += [f"'{feature.name}' {what}" for what in (*_of_feature(feature, values), *_units(feature, values, schema))]
    return found


def of_weights(zero: int, jets: int, schema: Schema) -> list[str]:
    """A sentence if no jet has a weight.

    Args:
        zero: Number of jets whose generator weight is 0.
        jets: Number of all jets.
        schema: Schema of the jets.
    """
    branches = [spectator.branch for spectator in schema.spectators if spectator.name == "generator_weight"]
    if not branches or zero < jets:
        return []
    return [f"'generator_weight' is 0 in all jets, so that none counts in any area; look at the branch '{branches[0]}'."]


def _of_feature(feature: Feature, values: np.ndarray) -> Iterator[str]:
    if feature.integer:
        yield from _of_whole_numbers(values)
    elif not feature.tabulated:
        yield from _of_extremes(feature, values)
    low, high = np.quantile(values.astype(np.float64), _QUANTILES)
    core, sigma = (high - low) / _WIDTH, values.astype(np.float64).std()
    if core > 0 and sigma > _HEAVIEST * core:
        yield f"has a σ of {sigma:.3g}, {sigma / core:.0f} times that of its core; look for values that are none."


def _of_whole_numbers(values: np.ndarray) -> Iterator[str]:
    """A number that stands far apart, as 99 or -999 do."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 3:
        return
    for extreme, next_to_it, others in ((0, 1, distinct[1:]), (-1, -2, distinct[:-1])):
        apart = abs(distinct[extreme] - distinct[next_to_it])
        if apart > _APART * (others[-1] - others[0]) and counts[extreme] >= _CELLS:
            share = counts[extreme] / len(values)
            yield f"is {distinct[extreme]:g} in {share:.2g} of its cells, far from all others; is that a number?"


def _of_extremes(feature: Feature, values: np.ndarray) -> Iterator[str]:
    """A smallest or largest value that is too frequent to be a measurement."""
    bounds = (bound for bound in (feature.valid_min, feature.valid_max) if bound is not None)
    meant = np.array([*feature.special, *bounds], np.float32)
    for extreme in dict.fromkeys((values.min(), values.max())):
        count = np.count_nonzero(values == extreme)
        if count >= max(_CELLS, _REPEATED * len(values)) and extreme not in meant:
            yield (
                f'is {extreme:g} in {count / len(values):.2g} of its cells, and never beyond; if that means "absent", '
                "declare it as the sentinel of the variable."
            )


def _units(feature: Feature, values: np.ndarray, schema: Schema) -> Iterator[str]:
    """What looks like another unit: of transverse momentum and pseudorapidity alone is known how large they can be."""
    median = np.median(values)
    if feature.name == schema.pt and not _SMALLEST_PT <= median <= _LARGEST_PT:
        other = "MeV" if median > _LARGEST_PT else "TeV"
        yield f"has a median of {median:.3g}, which looks like {other}; the schema wants {feature.unit}."
    if feature.name == schema.eta and abs(values).max() > _LARGEST_ETA:
        yield f"reaches {abs(values).max():.3g}, which looks like degrees; a pseudorapidity is below {_LARGEST_ETA:g}."
