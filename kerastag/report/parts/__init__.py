"""The parts of the report, in the order of the page."""

from kerastag.report.part import Part
from kerastag.report.parts import (
    architectures,
    areas,
    calibration,
    certified,
    directions,
    epochs,
    feature_groups,
    flatness,
    hidden,
    inputs,
    mismodelling,
    pareto,
    realism,
    shapes,
    trainings,
    transfer,
    vulnerability,
    working_points,
)

PARTS: tuple[Part, ...] = (
    vulnerability,
    certified,
    transfer,
    shapes,
    hidden,
    directions,
    trainings,
    epochs,
    flatness,
    realism,
    mismodelling,
    working_points,
    areas,
    feature_groups,
    calibration,
    inputs,
    architectures,
    pareto,
)

__all__ = ["PARTS"]
