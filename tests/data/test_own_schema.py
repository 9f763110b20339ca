"""Data sets and runs of a schema of one's own."""

import dataclasses

import numpy as np
import pytest
import uproot

from kerastag import data
from kerastag import schema as schemas
from kerastag.errors import UserError
from kerastag.files import read_json
from kerastag.schema import JET_FLAVOR, Discriminator, FlavourClass, Group, Schema, Spectator, Variable, toml
from tests.conftest import run_command

JET, _, TRACK = JET_FLAVOR.groups
OWN = Schema(
    name="own_jets",
    tree="jets",
    groups=(
        JET,
        dataclasses.replace(
            TRACK, slots=2, variables=tuple(dataclasses.replace(v, default=-999.0) for v in TRACK.variables[:2])
        ),
    ),
    classes=(
        FlavourClass("heavy", "jet_parton_flavour == 5 or jet_parton_flavour == 4", "heavy", "red"),
        FlavourClass("light", "jet_parton_flavour == 0", "light", "blue"),
    ),
    ratios=(Discriminator("HvL", (("heavy", 1.0),), (("light", 1.0),)),),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "own.toml"
    path.write_text(toml.text(OWN))
    return path


@pytest.fixture(scope="module")
def own_data(tmp_path_factory, file, jet_files):
    folder = tmp_path_factory.mktemp("own_data")
    return folder, data.prepare(schemas.read(file), data_dir=folder, manual_dir=jet_files)


def test_is_built_and_opened_again(own_data, file):
    folder, built = own_data
    assert built.schema == OWN and built.jets["train"].keys() == {"heavy", "light"}
    again = data.prepare(schemas.read(file), data_dir=folder)
    assert again.fingerprint == built.fingerprint


def test_what_attacks_alone_need_may_change_and_nothing_else(own_data):
    folder, _ = own_data
    jet, track = OWN.groups
    special = (dataclasses.replace(track.variables[0], special=(0.0,)), *track.variables[1:])
    changed = dataclasses.replace(OWN, groups=(jet, dataclasses.replace(track, variables=special)))
    assert data.prepare(changed, data_dir=folder).schema == changed
    fewer = dataclasses.replace(OWN, groups=(jet,))
    with pytest.raises(UserError, match="was made with another schema or selection"):
        data.prepare(fewer, data_dir=folder)


def test_the_name_of_a_built_in_schema_is_taken(tmp_path, jet_files):
    with pytest.raises(UserError, match="'jet_flavor' is that of another schema, which is built in"):
        data.prepare(dataclasses.replace(OWN, name="jet_flavor"), data_dir=tmp_path, manual_dir=jet_files)
    with pytest.raises(UserError, match="No files were given for config 'own_jets'"):
        data.prepare(OWN, data_dir=tmp_path)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """Jets whose files hold weights of the generator, a fifth of them negative, and those weights by their pT."""
    folder = tmp_path_factory.mktemp("weighted")
    generator = np.random.default_rng(1)
    pt = generator.permutation(np.linspace(30, 300, 3000, dtype=np.float32))
    weight = np.where(generator.random(3000) < 0.2, -1, 1) * generator.uniform(10, 1000, 3000)
    with uproot.recreate(folder / "jets.root") as root:
        root.mktree("jets", {"pt": "float32", "flavour": "int32", "genWeight": "float64"})
        root["jets"].extend({"pt": pt, "flavour": generator.integers(0, 2, 3000), "genWeight": weight})
    schema = Schema(
        name="weighted",
        tree="jets",
        groups=(Group("jet", (Variable("pt", "pt", "GeV", default=0.0),)),),
        classes=(FlavourClass("b", "flavour == 1", "b", "red"), FlavourClass("light", "flavour == 0", "light", "blue")),
        spectators=(Spectator("generator_weight", "genWeight", real=True),),
    )
    built = data.prepare(schema, data_dir=tmp_path_factory.mktemp("data"), manual_dir=folder)
    return built, dict(zip(pt.tolist(), weight, strict=True))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("split", ["train", "test"])
def test_jets_are_trained_on_with_the_weights_of_the_generator(weighted, split, in_memory):
    built, by_pt = weighted
    mean = np.mean([by_pt[pt] for pt in built.arrays("train").features[:, 0].tolist()])
    for x, _, w in built.batches(split, 100, weights="generator", in_memory=in_memory, shuffle=split == "train").take(3):
        np.testing.assert_allclose(w, [by_pt[pt] / mean for pt in x[:, 0].numpy().tolist()], rtol=1e-5)
    assert min(by_pt.values()) < 0


def test_weights_that_are_not_there_are_said_so(own_data):
    with pytest.raises(UserError, match="schema own_jets has no spectator 'generator_weight'; leave --weights out"):
        own_data[1].batches("train", 10, weights="generator")


@pytest.mark.slow
def test_a_run_knows_its_schema(own_data, file, tmp_path):
    """From a file to a trained, evaluated and exported tagger; the schema is named once."""
    folder, _ = own_data
    options = [
        "--model",
        "paper_mlp",
        "--epochs",
        "1",
        "--batch-size",
        "64",
        "--data-dir",
        folder,
        "--output",
        tmp_path / "run",
    ]
    trained = run_command("train", "--schema", file, *options)
    assert trained.code == 0, trained.err
    assert "JetsConfig" not in trained.err
    evaluated = run_command("evaluate", tmp_path / "run", "--data-dir", folder, "--attack", "fgsm", "--output", tmp_path / "ev")
    assert evaluated.code == 0, evaluated.err
    assert read_json(tmp_path / "ev" / "metrics.json")["config"] == "own_jets" and "HvL AUC" in evaluated.out
    exported = run_command("export", tmp_path / "run", "--data-dir", folder, "--output", tmp_path / "exported")
    assert exported.code == 0, exported.err
    resumed = run_command("train", "--output", tmp_path / "run", "--resume", "--data-dir", folder)
    assert resumed.code == 0, resumed.err
    mine = file.read_text()
    file.write_text(mine.replace("HvL", "HvS"))
    other = run_command("train", "--schema", file, *options, "--resume")
    file.write_text(mine)
    assert other.code == 2 and "started with the discriminators HvL in its schema, not HvS" in other.err, other.err
    both = run_command("evaluate", tmp_path / "run", "--schema", file, "--config", "jet_flavor", "--output", tmp_path / "both")
    assert both.code == 2 and "--config or --schema, not both" in both.err


def test_an_example_that_was_changed_needs_another_name(tmp_path, jet_files):
    example = schemas.get("delphes")
    changed = dataclasses.replace(example, selection="")
    with pytest.raises(UserError, match="'delphes' is that of another schema, which is built in; give yours a name"):
        data.prepare(changed, data_dir=tmp_path, manual_dir=jet_files)
    assert schemas.current(changed) == example
