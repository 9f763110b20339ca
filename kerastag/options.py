"""Fields of a dataclass that are options of a command: help, choices and limits stand in the field, the rest follows."""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Container, Iterable
from typing import Any, TypeVar

import numpy as np

from kerastag.catalogue import Catalogue
from kerastag.errors import UserError

T = TypeVar("T")
# NumPy takes no larger one.
LARGEST_SEED = 2**32 - 1
# Networks, boxes and attacks reckon in single precision: beyond the first is infinity, below the second 0.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def option(
    default: Any,
    help: str = "",
    *,
    metavar: str | None = None,
    choices: Container[str] | None = None,
    positive: bool = False,
    at_least: float | None = None,
    flag: str | None = None,
    group: str | None = None,
    own: bool = False,
) -> Any:
    """A field of a dataclass that is an option.

    Args:
        default: Default of the field.
        help: What it is; the default is added where there is one to print. By default the help of `choices`, a catalogue.
        metavar: Name of the value in the help.
        choices: Values that it may have; None for any.
        positive: Whether each number must be above 0.
        at_least: Smallest number; None for any.
        flag: Name of the option where it is not that of the field.
        group: Heading of the help under which it stands; None for none.
        own: Whether "module:name" is a value too, something of the user's own.
    """
    help = help or (choices.help if isinstance(choices, Catalogue) else "")
    about = {"help": help, "metavar": metavar, "choices": choices, "flag": flag, "group": group, "own": own}
    return dataclasses.field(default=default, metadata=about | {"positive": positive, "at_least": at_least})


def section(default: Any, group: str | None = None) -> Any:
    """A field of a dataclass that is a dataclass with options of its own.

    Args:
        default: Default of the field.
        group: Heading of the help under which its options stand.
    """
    return dataclasses.field(default=default, metadata={"section": group})


def add_options(
    parser: argparse.ArgumentParser,
    defaults: Any,
    names: Iterable[str] | None = None,
    *,
    unset: bool = False,
    group: str | None = None,
) -> None:
    """Add an option for each field of a dataclass that is one.

    Args:
        parser: Parser of the command.
        defaults: The dataclass as it is without options.
        names: Fields to add; None for all.
        unset: Whether an option that is not given is None, so that a file can speak, rather than the default.
        group: Heading of the help for fields that name none.
    """
    # argparse would begin a second group of the same heading.
    groups: dict[str | None, Any] = {group.title: group for group in parser._action_groups} | {None: parser}
    for field in dataclasses.fields(defaults):
        if names is not None and field.name not in names:
            continue
        if "section" in field.metadata:
            add_options(parser, getattr(defaults, field.name), unset=unset, group=field.metadata["section"])
        if "help" not in field.metadata:
            continue
        heading = field.metadata["group"] or group
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        flag = _flag(field)
        arguments = _arguments(field, getattr(defaults, field.name))
        groups[heading].add_argument(flag, dest=field.name, **arguments | ({"default": None} if unset else {}))


def _arguments(field: dataclasses.Field, default: Any) -> dict[str, Any]:
    """What argparse wants to know of an option."""
    kind, several = value_type(field)
    help = field.metadata["help"].replace("%", "%%") + _default_text(default)
    if kind is bool:
        action = argparse.BooleanOptionalAction if default else "store_true"
        return {"default": default, "help": help, "action": action}
    metavar = field.metadata["metavar"] or "NAME"
    return {"default": default, "help": help, "type": kind, "metavar": metavar} | ({"nargs": "+"} if several else {})


def _default_text(default: Any) -> str:
    if default is None or isinstance(default, bool) or default == ():
        return ""
    values = default if isinstance(default, tuple) else (default,)
    return f" (default: {' '.join(f'{value:g}' if isinstance(value, float) else str(value) for value in values)})"


def value_type(field: dataclasses.Field) -> tuple[Any, bool]:
    """Type of a field's value without None, and whether there are several."""
    kind: Any = field.type
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        return typing.get_args(kind)[0], True
    return kind, False


