"""What an attack may do to each feature, in physical units."""

import numpy as np
import tensorflow as tf

from kerastag import tables
from kerastag.attacks import Condition, budgets, describe, untied
from kerastag.attacks.threat_model import ThreatModel
from kerastag.catalogue import SCALES
from kerastag.data import JetDataset
from kerastag.request import EPSILON, PHYSICS, Physics, Sample
from kerastag.runs.opening import opened
from kerastag.schema import Feature, discovery

# Training jets that are looked at.
_JETS = 20_000


def threat_model(
    sample: Sample,
    epsilon: float | None = None,
    relative_cap: float | None = None,
    physics: Physics = PHYSICS,
    scale: str = "sigma",
) -> None:
    """Print the box of an attack, feature by feature.

    Args:
        sample: Names the data set, whose training jets are looked at.
        epsilon: Size of the attack; None for the paper's, or for once a budget that is named.
        relative_cap: Largest change relative to each value; None for none.
        physics: Which rules hold, and the budget.
        scale: Unit of ε.

    Raises:
        UserError: if there is no such data set or budget, or a number is out of range.
    """
    dataset = opened(sample)
    epsilon = (1.0 if physics.budget else EPSILON) if epsilon is None else epsilon
    model = Condition("fgsm", epsilon, relative_cap, scale=scale, physics=physics).threat_model(dataset)
    unit = SCALES.find(scale).help
    if physics.budget:
        unit = f"times the budget '{physics.budget}' ({budgets.read(physics.budget).get('title', 'without title')})"
    cap = "" if relative_cap is None else f", at most {100 * relative_cap:g}% of each value"
    print(f"{dataset.schema.name}, ε = {epsilon:g} {unit}{cap}{f', {physics.label}' if physics.label else ''}\n")
    print(describe(model, dataset.schema))
    print(f"\nIn the first {min(_JETS, dataset.count('train')):,} training jets:\n\n{table(dataset, model)}")
    print(f"\nSpecial values and tabulated inputs that were found:\n\n{discovery.markdown(_findings(dataset), dataset.schema)}")
    if physics.tied and (reasons := untied(dataset.schema)):
        print(f"\nInputs that follow from what is no input, and move on their own:\n\n{reasons}")


def _findings(dataset: JetDataset) -> tuple[discovery.Finding, ...]:
    """What was found when the data set was built, or now if that was before there was a search."""
    return dataset.findings or discovery.search(dataset.arrays("train").features, dataset.schema)


def table(dataset: JetDataset, model: ThreatModel) -> str:
    """A Markdown table with a row per feature.

    Columns: σ and interquartile range of the training jets; and of their present cells the share that moves on its own, the
    share that follows others, the share that stays; and the median of the largest change of those that move on their own.

    Args:
        dataset: The data set whose training jets are looked at.
        model: The box.
    """
    jets = dataset.arrays("train").take(slice(_JETS))
    box = model.box(tf.constant(jets.features), tf.constant(jets.y))
    budget, moves = np.asarray(box.budget), np.asarray(box.moves)
    header = ("feature", "unit", "σ", "IQR", "free", "follow", "stay", "median budget")
    rows = []
    for column, feature in enumerate(dataset.schema.features):
        present = jets.features[:, column] != np.float32(feature.default)
        sizes = (dataset.statistics.sigma[column], dataset.statistics.iqr[column])
        rows.append(_row(feature, sizes, budget[present, column], moves[present, column]))
    return tables.markdown(header, rows)


def _row(feature: Feature, sizes: tuple[float, float], budget: np.ndarray, moves: np.ndarray) -> list[str]:
    """Cells of a feature; of its present cells the budget and whether they move, `(jets,)` each."""
    cells = [feature.name, feature.unit, *(f"{size:.3g}" for size in sizes)]
    if not len(budget):
        return [*cells, "", "", "", ""]
    free = budget > 0
    median = f"{np.median(budget[free]):.3g}" if free.any() else ""
    return [*cells, f"{free.mean():.0%}", f"{(moves & ~free).mean():.0%}", f"{(~moves).mean():.0%}", median]
