"""What no attack can go below: a discriminator if every jet moved against it as far as its box lets it."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from kerastag import tables
from kerastag.attacks import Condition, ThreatModel, attacked_logits
from kerastag.bounds import all_margin_bounds
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.comparison import tagged_shares
from kerastag.evaluation.working_points import MISTAG_RATES
from kerastag.jets import Jets
from kerastag.layers.mending import beyond_ranges
from kerastag.metrics import Bootstrap, RankedPair, discriminant
from kerastag.request import Method
from kerastag.results import Interval, NotDefined, Resampled
from kerastag.schema import Schema, Separation

# Wraps the first jets of batches, for a progress bar.
Progress = Callable[[range], Iterable[int]]

# Jets whose limits are calculated at once; the forms of a wide layer then take 100 MB.
_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is left of a tagger under any attack in a box.

    Attributes:
        box: What tables call the box.
        areas: Smallest area of each discriminator of tables, each under attacks of its own.
        loss: Largest loss of the main one.
        tagged: Smallest share of the jets to find by it, and largest of those to reject, that are tagged at thresholds of clean
            jets, by their mistag rate and by class.
    """

    box: str
    areas: dict[str, Resampled | NotDefined]
    loss: Resampled | NotDefined
    tagged: dict[float, dict[str, Interval | NotDefined]]


def certificates(
    models_by_name: Mapping[str, keras.Model],
    dataset: JetDataset,
    jets: Jets,
    under: Sequence[Condition],
    replicates: int,
    method: Method,
) -> tuple[dict[str, list[Certificate]], dict[str, str]]:
    """Certificates of each tagger in the box of each attack, without ties, and why some have none.

    Args:
        models_by_name: Taggers from raw features to logits of the classes of the schema.
        dataset: Data set of the jets.
        jets: Clean jets.
        under: Conditions, of which the boxes are taken.
        replicates: Bootstrap resamples.
        method: As of `Certifier`.
    """
    schema, bootstrap = dataset.schema, Bootstrap(jets.events, replicates, weights=jets.weights)
    boxes = certified_boxes(under)
    found: dict[str, list[Certificate]] = {}
    reasons: dict[str, str] = {}
    for name, tagger in models_by_name.items():
        clean = discriminant(attacked_logits(tagger, jets.features, jets.y, None), schema.main)
        certifier = Certifier(tagger, schema.main, method, schema.in_tables)
        progress = functools.partial(tqdm, desc=f"Certifying {name}", disable=None)
        try:
            values = [certifier.each(jets, box.threat_model(dataset), progress) for box in boxes]
        except UserError as error:
            reasons[name] = str(error)
            continue
        found[name] = [
            _certificate(box.box_label, jets, clean, worst, bootstrap, schema) for box, worst in zip(boxes, values, strict=True)
        ]
    return found, reasons


def _certificate(
    box: str, jets: Jets, clean: np.ndarray, worst: Mapping[str, np.ndarray], bootstrap: Bootstrap, schema: Schema
) -> Certificate:
    """What the worst values of each discriminator leave; `clean` are values of the main one."""
    main = schema.main
    areas = {one.name: bootstrap.area(RankedPair(jets.y, worst[one.name], one)) for one in schema.in_tables}
    loss = bootstrap.area(RankedPair(jets.y, clean, main)) - areas[main.name]
    tagged = {}
    for rate in MISTAG_RATES:
        shares = tagged_shares(jets.label, worst[main.name], clean, bootstrap, main, rate)
        tagged[rate] = {flavour: shares[flavour] for side in _classes(main) for flavour in side}
    return Certificate(box, areas, loss, tagged)


def _classes(separation: Separation) -> list[list[str]]:
    """Names of the classes to find, and of those to reject."""
    return [[separation.class_names[column] for column in columns] for columns in separation.columns]


