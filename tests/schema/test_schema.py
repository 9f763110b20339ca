import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerastag import schema
from kerastag.errors import UserError
from kerastag.schema import DEEPNTUPLE, JET_FLAVOR, Schema

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "jet_flavor_2016_inputs.csv"


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the table of published inputs is not part of the repository")
def test_jet_flavor_is_the_published_list_of_inputs():
    rows = list(csv.DictReader(REFERENCE.read_text().splitlines()))
    assert list(JET_FLAVOR.names) == [row["name"] for row in rows]
    assert JET_FLAVOR.integer.tolist() == [row["integer"] == "1" for row in rows]
    published = [float(row["default_replacement"]) for row in rows]
    np.testing.assert_allclose(JET_FLAVOR.defaults, published, rtol=1e-6, atol=0)


def test_jet_flavor_has_184_inputs_and_9_integers():
    assert len(JET_FLAVOR.features) == 184
    assert JET_FLAVOR.integer.sum() == 9
    assert JET_FLAVOR.names[16:23] == (*(f"track_{slot}_D0" for slot in range(6)), "track_0_Z0")


def test_objects_that_may_be_absent_are_the_vertex_group_and_each_slot():
    assert len(JET_FLAVOR.optional_objects) == 1 + 6
    assert len(DEEPNTUPLE.optional_objects) == 8 + 2
    slot_2 = JET_FLAVOR.optional_objects[3]
    assert {JET_FLAVOR.features[column].slot for column in slot_2} == {2}
    assert len(slot_2) == 28


@pytest.mark.parametrize("described", schema.SCHEMAS.values(), ids=lambda described: described.name)
def test_survives_json(described):
    assert Schema.from_dict(json.loads(json.dumps(described.to_dict()))) == described


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        JET_FLAVOR.name = "other"


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UserError, match=r"'jet_ptt'.*'jet_pt'"):
        JET_FLAVOR.index("jet_ptt")
    with pytest.raises(UserError, match="jet_flavor"):
        schema.get("nonsense")


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    import os

    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, **environment})


def test_import_pulls_in_no_tensorflow():
    loaded = (
        "import sys, kerastag.schema, kerastag.recipes, kerastag.simulation.validation; "
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert run_python("-c", loaded).stdout.strip() == "set()"


def test_another_keras_backend_is_refused_in_one_sentence():
    result = run_python("-c", "import kerastag", KERAS_BACKEND="jax")
    assert result.stderr.strip().splitlines()[-1].startswith("ImportError: kerastag needs Keras' TensorFlow backend")


def test_prints_as_a_table():
    result = run_python("-m", "kerastag.schema", "deepntuple")
    assert result.returncode == 0
    assert any(line.split()[1:3] == ["track_0_pt", "Cpfcan_pt"] for line in result.stdout.splitlines()[2:-1])
    wrong = run_python("-m", "kerastag.schema", "nonsense")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1


def test_restriction_keeps_names_order_and_what_belongs_together():
    some = JET_FLAVOR.restricted(("track:2", "jet"))
    assert some.names == tuple(name for name in JET_FLAVOR.names if name in some.names)
    assert {feature.slot for feature in some.features} == {None, 0, 1}
    assert some.helix_features["d0"] == ("track_0_D0", "track_1_D0")
    assert JET_FLAVOR.restricted(("track",)).helix is None  # ΔR to the jet needs the jet
    assert JET_FLAVOR.restricted(()) is JET_FLAVOR


def test_variables_are_features_without_their_slot():
    assert {feature.variable for feature in JET_FLAVOR.features if feature.name.endswith("_D0")} == {"track_D0"}
    assert len({feature.variable for feature in JET_FLAVOR.features}) == 16 + 28
