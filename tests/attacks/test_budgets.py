import dataclasses
import json

import numpy as np
import pytest

from kerastag.attacks import Physics, ThreatModel, budgets, rules
from kerastag.errors import UserError
from kerastag.request import PAPER
from kerastag.schema import DEEPFLAVOUR, JET_FLAVOR, SCHEMAS, Group
from tests.models.checks import made_up
from tests.toy import TOY

X = np.random.default_rng(0).uniform(0.5, 2, (20, 184)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[np.arange(20) % 3]


def box(name, schema=JET_FLAVOR, epsilon=1.0, untied=True, x=X, y=Y):
    scale = np.ones(len(schema.names))
    model = ThreatModel.from_schema(schema, scale, epsilon, physics=Physics(budget=str(name), untied=untied))
    again = ThreatModel.from_config(json.loads(json.dumps(model.get_config())))
    np.testing.assert_array_equal(model.box(x, y).budget, again.box(x, y).budget)
    return np.asarray(model.box(x, y).budget)


def column(values, name, schema=JET_FLAVOR):
    return values[:, schema.index(name)]


def test_resolution_is_a_share_of_that_of_the_track():
    budget = box("resolution-10", epsilon=2.0)
    for slot in range(6):
        variance = column(X, f"track_{slot}_D0D0")
        np.testing.assert_allclose(column(budget, f"track_{slot}_D0"), 0.2 * np.sqrt(variance), rtol=1e-6)
    assert not column(budget, "jet_pt").any() and (budget > 0).any(axis=0).sum() == 12


def test_alignment_is_a_length_and_a_momentum_scale_a_share():
    np.testing.assert_allclose(column(box("alignment-5um"), "track_3_Z0"), 0.005, rtol=1e-5)
    budget = box("momentum-scale-1")
    np.testing.assert_allclose(column(budget, "track_0_QOVERP"), 0.01 * column(X, "track_0_QOVERP"), rtol=1e-5)
    assert (budget > 0).any(axis=0).sum() == 1


@pytest.mark.parametrize("untied", [False, True])
def test_a_momentum_scale_is_one_number_for_all_tracks(untied):
    physics = Physics(budget="momentum-scale-1", untied=untied)
    found = ThreatModel.from_schema(JET_FLAVOR, np.ones(184), physics=physics).box(X, Y)
    signs = np.random.default_rng(2).choice([-1.0, 1.0], X.shape).astype(np.float32)
    moved = found.complete(found.corner(signs)).numpy()
    scale = column(X, "track_0_QOVERP") / column(moved, "track_0_QOVERP")
    np.testing.assert_allclose(np.unique(scale.round(4)), [0.9901, 1.0101])
    for slot in range(6):
        ratio = column(moved, f"track_{slot}_QOVERP") / column(X, f"track_{slot}_QOVERP")
        np.testing.assert_allclose(ratio, 1 / scale, rtol=1e-5)
        ratio = column(moved, f"track_{slot}_vertex_mass") / column(X, f"track_{slot}_vertex_mass")
        np.testing.assert_allclose(ratio, scale, rtol=1e-5)
    np.testing.assert_array_equal(column(moved, "track_0_D0"), column(X, "track_0_D0"))


def test_a_momentum_scale_keeps_directions_of_four_vectors():
    schema = SCHEMAS["particle_transformer_ak4"]
    x = made_up(schema, jets=20)
    physics = Physics(budget="momentum-scale-1")
    found = ThreatModel.from_schema(schema, np.ones(x.shape[1]), physics=physics).box(x)
    moved = found.complete(found.corner(np.ones_like(x))).numpy()
    filled = column(x, "Cpfcan_e_0", schema) != 0
    assert filled.any()
    for name in [f"Cpfcan_{part}_{slot}" for part in ("px", "py", "pz", "e") for slot in (0, 7)] + ["sv_e_0", "sv_px_1"]:
        before, after = column(x, name, schema), column(moved, name, schema)
        np.testing.assert_allclose(after[filled], 1.01 * before[filled], rtol=1e-5)
    for name in ("Npfcan_e_0", "Cpfcan_BtagPf_trackSip2dVal_0", "Cpfcan_ptrel_0"):
        np.testing.assert_array_equal(column(moved, name, schema), column(x, name, schema))


def test_what_is_tied_follows_without_a_size_of_its_own():
    schema = DEEPFLAVOUR
    x = np.random.default_rng(1).uniform(0.5, 0.9, (20, len(schema.names))).astype(np.float32)
    model = ThreatModel.from_schema(schema, np.ones(x.shape[1]), 1.0, physics=Physics(budget="alignment-5um"))
    moves, budget = np.asarray(model.box(x).moves), np.asarray(model.box(x).budget)
    value, significance = (f"Cpfcan_BtagPf_trackSip2d{what}_7" for what in ("Val", "Sig"))
    np.testing.assert_allclose(column(budget, value, schema), 0.0005, rtol=1e-3)
    assert column(moves, significance, schema).all() and not column(budget, significance, schema).any()
    # A budget of significances moves their values, as far as that lets them.
    model = ThreatModel.from_schema(schema, np.ones(x.shape[1]), 1.0, physics=Physics(budget="resolution-10"))
    expected = 0.1 * column(x, value, schema) / column(x, significance, schema)
    np.testing.assert_allclose(column(np.asarray(model.box(x).budget), value, schema), expected, rtol=1e-4)


def test_sizes_by_flavour(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('[toy]\n"track_*_d0" = {b = 0.2, c = 0.1, light = 0.05}\neta = 0.3\n')
    x = np.random.default_rng(1).uniform(0.5, 2, (3, 20)).astype(np.float32)
    budget = box(file, TOY, x=x, y=np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(column(budget, "track_1_d0", TOY), [0.2, 0.1, 0.05], rtol=1e-5)
    np.testing.assert_allclose(column(budget, "eta", TOY), 0.3, rtol=1e-5)
    assert (budget > 0).any(axis=0).sum() == 4


@pytest.mark.parametrize("name", budgets.names())
def test_those_that_come_along_fit_their_schemas(name):
    content = budgets.read(name)
    known = [schema for schema in SCHEMAS.values() if schema.name in content]
    assert content["title"] and set(content) == {"title", *(schema.name for schema in known)} <= {"title", *SCHEMAS}
    for schema in known:
        assert budgets.Budget.of(schema, np.ones(len(schema.names)), 1.0, name).named.any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("toy = 3", "says nothing of toy"),
        ("[other]", "says nothing of toy; it knows other"),
        ("[toy]\neta = 'x'", "must give a finite number for 'eta, b jets', not 'x'"),
        ("[toy]\neta = {b = 1}", "gives no number for 'eta, c jets'"),
        ("[toy]\neta = {share = 'a'}", "must give a finite number for 'eta, share', not 'a'"),
        ("[toy]\neta = -1", "must give at least 0 for 'eta, b jets', not -1"),
        ("[toy]\neta = nan", "must give a finite number for 'eta, b jets', not nan"),
        ("[toy]\neta = {share = -1}", "must give at least 0 for 'eta, share', not -1"),
        ("[toy]\neta = {share = 1, of = 'phi'}", "names 'phi' for 'eta', which is no feature; the nearest are"),
        ("[toy]\neta = {share = 1, of = 3}", "must name a feature by 'of' of 'eta', not 3"),
        ("[toy]\neta = {share = 1, pwr = 2}", "says 'pwr' of 'eta', which means nothing there; it may say of, power, share"),
        ("[toy]\neta = {share = 1, power = -800}", "has a power of -800 for 'eta', beyond ±4"),
        ("[toy]\neta = {share = 1, b = 1}", "says 'b' of 'eta', which means nothing there"),
        ("[toy]\neta = {b = 1, c = 1, light = 1, gluon = 9}", "says 'gluon' of 'eta'"),
        ("[toy]\neta = {follows = 'phi'}", "names 'phi' for 'eta', which is no feature; the nearest are"),
        ("[toy]\neta = {follows = 3}", "must name a feature by 'follows' of 'eta', not 3"),
        ("[toy]\neta = {follows = 'pt', share = 1}", "says 'follows' of 'eta', which means nothing there"),
        ("[toy]\neta = {follows = 'eta'}", "makes 'eta' follow 'eta', which follows another; give that a size of its own"),
        ("[toy]\neta = {follows = 'pt'}", "Nothing can move"),
        ("[toy]", "Nothing can move"),
        ("[toy]\neta = 0", "Nothing can move"),
        ("[toy]\nn = 1", "Nothing can move"),
        ("[toy]\nphi = 1", "No feature of toy matches 'phi'"),
        ("toy", "is not valid TOML"),
    ],
)
def test_nonsense_ends_in_a_sentence(tmp_path, text, sentence):
    (tmp_path / "b.toml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        box(tmp_path / "b.toml", TOY)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"eta": -1.0}, "'eta' must have a number of at least 0. Received: -1.0"),
        ({"eta": np.nan}, "'eta' must have a number of at least 0. Received: nan"),
        ({"eta": {"b": 1.0}}, "'eta' must have a number of at least 0"),
        ({}, "Nothing can move"),
    ],
)
def test_sizes_by_name_are_checked(sizes, sentence):
    with pytest.raises(UserError, match=sentence):
        ThreatModel.from_schema(TOY, np.ones(len(TOY.names)), sizes)