def markdown(found: Mapping[str, Sequence[Certificate]], main: Separation) -> str:
    """Two tables with a row per tagger and box, areas and working points; ± is half the 68 % interval."""
    (over, against), (tag, rejected) = _classes(main), main.sides
    each = [(name, one) for name, of_tagger in found.items() for one in of_tagger]
    header = ["tagger", "box", *(f"{name} AUC, at least" for name in each[0][1].areas), f"loss of {main.name} AUC, at most"]
    rows = [[name, one.box, *(str(area.interval) for area in one.areas.values()), str(one.loss.interval)] for name, one in each]
    point = ["tagger", "box", "clean mistag rate"]
    point += [f"{name} jets {tag}-tagged, at least" for name in over]
    point += [f"{name} jets {tag}-tagged, at most" for name in against]
    rates = [
        [name, one.box, f"{rate:.0%}", *map(str, shares.values())] for name, one in each for rate, shares in one.tagged.items()
    ]
    text = f"{tag}-tagging at the threshold that this share of the clean {rejected} jets pass:"
    return "\n\n".join([tables.markdown(header, rows), text, tables.markdown(point, rates)])


def certified_boxes(under: Iterable[Condition]) -> list[Condition]:
    """The box of each attack that has a size, once and without ties, which limits of single cells cannot keep."""
    sized = [condition for condition in under if condition.sized]
    boxes = [
        dataclasses.replace(
            one, attack="fgsm", objective="cross_entropy", physics=dataclasses.replace(one.physics, untied=True)
        )
        for one in sized
    ]
    return list(dict.fromkeys(boxes))


class Certifier:
    """Values of a discriminator if jets to find came as low as their box lets them, and jets to reject as high.

    A value is the logarithm of the ratio of the discriminator's sides. Limits hold for the box that is given, up to the
    rounding of single precision. Cells that follow others in it may lie anywhere within their limits; where they have none, no
    limit is left. A box with ties is not contained in the same one without.

    Args:
        tagger: From raw features to logits. Limits of a `lipschitz_mlp` are those of intervals behind its sorting layers, which
            are narrower than what its constant says.
        separation: The discriminator.
        method: As of `kerastag.bounds.margin_bounds`.
        others: More discriminators, for `each`.
    """

    def __init__(
        self, tagger: keras.Model, separation: Separation, method: Method = "crown", others: Sequence[Separation] = ()
    ):
        self._tagger, self._separations = tagger, {one.name: one for one in (separation, *others)}

        @tf.function(autograph=False)
        def limits(low: tf.Tensor, high: tf.Tensor, beyond: bool) -> list[tuple[tf.Tensor, tf.Tensor]]:
            with beyond_ranges(beyond):
                return all_margin_bounds(tagger, low, high, list(self._separations.values()), method)

        # Traced once for all boxes.
        self._limits = limits

    def __call__(self, jets: Jets, threat_model: ThreatModel, progress: Progress = iter) -> np.ndarray:
        """The values, float32 `(jets,)`; jets of other classes have their clean one.

        Args:
            jets: The jets.
            threat_model: The box around each.
            progress: Wraps the first jets of the batches.

        Raises:
            UserError: if there is no rule for a layer of the tagger.
        """
        return next(iter(self.each(jets, threat_model, progress).values()))

    def each(self, jets: Jets, threat_model: ThreatModel, progress: Progress = iter) -> dict[str, np.ndarray]:
        """The values of each discriminator by its name, as of a call, which takes hardly longer than one."""
        logits = attacked_logits(self._tagger, jets.features, jets.y, None)
        found = {}
        for one, (low, high) in zip(self._separations.values(), self._limits_of(jets, threat_model, progress), strict=True):
            over, against = (np.isin(jets.label, columns) for columns in one.columns)
            values = np.where(over, low, np.where(against, high, discriminant(logits, one)))
            found[one.name] = values.astype(np.float32)
        return found

    def _limits_of(self, jets: Jets, threat_model: ThreatModel, progress: Progress) -> list[tuple[np.ndarray, np.ndarray]]:
        batches = []
        for start in progress(range(0, len(jets), _AT_ONCE)):
            rows = np.arange(start, start + _AT_ONCE) % len(jets)  # the last batch is filled up, so that all are alike
            low, high = threat_model.box(jets.features[rows], jets.y[rows]).ends
            found = self._limits(low, high, threat_model.lower is None)
            batches.append(np.array([[end.numpy() for end in ends] for ends in found]))
        lows, highs = np.moveaxis(np.concatenate(batches, axis=2)[..., : len(jets)], 1, 0)
        # A cell without limits, as of an input that is a function of others, leaves no limit and may end in NaN.
        lows, highs = np.nan_to_num(lows, nan=-np.inf, neginf=-np.inf), np.nan_to_num(highs, nan=np.inf, posinf=np.inf)
        return list(zip(lows, highs, strict=True))
