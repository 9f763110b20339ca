"""Track resolutions of the Jet Flavor 2016 data set: a covariance matrix for each bin of generated pT and |η|.

The table was recovered from the published moments of the data set; below 10 GeV the impact parameters are twice as
uncertain. In the data set the |η| index is reversed: the resolutions listed first, the worst in d0, belong to the ends of a
detector but are used for its centre. `physical=True` restores the order.
"""

import functools

import numpy as np

ETA_EDGES = np.array([0.4, 0.8, 1.05, 1.5, 1.7, 2.0, 2.25])
PT_EDGES = np.array([10.0, 20.0, 50.0, 100.0, 200.0, 500.0])

# Rows: |η| bins. Columns: σ of d0 (µm), z0 (µm), φ (mrad), θ (mrad), q/p (1e-3/GeV) at 10 < pT <= 20 GeV.
_SIGMA = (
    np.array(
        [
            [24.79, 235.5, 0.4916, 0.1472, 1.0128],
            [20.17, 121.9, 0.3892, 0.1286, 0.6754],
            [17.66, 78.0, 0.3438, 0.1299, 0.7071],
            [15.93, 57.6, 0.3092, 0.1433, 0.7882],
            [14.03, 47.3, 0.2717, 0.1950, 0.8813],
            [12.51, 47.4, 0.2434, 0.3081, 1.0022],
            [11.58, 62.0, 0.2220, 0.4750, 0.9873],
            [11.27, 85.5, 0.2091, 0.6935, 0.9748],
        ]
    )
    * 1e-3
)  # to mm, rad and 1/GeV

# Pairs of parameters, in the order of `helix.PARAMETERS`, and their correlation in each |η| bin.
_CORRELATED = ((2, 0), (3, 1), (4, 2), (4, 0), (1, 0), (2, 1), (4, 1), (3, 0), (3, 2), (4, 3))
_CORRELATION = np.array(
    [
        [-0.872, 0.905, 0.534, -0.353, 0.0301, -0.0087, -0.0134, 0.0073, 0.0017, 0.0006],
        [-0.847, 0.839, 0.360, -0.198, 0.0414, -0.0151, -0.0235, 0.0018, -0.0055, -0.0191],
        [-0.823, 0.758, 0.348, -0.181, 0.0307, -0.0133, -0.0029, 0.0028, 0.0094, 0.0013],
        [-0.794, 0.700, 0.353, -0.192, 0.0174, -0.0167, -0.0006, -0.0030, 0.0090, 0.0122],
        [-0.757, 0.637, 0.352, -0.206, 0.0194, -0.0124, -0.0111, -0.0052, 0.0080, -0.0010],
        [-0.730, 0.639, 0.371, -0.197, -0.0009, 0.0096, -0.0042, -0.0103, 0.0163, -0.0018],
        [-0.689, 0.649, 0.344, -0.186, -0.0120, 0.0023, 0.0029, -0.0140, 0.0092, 0.0069],
        [-0.668, 0.664, 0.341, -0.171, -0.0074, -0.0045, -0.0017, 0.0006, -0.0046, 0.0053],
    ]
)

# Factors on the five σ in each pT bin.
_SCALE = np.array(
    [
        [2.0, 2.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [0.57, 0.80, 0.55, 0.70, 0.50],
        [0.42, 0.70, 0.40, 0.70, 0.36],
        [0.35, 0.70, 0.31, 0.65, 0.30],
        [0.30, 0.68, 0.25, 0.60, 0.26],
        [0.27, 0.66, 0.21, 0.55, 0.215],
    ]
)


@functools.cache
def covariances(physical: bool = False) -> np.ndarray:
    """Covariance matrices of all bins. Every element fits into float32.

    Args:
        physical: Whether resolutions grow with |η| as in a detector.

    Returns:
        `(pT bins, |η| bins, 5, 5)`, in mm, rad and 1/GeV.
    """
    correlation = np.tile(np.eye(5), (len(_CORRELATION), 1, 1))
    for number, (row, column) in enumerate(_CORRELATED):
        correlation[:, row, column] = correlation[:, column, row] = _CORRELATION[:, number]
    sigma = _SCALE[:, None, :] * _SIGMA
    matrices = sigma[..., :, None] * correlation * sigma[..., None, :]
    matrices = matrices.astype(np.float32).astype(np.float64)
    return matrices[:, ::-1] if physical else matrices


def bins(pt: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices into the first two axes of `covariances` for generated pT, GeV, and η; a bin includes its upper edge."""
    return np.searchsorted(PT_EDGES, pt, side="left"), np.searchsorted(ETA_EDGES, np.abs(eta), side="left")
