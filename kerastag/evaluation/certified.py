"""What no attack can go below: a discriminator if every jet moved against it as far as its box lets it."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from kerastag import models, tables
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
        method: As of `certify`.

    Raises:
        UserError: if no attack has a size.
    """
    main, bootstrap = dataset.schema.main, Bootstrap(jets.events, replicates, weights=jets.weights)
    boxes = certified_boxes(under)
    if not boxes:
        raise UserError("There is no box to certify: none of the attacks has a size.")
    found: dict[str, list[Certificate]] = {}
    reasons: dict[str, str] = {}
    for name, tagger in models_by_name.items():
        clean = discriminant(attacked_logits(tagger, jets.features, jets.y, None), main)
        clean_area = bootstrap.resample(RankedPair(jets.y, clean, main).auc)
        progress = functools.partial(tqdm, desc=f"Certifying {name}", disable=None)
        try:
            values = [certify(tagger, jets, box.threat_model(dataset), main, method, progress) for box in boxes]
        except UserError as error:
            reasons[name] = str(error)
            continue
        for box, worst in zip(boxes, values, strict=True):
            area = bootstrap.resample(RankedPair(jets.y, worst, main).auc)
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


def certify(
    tagger: keras.Model,
    jets: Jets,
    threat_model: ThreatModel,
    separation: Separation,
    method: Method = "crown",
    progress: Progress = iter,
) -> np.ndarray:
    """Values of a discriminator if jets to find came as low as their box lets them, and jets to reject as high.

    A value is the logarithm of the ratio of the discriminator's sides. Limits hold for a box whose cells move one by one,
    up to the rounding of single precision. Cells that follow others may lie anywhere within their limits.

    Args:
        tagger: From raw features to logits. A `lipschitz_mlp` has its limits in closed form, whatever the method.
        jets: The jets.
        threat_model: The box around each.
        separation: The discriminator.
        method: As of `kerastag.bounds.margin_bounds`.
        progress: Wraps the first jets of the batches.

    Returns:
        Float32 `(jets,)`; jets of other classes have their clean value.

    Raises:
        UserError: if there is no rule for a layer of the tagger.
    """
    over, against = (np.isin(jets.label, columns) for columns in separation.columns)
    limits = _of_lipschitz if models.is_lipschitz(tagger) else functools.partial(_of_layers, method=method)
    with beyond_ranges(threat_model.lower is None):
        low, high = limits(tagger, jets, threat_model, separation, progress=progress)
    clean = discriminant(attacked_logits(tagger, jets.features, jets.y, None), separation)
    return np.where(over, low, np.where(against, high, clean)).astype(np.float32)


def _of_layers(
    tagger: keras.Model,
    jets: Jets,
    threat_model: ThreatModel,
    separation: Separation,
    progress: Progress,
    method: Method,
) -> tuple[np.ndarray, np.ndarray]:
    @tf.function(autograph=False)
    def limits(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        low, high = threat_model.box(x, y).ends
        return margin_bounds(tagger, low, high, separation, method)

    batches = []
    for start in progress(range(0, len(jets), _AT_ONCE)):
        rows = np.arange(start, start + _AT_ONCE) % len(jets)  # the last batch is filled up, so that nothing is traced again
        batches.append([ends.numpy() for ends in limits(jets.features[rows], jets.y[rows])])
    low, high = (np.concatenate(ends)[: len(jets)] for ends in zip(*batches, strict=True))
    # A cell without limits, as of an input that is a function of others, leaves no limit and may end in NaN.
    return np.nan_to_num(low, nan=-np.inf, neginf=-np.inf), np.nan_to_num(high, nan=np.inf, posinf=np.inf)


def _of_lipschitz(
    tagger: keras.Model,
    jets: Jets,
    threat_model: ThreatModel,
    separation: Separation,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of a discriminator move by the bound of a logit at most."""
    low, high = (end.numpy() for end in threat_model.box(jets.features, jets.y).ends)
    change = 2 * models.largest_change(tagger, np.maximum(high - jets.features, jets.features - low))
    value = discriminant(attacked_logits(tagger, jets.features, jets.y, None), separation)
    return value - change, value + change
