"""What figures show; how they look was looked at."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerastag import plots
from kerastag.histograms import histograms
from kerastag.plots import style
from kerastag.plots.shapes import _ratio
from kerastag.results import Interval, NotDefined, Seeds
from tests.toy import TOY


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def areas(taggers=("a", "b")):
    return [
        {"tagger": name, "attack": attack, "epsilon": size, "cap": cap, "discriminator": discriminator}
        | {"area": Interval.around(0.9 - size, 0.01)}
        for name in taggers
        for attack in ("FGSM", "PGD-20")
        for cap in (None, 0.2)
        for size in (0.0, 0.1)
        for discriminator in ("BvL", "CvB", "CvL")
    ]


def test_a_tagger_has_one_colour_in_every_figure(toy_jets):
    y = toy_jets[1].numpy()
    scores = np.random.default_rng(0).normal(size=(200, 3))
    _, (line,) = plots.roc(y, {"a": {"clean": scores}, "b": {"clean": scores}}, [TOY.main], "")
    _, panels = plots.against_epsilon(areas(), "")
    roc_colors = {drawn.get_label()[0]: drawn.get_color() for drawn in line[0].lines}
    curve_colors = {drawn.get_label()[0]: drawn.get_color() for drawn in panels[0, 0].lines if drawn.get_label()[0] in "ab"}
    assert roc_colors == curve_colors and len(set(roc_colors.values())) == 2
    assert not set(roc_colors.values()) & {flavour.color for flavour in TOY.classes}


def test_curves_are_of_the_jets_that_have_a_score(toy_jets):
    """And a panel without any score says so."""
    y = toy_jets[1].numpy()
    scores, counted = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 4 != 0
    with_holes = np.where(counted[:, None], scores, np.nan)
    _, (line,) = plots.roc(y, {"a": {"clean": {"BvL": with_holes}}}, TOY.in_tables[:2], "", counted={"a": counted})
    _, (alone,) = plots.roc(y[counted], {"a": {"clean": scores[counted]}}, [TOY.main], "")
    np.testing.assert_array_equal(line[0].lines[0].get_xydata(), alone[0].lines[0].get_xydata())
    assert not line[1].lines and [text.get_text() for text in line[1].texts] == ["too few mistagged jets, or no score"]


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
        {"tagger": name, "attack": "FGSM", "clean": Seeds((clean - 0.01, clean + 0.01)), "attacked": Seeds((attacked,))}
        for name, clean, attacked in (("a", 0.95, 0.90), ("b", 0.94, 0.93), ("worse", 0.93, 0.92))
    ]
    _, axes = plots.pareto(rows, "", "BvL")
    (front,) = (line for line in axes[0, 0].lines if line.get_label() == "front")
    np.testing.assert_allclose(front.get_xdata(), [0.94, 0.95])
    assert [container.get_label() for container in axes[0, 0].containers] == [
        f"{name}, 2 seeds" for name in ("a", "b", "worse")
    ]
    assert all(container.has_xerr and not container.has_yerr for container in axes[0, 0].containers)


def test_one_that_is_best_in_both_is_no_front():
    rows = [
        {"tagger": name, "attack": "FGSM", "clean": Seeds((clean,)), "attacked": Seeds((0.9 * clean,))}
        for name, clean in (("best", 0.95), ("worse", 0.94))
    ]
    _, axes = plots.pareto(rows, "", "BvL")
    assert axes[0, 0].get_legend_handles_labels()[1] == ["best", "worse"]


def test_losses_within_their_error_leave_a_gap():
    rows = [
        {"tagger": "a", "kind": "noise", "is_attack": False, "size": size, "loss": Interval(0.01, low, 0.02)}
        for size, low in ((0.1, 0.005), (0.2, -0.001), (0.3, 0.001))
    ]
    _, axes = plots.against_size(rows, "", "BvL")
    np.testing.assert_array_equal(np.isnan(axes[0, 0].lines[0].get_ydata()), [False, True, False])
    figure, _ = plots.against_size([rows[1]], "", "BvL")
    figure.canvas.draw()  # an axis without numbers cannot be logarithmic


def test_rates_of_too_few_jets_are_not_drawn():
    rows = [
        {"tagger": "a", "binning": "pt", "bin": name, "flavour": "b", "ratio": ratio}
        for name, ratio in (("low", Interval(0.9, 0.9, 0.9)), ("high", NotDefined("few jets")))
    ]
    _, axes = plots.working_points(rows, {"pt": ["low", "high"]}, TOY.main, "")
    (points,) = axes[0, 0].containers
    assert list(points.lines[0].get_ydata()) == [0.9]


def test_areas_show_the_spread_of_seeds_where_there_are_several():
    rows = [
        {"tagger": name, "condition": condition, "area": Interval(0.9, 0.88, 0.91), "seeds": seeds}
        for name, seeds in (("a", Seeds((0.9, 0.92))), ("b", Seeds((0.9,))))
        for condition in ("clean", "FGSM")
    ]
    differences = [{"tagger": "b", "condition": "FGSM", "difference": Interval(0.01, 0.0, 0.02)}]
    _, axes = plots.areas(rows, differences, "a", "", "BvL")
    assert [container.get_label() for container in axes[0, 0].containers] == ["a", "a, seeds", "b"]
    (bar,) = axes[0, 1].containers[0].lines[2]
    np.testing.assert_allclose(bar.get_segments()[0][:, 0], [0.0, 0.02])


def test_groups_that_matter_most_are_drawn():
    def rows(losses):
        return [
            {"tagger": "a", "group": group, "attacked": attacked, "loss": Interval.around(loss, 0.001)}
            for group, loss in losses.items()
            for attacked in (("all",) if group == "all" else ("only", "all but"))
        ]

    by_variable = rows({"all": 0.1, "pt": 0.01, "d0": 0.05, "eta": 0.02})
    _, axes = plots.feature_groups(rows({"all": 0.1, "jet": 0.1}), by_variable, 2, "", "BvL")
    names = [[label.get_text() for label in axis.get_yticklabels()] for axis in axes[0]]
    assert names == [["all", "jet"], ["all", "d0", "eta"]]


def test_scans_run_from_few_inputs_to_many_and_clean_jets_have_no_loss():
    rows = [
        {"inputs": inputs, "features": number, "training": "nominal", "condition": condition}
        | {"area": Interval.around(0.9, 0.01), "loss": Interval.around(0.001 * number, 0.001)}
        for inputs, number in (("all", 20), ("jet", 3))
        for condition in ("clean", "FGSM ε=0.01")
    ]
    _, axes = plots.against_inputs(rows, "", "BvL")
    areas, losses = ([(line.get_label(), line.get_linestyle()) for line in axis.lines] for axis in axes[0])
    assert areas == [("nominal, clean", "-"), ("nominal, FGSM ε=0.01", "--")]
    assert losses == areas[1:]
    np.testing.assert_allclose(axes[0, 1].lines[0].get_ydata(), [0.003, 0.02])


def test_surfaces_share_one_scale_and_show_the_box():
    surfaces = {"a": np.arange(9.0).reshape(3, 3), "b": np.full((3, 3), 4.0)}
    _, axes = plots.loss_surface(surfaces, np.array([-0.5, 0, 0.5]), ("x", "y"), (0.1, 0.05), "", "core σ")
    limits = [axis.collections[0].get_clim() for axis in axes[0]]
    assert limits[0] == limits[1] == (0, 8)
    box = axes[0, 0].patches[-1]
    assert (box.get_x(), box.get_width(), box.get_y(), box.get_height()) == (-0.1, 0.2, -0.05, 0.1)
    assert axes[0, 0].get_xlabel() == "Δ(x) [core σ]"


def test_saving_writes_every_format_and_releases_the_figure(tmp_path):
    figure, _ = plots.panels(1, 1, "title")
    plots.save(figure, tmp_path / "a.png", tmp_path / "a.pdf", dpi=20)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG") and (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert not plt.fignum_exists(figure.number)


def test_loss_stands_at_the_number_of_jets_that_shows_it():
    row = {"loss": Interval.around(0.02, 0.001), "input_jets": 1e4, "discriminator_jets": 3e5, "classifier_jets": None}
    _, axes = plots.against_jets([row], "", "BvL")
    (axis,) = axes.flat
    assert [bars.lines[0].get_xdata()[0] for bars in axis.containers] == [1e4, 3e5, 3e6]
    assert len(axis.texts) == 1


def test_a_curve_joins_the_sizes_of_a_defence():
    rows = [
        {"defence": name, "strength": strength, "attack": "FGSM", "clean": Seeds((clean,)), "attacked": Seeds((attacked,))}
        for name, strength, clean, attacked in (
            ("nominal", (("", 0.01),), 0.95, 0.90),
            ("fgsm", (("", 0.02),), 0.93, 0.92),
            ("fgsm", (("", 0.01),), 0.94, 0.91),
            ("trades", (("", 0.01), ("β=", 6.0)), 0.93, 0.93),
            ("trades", (("", 0.01), ("β=", 1.0)), 0.94, 0.92),
        )
    ]
    _, axes = plots.pareto_curves(rows, "", "BvL")
    lines = {container.get_label(): container.lines[0] for container in axes[0, 0].containers}
    assert list(lines) == ["nominal", "fgsm", "trades"]
    np.testing.assert_allclose(lines["fgsm"].get_xydata(), [[0.94, 0.91], [0.93, 0.92]])
    assert [text.get_text() for text in axes[0, 0].texts] == ["0.01", "0.02", "β=1", "β=6"]
    certified = [{**row, "attack": "certified"} for row in rows if row["defence"] != "nominal"]  # trees have none
    _, axes = plots.pareto_curves([*rows, *certified], "", "BvL")
    shown = [[container.get_label() for container in axis.containers] for axis in axes.flat]
    assert shown == [["nominal", "fgsm", "trades"], ["fgsm", "trades"]]


def test_many_defences_show_their_strength_by_the_size_of_markers():
    rows = [
        {"defence": f"defence {number}", "strength": (("", size),), "attack": "FGSM"}
        | {"clean": Seeds((0.95 - size,)), "attacked": Seeds((0.9 + size / 10 + number / 100,))}
        for number in range(10)
        for size in (0.03, 0.01, 0.02)
    ]
    figure, ((axis,),) = plots.pareto_curves(rows, "Areas", "BvL")
    assert not axis.texts and axis.get_legend() is None and "larger markers" in figure.get_suptitle()
    assert "bars" not in figure.get_suptitle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"defence {number}" for number in range(10)]
    curves = [container.lines[0] for container in axis.containers]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in curves}
    assert len(curves) == len(looks) == 10
    for line in curves:  # the weakest has the marker of the line
        stronger = [point for point in axis.lines if len(point.get_xdata()) == 1 and point.get_color() == line.get_color()]
        stronger = [point for point in stronger if point.get_marker() == line.get_marker()]
        assert [line.get_xdata()[0], *(point.get_xdata()[0] for point in stronger)] == pytest.approx([0.94, 0.93, 0.92])
        sizes = [line.get_markersize(), *(point.get_markersize() for point in stronger)]
        assert sizes == sorted(set(sizes))


def test_certificates_lie_below_attacks_with_a_band_between_them():
    rows = [
        {
            "tagger": name,
            "epsilon": size,
            "attacked": Interval(high, high - 0.01, high + 0.01),
            "certified": Interval(low, low, low),
        }
        for name in ("a", "b")
        for size, high, low in ((0.01, 0.9, 0.8), (0.1, 0.7, 0.1))
    ]
    _, ((axis,),) = plots.certified(rows, "BvL", "")
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["a, strongest attack", "a, certified", "b, strongest attack", "b, certified"]
    first, second, *_ = [container[0] for container in axis.containers]
    assert list(first.get_ydata()) == [0.9, 0.7] and list(second.get_ydata()) == [0.8, 0.1]
    assert axis.get_xscale() == "log" and axis.get_ylim()[0] > 0.4
    assert {line.get_color() for line in (first, second)} == {first.get_color()}


@pytest.mark.parametrize(("quantities", "layout"), [(3, (1, 3)), (7, (2, 4)), (8, (2, 4))])
def test_defences_stand_in_rows_of_panels_whose_text_can_be_read(quantities, layout):
    """All of it lies in the figure, and none on other text; a panel too many is empty."""
    generator, names = np.random.default_rng(0), [f"quantity {number}" for number in range(quantities)]
    means = np.array([0.94, 0.93, 1.0, 0.0014, 0.005, 0.04, 0.92, 0.9])[:quantities]
    rows = [
        {"defence": f"variations-of-defence-{line}"}
        | {name: Seeds(tuple(mean * (1 + generator.normal(0, 0.004, 3)))) for name, mean in zip(names, means, strict=True)}
        for line in range(15)
    ]
    rows[3]["quantity 2"] = Seeds((18.4,))
    figure, axes = plots.defenses(
        rows, names, "quantity 1", "Areas of many jets, their changes, and what else to choose by. " * 2
    )
    assert axes.shape == layout
    shown = [axis for axis in axes.flat if axis.get_visible()]
    assert [axis.get_xlabel() for axis in shown] == names
    figure.draw_without_rendering()
    texts = [figure._suptitle, *(axis.xaxis.label for axis in shown)]
    for axis in shown:
        ticks = zip(axis.get_xticklabels(), axis.get_xticks(), strict=True)
        texts += [label for label, at in ticks if axis.get_xlim()[0] <= at <= axis.get_xlim()[1]]
    texts += [label for axis in axes[:, 0] for label in axis.get_yticklabels()]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) > 2 * quantities + 15
    for place, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and not box.count_overlaps(boxes[:place]), texts[place]
    best = max(rows, key=lambda row: row["quantity 1"].mean)
    order = [label.get_text() for label in axes[0, 0].get_yticklabels()]
    assert order[-1] == best["defence"] and axes.flat[1].get_ylim()[0] < axes.flat[1].get_ylim()[1]


@pytest.mark.parametrize("weight", [1e-3, 1.0, 300.0])
def test_ratios_are_shown_for_bins_of_enough_jets_whatever_they_weigh(weight):
    counts = np.array([5.0, 50.0])
    shape = {"clean": {"b": weight * counts}, "variance": weight**2 * counts}
    np.testing.assert_array_equal(_ratio(weight * counts, weight * counts, shape), [np.nan, 1])


def test_a_long_title_stays_on_its_figure():
    """That of a data set with a long name was cut at both sides."""
    with plt.style.context(style.STYLE):
        figure, _ = style.panels(1, 1, "1,000 jets of particle_transformer_ak4, the test split; bands: 68 %, attacks ε = 0.01")
        figure.canvas.draw()
        extent = figure._suptitle.get_window_extent()
    assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width
