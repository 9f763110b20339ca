"""What figures show; how they look was looked at."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerastag import plots
from kerastag.evaluation.histograms import histograms
from tests.toy import TOY


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def areas(taggers=("a", "b")):
    return [
        {"tagger": name, "attack": attack, "epsilon": size, "cap": cap, "discriminator": which}
        | {"value": 0.9 - size, "low": 0.89 - size, "high": 0.91 - size}
        for name in taggers
        for attack in ("FGSM", "PGD-20")
        for cap in (None, 0.2)
        for size in (0.0, 0.1)
        for which in ("BvL", "CvB", "CvL")
    ]


def test_a_tagger_has_one_colour_in_every_figure(toy_jets):
    y = toy_jets[1].numpy()
    scores = np.random.default_rng(0).normal(size=(200, 3))
    _, (line,) = plots.roc(y, {"a": {"clean": scores}, "b": {"clean": scores}}, ["BvL"], "")
    _, panels = plots.against_epsilon(areas(), "")
    roc_colors = {drawn.get_label()[0]: drawn.get_color() for drawn in line[0].lines}
    curve_colors = {drawn.get_label()[0]: drawn.get_color() for drawn in panels[0, 0].lines if drawn.get_label()[0] in "ab"}
    assert roc_colors == curve_colors and len(set(roc_colors.values())) == 2
    assert not set(roc_colors.values()) & {flavour.color for flavour in TOY.classes}


def test_shapes_are_the_counts_they_were_given(toy_jets):
    x, y = (values.numpy() for values in toy_jets)
    shapes = {"n": histograms(TOY, "n", x, {"a": x}, y.argmax(axis=1), np.ones(200))}
    _, axes = plots.attacked(TOY, shapes, 0.2, "title")
    upper, lower = axes[:2, 0]
    drawn = [patch.get_data() for patch in upper.patches]
    present = (x[:, TOY.index("n")] != TOY.defaults[TOY.index("n")]).sum()
    assert [data.values.sum() for data in drawn] == [present, present]
    np.testing.assert_array_equal(np.diff(drawn[0].edges), 1)
    ratio = lower.patches[-1].get_data().values
    np.testing.assert_array_equal(ratio[np.isfinite(ratio)], 1)
    assert {line.get_ydata()[0] for line in lower.lines} == {0.8, 1.2}


def test_front_is_of_the_taggers_that_none_exceeds():
    rows = [
        {"tagger": name, "attack": "FGSM", "clean": clean, "attacked": attacked, "clean_spread": 0.01, "attacked_spread": 0.0}
        | {"seeds": 3}
        for name, clean, attacked in (("a", 0.95, 0.90), ("b", 0.94, 0.93), ("worse", 0.93, 0.92))
    ]
    _, axes = plots.pareto(rows, ["FGSM"], "")
    (front,) = (line for line in axes[0, 0].lines if line.get_label() == "front")
    np.testing.assert_array_equal(front.get_xdata(), [0.94, 0.95])


def test_losses_within_their_error_leave_a_gap():
    rows = [
        {"tagger": "a", "kind": "noise", "is_attack": False, "size": size, "value": 0.9, "low": 0.8, "high": 1.0}
        | {"loss": 0.01, "loss_low": low, "loss_high": 0.02}
        for size, low in ((0.1, 0.005), (0.2, -0.001), (0.3, 0.001))
    ]
    _, axes = plots.against_size(rows, "")
    np.testing.assert_array_equal(np.isnan(axes[0, 0].lines[0].get_ydata()), [False, True, False])
    figure, _ = plots.against_size([rows[1]], "")
    figure.canvas.draw()  # an axis without numbers cannot be logarithmic


def test_rates_of_too_few_jets_are_not_drawn():
    rows = [
        {"tagger": "a", "binning": "pt", "bin": name, "flavour": "b", "ratio": ratio, "ratio_low": ratio, "ratio_high": ratio}
        for name, ratio in (("low", 0.9), ("high", None))
    ]
    _, axes = plots.working_points(rows, {"pt": ["low", "high"]}, ["b"], "")
    (points,) = axes[0, 0].containers
    assert list(points.lines[0].get_ydata()) == [0.9]


def test_surfaces_share_one_scale_and_show_the_box():
    surfaces = {"a": np.arange(9.0).reshape(3, 3), "b": np.full((3, 3), 4.0)}
    _, axes = plots.loss_surface(surfaces, np.array([-0.5, 0, 0.5]), ("x", "y"), 0.1, "")
    limits = [axis.collections[0].get_clim() for axis in axes[0]]
    assert limits[0] == limits[1] == (0, 8)
    box = axes[0, 0].patches[-1]
    assert (box.get_x(), box.get_width()) == (-0.1, 0.2)


def test_saving_writes_every_format_and_releases_the_figure(tmp_path):
    figure, _ = plots.panels(1, 1, "title")
    plots.save(figure, tmp_path / "a.png", tmp_path / "a.pdf", dpi=20)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG") and (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert not plt.fignum_exists(figure.number)
