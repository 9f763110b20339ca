"""Angles and masses."""

import numpy as np


def wrapped(phi: np.ndarray) -> np.ndarray:
    """Angles moved into [-π, π)."""
    return (phi + np.pi) % (2 * np.pi) - np.pi


def delta_r(eta: np.ndarray, phi: np.ndarray, other_eta: np.ndarray, other_phi: np.ndarray) -> np.ndarray:
    """Distance in (η, φ) between two directions, `(n,)`."""
    return np.hypot(eta - other_eta, wrapped(phi - other_phi))


def mass(momentum: np.ndarray) -> np.ndarray:
    """Invariant mass of four-vectors (px, py, pz, E), `(n, 4)`, GeV; rounding below zero gives 0."""
    return np.sqrt(np.maximum(momentum[:, 3] ** 2 - (momentum[:, :3] ** 2).sum(axis=1), 0.0))


def eta_phi(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudorapidity and azimuth of vectors `(n, 3)`; along the beam line the former is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.arcsinh(vectors[:, 2] / np.hypot(vectors[:, 0], vectors[:, 1]))
    return eta, np.arctan2(vectors[:, 1], vectors[:, 0])


def unit_vectors(eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Unit vectors `(n, 3)` of directions."""
    return np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1) / np.cosh(eta)[:, None]
