"""Options of a command follow from the fields of a dataclass."""

import argparse
import dataclasses

import pytest

from kerastag import options
from kerastag.errors import UserError
from kerastag.options import add_options, collect, option, typed


@dataclasses.dataclass(frozen=True)
class Cooking:
    """Some options."""

    minutes: int = option(10, "how long", metavar="N", positive=True)
    heat: float | None = option(None, "how hot, 20 % more than usual")
    spices: tuple[str, ...] = option((), "which", flag="--spice")
    way: str = option("boil", "how", choices=("boil", "fry"))
    stir: bool = option(False, "whether to stir")
    secret: int = 3


def parsed(*arguments, **kwargs):
    parser = argparse.ArgumentParser()
    add_options(parser, Cooking(), **kwargs)
    return parser, parser.parse_args(arguments)


def test_a_command_line_becomes_the_dataclass():
    _, namespace = parsed("--minutes", "3", "--heat", "1.5", "--spice", "salt", "pepper", "--stir")
    assert collect(Cooking(), namespace) == Cooking(3, 1.5, ("salt", "pepper"), stir=True)
    assert collect(Cooking(minutes=7), parsed()[1], secret=5) == Cooking(10, secret=5)


def test_what_is_not_given_can_stay_open():
    assert set(vars(parsed(unset=True)[1]).values()) == {None}
    assert set(vars(parsed(names=["way"])[1])) == {"way"}


def test_groups_of_the_same_heading_are_one():
    @dataclasses.dataclass(frozen=True)
    class Serving:
        plates: int = option(1, "how many", group="kitchen")

    @dataclasses.dataclass(frozen=True)
    class Washing:
        bowls: int = option(1, "how many", group="kitchen")

    parser = argparse.ArgumentParser()
    add_options(parser, Serving())
    add_options(parser, Washing())
    assert parser.format_help().count("kitchen:") == 1


def test_help_tells_defaults_and_fields_without_help_are_no_options():
    text = parsed()[0].format_help()
    assert "--minutes N" in text and "how long (default: 10)" in text and "20 % more" in text
    assert "secret" not in text


def test_an_empty_value_is_refused():
    """Of a folder it would mean the default, or the folder where one is."""
    with pytest.raises(UserError, match="--spice is empty; give it a value, or leave it out"):
        options.check(Cooking(spices=("salt", "")))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"minutes": 0}, "--minutes must be positive, not 0"),
        ({"heat": 1e300}, r"--heat is too large: numbers have single precision, up to 3.4e\+38, not 1e\+300"),
        ({"heat": -3.5e38}, "--heat is too large"),
        ({"heat": 1e-300}, "--heat is too small: numbers have single precision, down to 1.2e-38, not 1e-300"),
        ({"way": "bake"}, "'bake' is no value for --way; choose boil or fry"),
    ],
)
def test_values_out_of_range_are_refused(values, sentence):
    with pytest.raises(UserError, match=sentence):
        options.check(Cooking(**values))


def test_the_ends_of_single_precision_are_allowed():
    for heat in (0.0, -0.0, 3.4e38, -3.4e38, 1.2e-38):
        options.check(Cooking(heat=heat))


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [(1, float, 1.0), (2, float | None, 2.0), ([1, 2.5], tuple[float, ...], (1.0, 2.5)), (True, bool, True), ("a", str, "a")],
)
def test_values_of_a_file_take_the_type_of_their_field(value, kind, result):
    converted = typed("x", value, kind)
    assert converted == result and type(converted) is type(result)


@pytest.mark.parametrize(("value", "kind"), [(True, float), (True, int), ("1", int), (1.5, int), ("a", tuple[str]), (1, str)])
def test_values_of_another_type_are_refused(value, kind):
    with pytest.raises(UserError, match="The setting 'x' must be"):
        typed("x", value, kind)


def test_options_that_were_given_are_named_as_users_write_them():
    assert options.given(Cooking(), parsed(unset=True)[1]) == []
    _, values = parsed("--stir", "--spice", "salt", "--minutes", "10", unset=True)
    assert options.given(Cooking(), values) == ["--minutes", "--spice", "--stir"]
