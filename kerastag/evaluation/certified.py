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
from kerastag.bounds import margin_bounds
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.comparison import tagged_shares
from kerastag.jets import Jets
from kerastag.layers.mending import beyond_ranges
from kerastag.metrics import Bootstrap, RankedPair, discriminant
from kerastag.request import Method
from kerastag.results import Interval, NotDefined, Resampled
from kerastag.schema import Separation

# Wraps the first jets of batches, for a progress bar.
Progress = Callable[[range], Iterable[int]]

# Jets whose limits are calculated at once; the forms of a wide layer then take 100 MB.
_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is left of a tagger under any attack in a box.

    Attributes:
        box: What tables call the box.
        area: Smallest area of the main discriminator.
        loss: Largest loss of it.
        tagged: Smallest share of the jets to find, and largest of those to reject, that are tagged at the threshold of clean
            jets, by class.
    """

    box: str
    area: Resampled | NotDefined
    loss: Resampled | NotDefined
    tagged: dict[str, Interval | NotDefined]


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
    main, bootstrap = dataset.schema.main, Bootstrap(jets.events, replicates, weights=jets.weights)
    boxes = certified_boxes(under)
    found: dict[str, list[Certificate]] = {}
    reasons: dict[str, str] = {}
    for name, tagger in models_by_name.items():
        clean = discriminant(attacked_logits(tagger, jets.features, jets.y, None), main)
        clean_area = bootstrap.area(RankedPair(jets.y, clean, main))
        certifier, progress = Certifier(tagger, main, method), functools.partial(tqdm, desc=f"Certifying {name}", disable=None)
        try:
            values = [certifier(jets, box.threat_model(dataset), progress) for box in boxes]
        except UserError as error:
            reasons[name] = str(error)
            continue
        for box, worst in zip(boxes, values, strict=True):
            area = bootstrap.area(RankedPair(jets.y, worst, main))
            tagged = tagged_shares(jets.label, worst, clean, bootstrap, main)
            sides = {
                flavour: tagged[flavour] for side in main.columns for flavour in (main.class_names[column] for column in side)
            }
            found.setdefault(name, []).append(Certificate(box.box_label, area, clean_area - area, sides))
    return found, reasons


def markdown(found: Mapping[str, Sequence[Certificate]], main: Separation) -> str:
    """A table with a row per tagger and box; ± is half the 68 % interval."""
    names = [[main.class_names[column] for column in columns] for columns in main.columns]
    tag = main.sides[0]
    header = [
        "tagger",
        "box",
        f"{main.name} AUC, at least",
        "loss, at most",
        *(f"{name} jets {tag}-tagged, at least" for name in names[0]),
        *(f"{name} jets {tag}-tagged, at most" for name in names[1]),
    ]
    rows = [
        [name, one.box, str(one.area.interval), str(one.loss.interval), *map(str, one.tagged.values())]
        for name, of_tagger in found.items()
        for one in of_tagger
    ]
    return tables.markdown(header, rows)


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
    """

    def __init__(self, tagger: keras.Model, separation: Separation, method: Method = "crown"):
        self._tagger, self._separation = tagger, separation

        @tf.function(autograph=False)
        def limits(low: tf.Tensor, high: tf.Tensor, beyond: bool) -> tuple[tf.Tensor, tf.Tensor]:
            with beyond_ranges(beyond):
                return margin_bounds(tagger, low, high, separation, method)

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
        over, against = (np.isin(jets.label, columns) for columns in self._separation.columns)
        clean = discriminant(attacked_logits(self._tagger, jets.features, jets.y, None), self._separation)
        low, high = self._limits_of(jets, threat_model, progress)
        return np.where(over, low, np.where(against, high, clean)).astype(np.float32)

    def _limits_of(self, jets: Jets, threat_model: ThreatModel, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        batches = []
        for start in progress(range(0, len(jets), _AT_ONCE)):
            rows = np.arange(start, start + _AT_ONCE) % len(jets)  # the last batch is filled up, so that all are alike
            low, high = threat_model.box(jets.features[rows], jets.y[rows]).ends
            batches.append([ends.numpy() for ends in self._limits(low, high, threat_model.lower is None)])
        low, high = (np.concatenate(ends)[: len(jets)] for ends in zip(*batches, strict=True))
        # A cell without limits, as of an input that is a function of others, leaves no limit and may end in NaN.
        return np.nan_to_num(low, nan=-np.inf, neginf=-np.inf), np.nan_to_num(high, nan=np.inf, posinf=np.inf)