def collect(defaults: T, options: argparse.Namespace, **values: Any) -> T:
    """The dataclass with what a command line gave in place of its defaults; what is None was not given.

    Args:
        defaults: The dataclass as it is without options.
        options: Parsed options.
        **values: Further fields.
    """
    names = {field.name for field in dataclasses.fields(defaults)}  # type: ignore[arg-type]
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(options).items()
        if name in names and value is not None
    }
    for field in dataclasses.fields(defaults):  # type: ignore[arg-type]
        if "section" in field.metadata:
            given[field.name] = collect(getattr(defaults, field.name), options)
    return dataclasses.replace(defaults, **given | values)  # type: ignore[type-var]


def given(defaults: Any, options: argparse.Namespace) -> list[str]:
    """Options of a dataclass that a command line gave, as a user writes them; all were added with `unset`.

    Args:
        defaults: The dataclass as it is without options.
        options: Parsed options.
    """
    flags = []
    for field in dataclasses.fields(defaults):
        if "section" in field.metadata:
            flags += given(getattr(defaults, field.name), options)
        elif "help" in field.metadata and getattr(options, field.name) is not None:
            flags.append(_flag(field))
    return flags


def check(values: Any) -> None:
    """Check a dataclass against the choices and limits of its fields.

    Raises:
        UserError: for the first value that is not allowed.
    """
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if "section" in field.metadata:
            check(value)
        for item in value if isinstance(value, tuple) else (value,):
            if item is not None and "help" in field.metadata:
                _check(field, item)


def _check(field: dataclasses.Field, value: Any) -> None:
    choices, at_least = field.metadata["choices"], field.metadata["at_least"]
    if value == "":
        raise UserError(f"{_flag(field)} is empty; give it a value, or leave it out.")
    if isinstance(choices, Catalogue):
        choices.find(value)
    elif choices is not None and value not in choices and not (field.metadata["own"] and ":" in value):
        of_ones_own = ", or give module:function of your own" if field.metadata["own"] else ""
        raise UserError(f"'{value}' is no value for {_flag(field)}; choose {' or '.join(choices)}{of_ones_own}.")
    if isinstance(value, int | float):
        check_finite(_flag(field), value)
        if field.metadata["positive"] and value <= 0:
            raise UserError(f"{_flag(field)} must be positive, not {value:g}.")
        if at_least is not None and value < at_least:
            raise UserError(f"{_flag(field)} must be at least {at_least:g}, not {value:g}.")


def check_finite(name: str, value: int | float) -> None:
    """Check that a number is one that a computer can reckon with, in single precision if it is a real one.

    Raises:
        UserError: if it is not finite, or too large or small: of more than 64 bits, infinite or 0 in single precision.
    """
    if isinstance(value, int) and value.bit_length() > 63:
        raise UserError(f"{name} is too large.")
    if not math.isfinite(value):
        raise UserError(f"{name} must be a finite number, not {value:g}.")
    if isinstance(value, float) and abs(value) > _LARGEST:
        raise UserError(f"{name} is too large: numbers have single precision, up to {_LARGEST:.2g}, not {value:g}.")
    if isinstance(value, float) and 0 < abs(value) < _SMALLEST:
        raise UserError(f"{name} is too small: numbers have single precision, down to {_SMALLEST:.2g}, not {value:g}.")


def _flag(field: dataclasses.Field) -> str:
    """The option of a field as a user writes it; in a settings file it has the same name."""
    return field.metadata["flag"] or f"--{field.name.replace('_', '-')}"


def typed(name: str, value: Any, kind: Any) -> Any:
    """A value as a settings file gives it, checked against a field's type; whole numbers pass as real ones.

    Raises:
        UserError: if it is of another type.
    """
    if typing.get_origin(kind) is tuple:
        item_kind = typing.get_args(kind)[0]
        if not isinstance(value, list | tuple):
            raise UserError(f"The setting '{name}' must be a list of {item_kind.__name__}, not {value!r}.")
        return tuple(typed(name, item, item_kind) for item in value)
    if kind in (float, float | None) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"The setting '{name}' must be {getattr(kind, '__name__', str(kind))}, not {value!r}.")
    return value
