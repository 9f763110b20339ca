"""Figures in mplhep's style. Each function takes numbers, returns `(figure, axes)` and saves nothing."""

from kerastag.plots.architectures import architectures
from kerastag.plots.curves import (
    against_epsilon,
    against_inputs,
    against_jets,
    against_size,
    certified,
    epochs,
    history,
    roc,
    trade_off,
)
from kerastag.plots.defenses import defenses
from kerastag.plots.growth import growth
from kerastag.plots.matrices import correlations, loss_surface, transfer
from kerastag.plots.pareto import fronts, pareto, pareto_curves
from kerastag.plots.points import areas, feature_groups, flatness, reliability, working_points
from kerastag.plots.shapes import attacked, attacked_by_flavour, features, outputs
from kerastag.plots.style import panels, save, styled, tagger_styles
from kerastag.plots.systematics import attack_against_variations

__all__ = [
    "against_epsilon",
    "against_inputs",
    "against_jets",
    "against_size",
    "architectures",
    "areas",
    "attack_against_variations",
    "attacked",
    "attacked_by_flavour",
    "certified",
    "correlations",
    "defenses",
    "epochs",
    "feature_groups",
    "features",
    "flatness",
    "fronts",
    "growth",
    "history",
    "loss_surface",
    "outputs",
    "panels",
    "pareto",
    "pareto_curves",
    "reliability",
    "roc",
    "save",
    "styled",
    "tagger_styles",
    "trade_off",
    "transfer",
    "working_points",
]
