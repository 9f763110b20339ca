"""Fields of a dataclass that are options of a command: help and choices stand in the field, the option follows from it."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def option(
    default: Any,
    help: str,
    *,
    metavar: str | None = None,
    choices: Iterable[str] | None = None,
    flag: str | None = None,
    group: str | None = None,
) -> Any:
    """A field of a dataclass that is an option.

    Args:
        default: Default of the field.
        help: What it is; the default is added where there is one to print.
        metavar: Name of the value in the help.
        choices: Names that it may have; None for any.
        flag: Name of the option where it is not that of the field.
        group: Heading of the help under which it stands; None for none.
    """
    about = {"help": help, "metavar": metavar, "choices": choices, "flag": flag, "group": group}
    return dataclasses.field(default=default, metadata=about)


def add_options(
    parser: argparse.ArgumentParser, kind: type, names: Iterable[str] | None = None, *, unset: bool = False, **defaults: Any
) -> None:
    """Add an option for each field of a dataclass that is one.

    Args:
        parser: Of the command.
        kind: The dataclass.
        names: Fields to add; None for all.
        unset: Whether an option that is not given is None, so that a file can speak, rather than the field's default.
        **defaults: Defaults of this command where they differ from those of the fields.
    """
    groups: dict[str | None, Any] = {None: parser}
    for field in dataclasses.fields(kind):
        if "help" not in field.metadata or (names is not None and field.name not in names):
            continue
        heading = field.metadata["group"]
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        default = defaults.get(field.name, field.default)
        flag = field.metadata["flag"] or f"--{field.name.replace('_', '-')}"
        groups[heading].add_argument(flag, dest=field.name, **_arguments(field, default, unset))


def _arguments(field: dataclasses.Field, default: Any, unset: bool) -> dict[str, Any]:
    """What argparse wants to know of an option."""
    kind, several = value_type(field)
    help = field.metadata["help"].replace("%", "%%")
    arguments: dict[str, Any] = {"default": None if unset else default, "help": help + _default_text(default)}
    if kind is bool:
        return arguments | {"action": "store_true"}
    if field.metadata["choices"] is not None:
        arguments["choices"] = tuple(field.metadata["choices"])
    return arguments | {"type": kind, "metavar": field.metadata["metavar"]} | ({"nargs": "+"} if several else {})


def _default_text(default: Any) -> str:
    if default is None or default is False or default == ():
        return ""
    values = default if isinstance(default, tuple) else (default,)
    return f" (default: {' '.join(f'{value:g}' if isinstance(value, float) else str(value) for value in values)})"


def value_type(field: dataclasses.Field) -> tuple[type, bool]:
    """Type of a field's value without None, and whether there are several."""
    kind: Any = field.type
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in typing.get_args(kind) if part is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        return typing.get_args(kind)[0], True
    return kind, False


def collect(kind: type[T], options: argparse.Namespace, **values: Any) -> T:
    """The dataclass with the values that a command line gave.

    Args:
        kind: The dataclass.
        options: Parsed options.
        **values: Further fields.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(options).items() if name in names}
    return kind(**given | values)
