"""What a threat model allows, feature by feature, in physical units."""

import numpy as np

from kerastag import tables
from kerastag.data.dataset import JetDataset


def table(dataset: JetDataset, epsilon: float, relative_cap: float) -> str:
    """A Markdown table with a row per feature.

    Columns: σ and interquartile range of the training jets; the budget ε·σ; its ratio to the interquartile range, large
    where a tail makes σ; the share of present cells that the cap holds back; and the median budget that is left there.

    Args:
        dataset: The data set whose training jets are looked at.
        epsilon: Size of the attack.
        relative_cap: The cap for the last two columns.
    """
    features = dataset.arrays("train").features
    statistics = dataset.statistics
    header = ("feature", "unit", "σ", "IQR", "ε·σ", "ε·σ/IQR", "capped cells", "median budget under cap")
    rows = []
    for column, feature in enumerate(dataset.schema.features):
        values = features[:, column]
        values = values[values != np.float32(feature.default)]
        reach = epsilon * statistics.sigma[column]
        capped = np.minimum(reach, relative_cap * np.abs(values))
        iqr = statistics.iqr[column]
        numbers = (f"{statistics.sigma[column]:.3g}", f"{iqr:.3g}")
        if feature.integer or not len(values):
            rows.append((feature.name, feature.unit, *numbers, "0 (integer)" if feature.integer else "", "", "", ""))
            continue
        ratio = f"{reach / iqr:.3f}" if iqr else "∞"
        rows.append(
            (
                feature.name,
                feature.unit,
                *numbers,
                f"{reach:.3g}",
                ratio,
                f"{np.mean(capped < reach):.0%}",
                f"{np.median(capped):.3g}",
            )
        )
    return tables.markdown(header, rows)
