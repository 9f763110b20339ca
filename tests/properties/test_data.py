"""Random schemas and jagged jets: what is read from a ROOT file is what NumPy makes of the same numbers."""

import json
import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from hypothesis import given
from hypothesis import strategies as st

from kerastag.schema import FlavourClass, Group, Schema, Spectator, Variable
from tfds_jets import reading

NAMES = st.text("abcdefgh", min_size=1, max_size=6)
FLOATS = st.floats(-100, 100, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, -999.0])
LIMITS = st.none() | st.floats(-50, 0, width=32)


@st.composite
def schemas(draw):
    """A schema of two quantities of the jet and some of its objects."""
    slots = draw(st.integers(1, 4))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    objects = tuple(
        Variable(
            f"track_{{slot}}_{name}",
            f"track_{name}",
            default=draw(st.just(-7.0) | st.tuples(*[st.floats(-9, -8, width=16)] * slots)),
            valid_min=draw(LIMITS),
            sentinel=draw(st.none() | st.just(-999.0)),
            integer=draw(st.booleans()),
        )
        for name in names
    )
    order = draw(st.none() | st.just(f"abs(track_{names[0]})"))
    select = draw(st.none() | st.just(f"track_{names[0]} > 0"))
    jet = (Variable("pt", "jet_pt", valid_min=0.0), Variable("eta", "jet_eta", default=-9.0))
    return Schema(
        name="random",
        version="1.0",
        description="",
        tree="jets",
        groups=(Group("jet", jet), Group("track", objects, slots=slots, order=order, select=select)),
        classes=(
            FlavourClass("b", "flavour == 5", "b", "red"),
            FlavourClass("c", "flavour == 4", "c", "green"),
            FlavourClass("light", "flavour == 0", "light", "blue"),
        ),
        spectators=(Spectator("event", "event"),),
        pt="pt",
        eta="eta",
    )


@st.composite
def jets(draw, schema):
    """Jets of a schema as lists: pT, η, flavour, and objects with a value of each variable."""
    variables = schema.groups[1].variables
    jet = st.tuples(FLOATS, FLOATS, st.sampled_from([5, 4, 0, 15]), st.lists(st.tuples(*[FLOATS] * len(variables)), max_size=6))
    return draw(st.lists(jet, min_size=1, max_size=8))


def written(path, schema, content, events=None):
    names = [variable.branch.removeprefix("track_") for variable in schema.groups[1].variables]
    counts = [len(objects) for *_, objects in content]
    flat = np.array([values for *_, objects in content for values in objects], np.float32).reshape(-1, len(names))
    columns = {
        "jet_pt": np.array([pt for pt, *_ in content], np.float32),
        "jet_eta": np.array([eta for _, eta, *_ in content], np.float32),
        "flavour": np.array([flavour for _, _, flavour, _ in content], np.int32),
        "event": np.arange(len(content)) if events is None else events,
        "track": ak.unflatten(ak.zip({name: flat[:, number] for number, name in enumerate(names)}), counts),
    }
    types = {
        name: ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype for name, values in columns.items()
    }
    with uproot.recreate(path) as file:
        file.mktree("jets", types)
        file["jets"].extend(columns)


def expected(schema, content, found=None):
    """The features of the jets that have a flavour, jet by jet and cell by cell; reasons are counted in `found`."""
    rows = []
    for pt, eta, flavour, objects in content:
        if flavour not in (5, 4, 0):
            continue
        group = schema.groups[1]
        objects = [np.array(values, np.float32) for values in objects]
        if group.select:
            objects = [values for values in objects if values[0] > 0]
        if group.order:
            key = [-np.inf if np.isnan(values[0]) else abs(values[0]) for values in objects]
            objects = [objects[number] for number in sorted(range(len(objects)), key=lambda number: -key[number])]
        row = [cell(np.float32(value), feature, found) for value, feature in zip((pt, eta), schema.features, strict=False)]
        for number, _ in enumerate(group.variables):
            for slot in range(group.slots):
                feature = schema.features[2 + number * group.slots + slot]
                there = slot < len(objects)
                row.append(cell(objects[slot][number], feature, found) if there else np.float32(feature.default))
        rows.append(row)
    return np.array(rows, np.float32).reshape(-1, len(schema.features))


def cell(value, feature, found=None):
    """What becomes of a value; its reason is counted in `found`, by name of the feature."""
    reason = None
    if feature.sentinel is not None and value == np.float32(feature.sentinel):
        reason = "absent"
    elif not np.isfinite(value):
        reason = "not_finite"
    elif feature.valid_min is not None and value < feature.valid_min and value != np.float32(feature.default):
        reason = "out_of_range"
    if found is not None and reason:
        found[reason][feature.name] += 1
    return np.float32(feature.default) if reason else value


@given(st.data())
def test_what_is_read_is_what_was_written(data):
    schema = data.draw(schemas())
    content = data.draw(jets(schema))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "jets.root"
        written(path, schema, content)
        cleaning = reading.Cleaning.none(schema)
        chunks = list(reading.read([reading.RootFile.of(path)], schema, "", cleaning))
    features = np.concatenate([chunk.features for chunk in chunks])
    np.testing.assert_array_equal(features, expected(schema, content))
    assert cleaning.read == len(content)
    assert cleaning.unknown_flavour == sum(flavour == 15 for _, _, flavour, _ in content)
    labels = [(5, 4, 0).index(flavour) for _, _, flavour, _ in content if flavour != 15]
    assert np.concatenate([chunk.label for chunk in chunks]).tolist() == labels


@given(schemas())
def test_a_schema_survives_json(schema):
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