def test_sizes_by_name_and_a_budget_exclude_each_other():
    with pytest.raises(UserError, match="the budget 'alignment-5um' exclude each other"):
        ThreatModel.from_schema(JET_FLAVOR, np.ones(184), {"jet_pt": 1.0}, physics=Physics(budget="alignment-5um"))


def test_a_budget_that_is_named_is_meant_once():
    model = ThreatModel.from_schema(JET_FLAVOR, np.ones(184), physics=Physics(budget="alignment-5um"))
    assert model.epsilon == 1.0
    assert ThreatModel.from_schema(JET_FLAVOR, np.ones(184)).epsilon == 0.01


def test_a_scale_of_another_length_is_named():
    with pytest.raises(UserError, match="jet_flavor has 184 features, but `scale` is of shape"):
        ThreatModel.from_schema(JET_FLAVOR, np.ones(5))


def test_a_budget_that_is_a_folder(tmp_path):
    with pytest.raises(UserError, match="is a folder; name a file in it"):
        box(tmp_path, TOY)


def test_the_example_in_the_help_is_a_budget(tmp_path):
    """And it says what an attack then may do."""
    from kerastag.commands import threat_model

    lines = [line[2:] for line in threat_model.EPILOG.splitlines() if line.startswith(("  title", "  [", '  "'))]
    (tmp_path / "mine.toml").write_text("\n".join(lines).replace("%%", "%"))
    budget = box(tmp_path / "mine.toml", untied=True)
    np.testing.assert_allclose(column(budget, "track_0_D0"), 0.005, rtol=1e-5)
    np.testing.assert_allclose(column(budget, "track_0_QOVERP"), 0.01 * abs(column(X, "track_0_QOVERP")), rtol=1e-5)


def test_a_budget_that_does_not_exist():
    with pytest.raises(UserError, match="There is no budget 'nowhere'"):
        box("nowhere", TOY)


def test_what_a_budget_says_tells_boxes_apart(tmp_path):
    file, untied = tmp_path / "own.toml", Physics(untied=True)
    file.write_text('title = "t"\n[toy]\npt = 0.1\n')
    own = Physics(budget=str(file))
    before = rules.fingerprint(TOY, own)
    assert before == rules.fingerprint(TOY, own) != rules.fingerprint(TOY, Physics())
    file.write_text('title = "t"\n[toy]\npt = 0.2\n')
    assert rules.fingerprint(TOY, own) != before
    special = dataclasses.replace(TOY.groups[0].variables[0], special=(1.0,))
    changed = dataclasses.replace(TOY, groups=(Group("jet", (special, *TOY.groups[0].variables[1:])), *TOY.groups[1:]))
    assert rules.fingerprint(changed, untied) != rules.fingerprint(TOY, untied)
    # In the paper's box no value is special.
    assert rules.fingerprint(changed, PAPER) == rules.fingerprint(TOY, PAPER) == "paper"
