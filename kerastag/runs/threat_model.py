"""What an attack may do to each feature, in physical units."""

import numpy as np

from kerastag import data, tables
from kerastag.data import JetDataset
from kerastag.request import EPSILON, RELATIVE_CAP, Sample
from kerastag.schema import Feature


def threat_model(sample: Sample, epsilon: float = EPSILON, relative_cap: float = RELATIVE_CAP) -> None:
    """Print the budget of an attack, feature by feature.

    Args:
        sample: Names the data set, whose training jets are looked at.
        epsilon: Size of the attack.
        relative_cap: The cap for the last two columns.

    Raises:
        UserError: if there is no such data set.
    """
    dataset = data.prepare(sample.config, data_dir=sample.data_dir, manual_dir=sample.manual_dir)
    print(table(dataset, epsilon, relative_cap))


def table(dataset: JetDataset, epsilon: float, relative_cap: float) -> str:
    """A Markdown table with a row per feature.

    Columns: σ and interquartile range of the training jets; the budget ε·σ; its ratio to the interquartile range, large
    where a tail makes σ; the share of present cells that the cap holds back; and the median budget that is left there.

    Args:
        dataset: The data set whose training jets are looked at.
        epsilon: Size of the attack.
        relative_cap: The cap for the last two columns.
    """
    x, statistics = dataset.arrays("train").features, dataset.statistics
    header = ("feature", "unit", "σ", "IQR", "ε·σ", "ε·σ/IQR", "capped cells", "median budget under cap")
    rows = []
    for column, feature in enumerate(dataset.schema.features):
        present = x[x[:, column] != np.float32(feature.default), column]
        sigma, iqr = statistics.sigma[column], statistics.iqr[column]
        rows.append(_row(feature, present, sigma, iqr, epsilon, relative_cap))
    return tables.markdown(header, rows)


def _row(feature: Feature, present: np.ndarray, sigma: float, iqr: float, epsilon: float, relative_cap: float) -> list[str]:
    """Cells of a feature, of which `present` are the values `(jets,)` that are not its default."""
    cells = [feature.name, feature.unit, f"{sigma:.3g}", f"{iqr:.3g}"]
    if feature.integer or not len(present):
        return [*cells, "0 (integer)" if feature.integer else "", "", "", ""]
    reach = epsilon * sigma
    budget = np.minimum(reach, relative_cap * np.abs(present))
    ratio = f"{reach / iqr:.3f}" if iqr else "∞"
    return [*cells, f"{reach:.3g}", ratio, f"{np.mean(budget < reach):.0%}", f"{np.median(budget):.3g}"]
