"""Schemas as TOML files."""

import dataclasses
from pathlib import Path

import pytest

from kerastag import schema
from kerastag.errors import UserError
from kerastag.schema import Discriminator, toml
from tests.conftest import run_command

MINE = """\
name = "mine"
tree = "jets"
[[groups]]
name = "jet"
optional = false
[[groups.variables]]
name = "pt"
branch = "jet_pt"
unit = "GeV"
[[groups]]
name = "track"
slots = 2
order = "abs(d0)"
[[groups.variables]]
name = "track_{slot}_d0"
branch = "d0"
default = [-1, -2.5]
[[classes]]
name = "b"
branch = "flavour == 5"
[[classes]]
name = "strange"
branch = "flavour == 3"
[[ratios]]
name = "BvS"
over = {b = 1}
against = {strange = 0.5}
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.toml"


@pytest.mark.parametrize("name", schema.ALL)
def test_built_in_schemas_are_read_again_as_they_are(name, file):
    file.write_text(toml.text(schema.get(name)))
    assert schema.read(file) == schema.get(name)


def test_a_short_file_is_enough(file):
    file.write_text(MINE)
    mine = schema.read(file)
    assert mine.names == ("pt", "track_0_d0", "track_1_d0") and mine.defaults.tolist() == [0.0, -1.0, -2.5]
    assert mine.class_names == ("b", "strange") and mine.classes[0] == schema.FlavourClass.of("b", "flavour == 5")
    assert mine.classes[1].label == "strange jets" and mine.classes[1].color not in {style.color for style in mine.classes[:1]}
    assert mine.discriminators == {"BvS": Discriminator("BvS", (("b", 1.0),), (("strange", 0.5),))}
    file.write_text(toml.text(mine))
    assert schema.read(file) == mine


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('order = "abs(d0)"', "descends = true", "The group 'track' can descend only with slots, and with one default"),
        ('branch = "jet_pt"', "", r"The field 'branch' of variable 'pt', group 'jet' is missing"),
        ('unit = "GeV"', "unt = 3", r"There is no field 'unt' of variable 'pt', group 'jet'"),
        ('unit = "GeV"', "unit = 3", r"The field 'unit' of variable 'pt', group 'jet' must be a string, not 3"),
        ("slots = 2", "slots = 0", r"'track' needs one slot or more"),
        ("slots = 2", "slots = true", r"The field 'slots' of group 'track' must be"),
        ("slots = 2", "", r"'track' has no slots, so count, index, order and select mean nothing"),
        ("track_{slot}_d0", "d0", r"The variable 'd0' of the group 'track' needs \{slot\} in its name"),
        ("[-1, -2.5]", "[-1]", r"'track_\{slot\}_d0' needs 2 defaults, one a slot, not 1"),
        ("[-1, -2.5]", "nan", r"must be a finite number"),
        ('"strange"', '"b"', r"The name 'b' of a class is taken already"),
        ("against = {strange", "against = {charm", r"names the class 'charm'; there are b, strange"),
        ('name = "mine"', 'name = "../mine"', r"'\.\./mine' is no name for a schema"),
        ('name = "mine"', 'name = "mine"\nversion = "2"', r"'2' is no version"),
        ('name = "mine"', 'name = "mine"\npt = "jet_pt"', r"no feature 'jet_pt'; the nearest are 'pt'"),
        ('name = "mine"', "name = ", r"is no TOML"),
        ('name = "mine"', "name = 2026-01-01", r"'2026-01-01' is no name for a schema"),
        ('name = "mine"', 'name = "mine"\nties = 3', r"The field 'ties' must be"),
        ("track_{slot}_d0", "track_{slot}_{other}", r"has braces around something else"),
        ('branch = "d0"', 'branch = "{0}"', r"has braces around something else"),
        ('name = "pt"', 'name = "../pt"', r"is no name for a feature"),
        ('name = "pt"', 'name = "p|t"', r"is no name for a feature"),
        ('name = "b"', 'name = "b jets"', r"'b jets' is no name for a class"),
        (
            'name = "mine"',
            'name = "mine"\nties = [{feature = "pt", sources = {d0 = 1}}]',
            r"The tie of 'pt' names the feature 'd0'; the nearest are",
        ),
        ('name = "mine"', 'name = "mine"\nspectators = [{name = "entry", branch = "n"}]', r"'entry' of a spectator is taken"),
    ],
)
def test_what_means_nothing_is_one_sentence(file, old, new, sentence):
    assert old in MINE
    file.write_text(MINE.replace(old, new, 1))
    with pytest.raises(UserError, match=sentence) as caught:
        schema.read(file)
    assert "mine.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        schema.read(tmp_path / "none.toml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        schema.read(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is no TOML"):
        schema.read(tmp_path / "bytes.toml")


def test_the_command_prints_what_it_reads(file):
    printed = run_command("schema", "deepntuple", "--toml")
    file.write_text(printed.out)
    assert printed.code == 0 and schema.read(file) == schema.DEEPNTUPLE
    assert run_command("schema", file).out == run_command("schema", "deepntuple").out


def test_the_format_is_described_by_its_fields():
    """What `tfds_jets/README.md` lists are the fields that there are."""
    text = (Path(__file__).parents[2] / "tfds_jets" / "README.md").read_text()
    fields = [field.name for kind in (schema.Schema, schema.Group, schema.Variable) for field in dataclasses.fields(kind)]
    assert not [name for name in fields if f"`{name}`" not in text]
