import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerastag import flavours, schema
from kerastag.errors import UserError
from kerastag.schema import DEEPNTUPLE, JET_FLAVOR, FlavourClass, Schema, table

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "jet_flavor_2016_inputs.csv"


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


@pytest.mark.parametrize("name", schema.ALL)
def test_survives_json(name):
    content = json.dumps(schema.get(name).to_dict())
    assert Schema.from_dict(json.loads(content)) == schema.get(name)


@pytest.mark.parametrize("name", schema.ALL)
def test_classes_look_alike_in_all_schemas(name):
    for flavour in schema.get(name).classes:
        assert flavour == FlavourClass.of(flavour.name, flavour.branch)
        assert flavour.color == flavours.STYLES[flavour.name].color


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        JET_FLAVOR.name = "renamed"


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UserError, match=r"'jet_ptt'.*'jet_pt'"):
        JET_FLAVOR.index("jet_ptt")
    with pytest.raises(UserError, match="jet_flavor"):
        schema.get("nonsense")


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, **environment})


def test_import_pulls_in_no_tensorflow():
    code = (
        "import sys, kerastag.schema.table, kerastag.recipes, kerastag.simulation.validation; "
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert run_python("-c", code).stdout.strip() == "set()"


def test_another_keras_backend_is_refused_in_one_sentence():
    result = run_python("-c", "import kerastag.layers", KERAS_BACKEND="jax")
    assert "WrongBackend: kerastag needs Keras' TensorFlow backend" in result.stderr.strip().splitlines()[-1]


def test_table_has_a_line_per_feature():
    title, header, *lines, summary = table.text(DEEPNTUPLE).splitlines()
    assert title.startswith("deepntuple 1.0: CMS DeepNTuple")
    assert header.split()[:3] == ["#", "feature", "branch"]
    assert [line.split()[1] for line in lines] == list(DEEPNTUPLE.names)
    assert lines[6].split() == ["6", "track_0_pt", "Cpfcan_pt", "GeV", "0", "track", "0", "0"]
    assert summary.startswith(f"{len(lines)} inputs; classes b, c, light; spectators event,")


def test_restriction_keeps_names_order_and_what_belongs_together():
    restricted = JET_FLAVOR.restricted(("track:2", "jet"))
    assert restricted.names == tuple(name for name in JET_FLAVOR.names if name in restricted.names)
    assert {feature.slot for feature in restricted.features} == {None, 0, 1}
    assert restricted.helix_features["d0"] == ("track_0_D0", "track_1_D0")
    assert JET_FLAVOR.restricted(("track",)).helix is None  # ΔR to the jet needs the jet
    assert JET_FLAVOR.restricted(()) is JET_FLAVOR


def test_variables_are_features_without_their_slot():
    assert {feature.variable for feature in JET_FLAVOR.features if feature.name.endswith("_D0")} == {"track_D0"}
    assert len({feature.variable for feature in JET_FLAVOR.features}) == 16 + 28
