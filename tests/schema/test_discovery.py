import dataclasses
import json
import re

import numpy as np
import pytest

from kerastag.schema import DEEPCSV, DEEPNTUPLE, JET_FLAVOR, Group, Schema, Variable, discovery
from kerastag.schema.discovery import Finding

JETS = 20_000


def schema_of(*variables: Variable, slots: int | None = None) -> Schema:
    groups = (Group("jet", variables, slots=slots),)
    return dataclasses.replace(JET_FLAVOR, name="made_up", groups=groups, helix=None, ties=())


def found(values: np.ndarray, **facts) -> tuple[Finding, ...]:
    """Findings in one feature of a default of -9."""
    schema = schema_of(Variable("x", "x", default=-9.0, **facts))
    return discovery.search(np.asarray(values, np.float32)[:, None], schema)


def normal(jets: int = JETS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=jets)


def rounded(values: np.ndarray, digits: int) -> np.ndarray:
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.round(fraction * 2.0**digits), exponent - digits)


def with_share(values: np.ndarray, share: float, value: float) -> np.ndarray:
    return np.where(np.random.default_rng(2).random(len(values)) < share, value, values)


def test_a_value_that_many_cells_share_is_special():
    (finding,) = found(with_share(normal(), 0.3, 0.0))
    assert (finding.feature, finding.value, finding.known) == ("x", 0.0, False)
    assert finding.share == pytest.approx(0.3, abs=0.02)
    assert 13_000 < finding.distinct < 15_000


def test_share_is_that_of_cells_that_are_present():
    values = with_share(normal(), 0.02, 0.5)
    values[: JETS // 2] = -9
    (finding,) = found(values)
    assert finding.share == pytest.approx(0.02, abs=0.005)


def test_the_default_and_rare_values_are_not_special():
    assert not found(with_share(normal(), 0.3, -9.0))
    assert not found(with_share(normal(), 0.008, 0.0))


def test_a_table_is_found_without_its_values():
    table = normal(25, seed=3)
    (finding,) = found(np.random.default_rng(4).choice(table, JETS))
    assert (finding.value, finding.distinct) == (None, 25)


def test_a_value_that_sticks_out_of_a_table_is_special():
    table = np.random.default_rng(4).choice(np.arange(100) / 100, JETS)
    assert [finding.value for finding in found(with_share(table, 0.4, 1.0))] == [None, 1.0]


def test_what_the_schema_knows_is_known():
    assert found(with_share(normal(), 0.3, 0.1), special=(0.1,))[0].known
    assert not found(with_share(normal(), 0.3, 0.2), special=(0.1,))[0].known
    assert found(np.random.default_rng(4).choice(normal(25), JETS), tabulated=True)[0].known


def test_whole_numbers_are_left_out():
    assert not found(np.random.default_rng(4).integers(0, 5, JETS), integer=True)


@pytest.mark.parametrize("digits", (10, 14))
@pytest.mark.parametrize("location", (0.0, 1.5, 100.0))
@pytest.mark.parametrize("jets", (1_000, 5_000, 100_000))
def test_rounding_is_neither_special_nor_tabulated(digits, location, jets):
    assert not found(rounded(location + 0.1 * normal(jets), digits))


def test_few_cells_tell_nothing():
    assert not found(with_share(normal(64), 0.3, 0.0))
    assert not found(np.random.default_rng(4).choice(normal(25), 500))


def test_a_constant_is_one_special_value():
    (finding,) = found(np.full(JETS, 2.5))
    assert (finding.value, finding.share) == (2.5, 1.0)


TRACKS = schema_of(Variable("track_{slot}_x", "x", default=-9.0), Variable("track_{slot}_y", "y", default=-9.0), slots=3)


@pytest.fixture(scope="module")
def of_tracks() -> np.ndarray:
    """Zeros in x of two slots, a table in y of all."""
    x = [with_share(normal(seed=slot), 0.1 * slot, 0.0) for slot in range(3)]
    y = [np.random.default_rng(slot).choice(normal(30), JETS) for slot in range(3)]
    return np.stack([*x, *y], axis=1).astype(np.float32)


def test_unknown_values_are_said_once_a_variable(of_tracks):
    first, second = discovery.sentences(discovery.search(of_tracks, TRACKS), TRACKS)
    rest = "of the cells in 2 slots; the schema does not know it, so attacks move such cells."
    assert re.fullmatch(rf"track_\*_x: 0 in [\d.]+ to [\d.]+ % {rest}", first)
    assert second.startswith("track_*_y: 30 distinct values in 3 slots;")


def test_table_has_a_row_for_each_value_of_a_variable(of_tracks):
    _, _, first, second = discovery.markdown(discovery.search(of_tracks, TRACKS), TRACKS).splitlines()
    assert "track_*_x" in first and "2 of 3" in first and "not known" in first
    assert "track_*_y" in second and "tabulated" in second and "3 of 3" in second
    assert discovery.markdown((), TRACKS).startswith("No special values")


def test_findings_survive_json_and_learn_from_the_schema(of_tracks):
    findings = discovery.search(of_tracks, TRACKS)
    content = json.loads(json.dumps(discovery.to_json(findings)))
    assert discovery.from_json(content, TRACKS) == findings
    wiser = schema_of(
        *(dataclasses.replace(v, special=(0.0,), tabulated="y" in v.name) for v in TRACKS.groups[0].variables), slots=3
    )
    assert all(finding.known for finding in discovery.from_json(content, wiser))
    assert discovery.summary(discovery.from_json(content, wiser), wiser).endswith("track_*_x (0), track_*_y (tabulated).")
    assert not discovery.summary(findings, TRACKS)


@pytest.mark.parametrize("schema", (JET_FLAVOR, DEEPCSV), ids=lambda schema: schema.name)
def test_schemas_know_all_of_the_sample(schema):
    from tfds_jets import reading

    jets = next(reading.read([reading.RootFile.of(reading.SAMPLE_FILE)], schema, "", reading.Cleaning.none(schema)))
    findings = discovery.search(jets.features, schema)
    assert {finding.value for finding in findings} >= {1.0}
    assert discovery.sentences(findings, schema) == []


def test_uncertainties_of_packed_candidates_follow_from_pt():
    ties = {tie.feature: tie.sources for tie in DEEPNTUPLE.ties}
    for name in ("pt_error", "phi_error"):
        assert ties[f"track_{{slot}}_{name}"] == (("track_{slot}_pt", -1.0),)
