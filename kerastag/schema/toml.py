"""Schemas as TOML files: read, checked and written. `kerastag schema NAME --toml` prints one to begin with."""

import dataclasses
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kerastag import flavours
from kerastag.errors import UserError, nearest
from kerastag.schema import discriminators, plain
from kerastag.schema.structure import Schema
from kerastag.schema.variables import Group

# Fields that are tables in TOML, pairs here.
_PAIRS = {"ties": ("sources",), "ratios": ("over", "against")}
# What a data set keeps with each jet beside the spectators.
_TAKEN = ("source", "entry", "features", "label")


def read(path: str | Path) -> Schema:
    """The schema in a TOML file.

    Args:
        path: The file. It has the fields of `Schema` and of what belongs to it; classes may leave out label and colour.

    Raises:
        UserError: if it cannot be read, or a field is missing, unknown, of another type or means nothing.
    """
    path = Path(path).expanduser()
    try:
        with path.open("rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise UserError(f"The schema '{path}' cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"The schema '{path}' is no TOML: {error}.") from error
    try:
        schema = plain.build(Schema, _with_styles(_with_pairs(content)))
        check(schema)
    except UserError as error:
        raise UserError(f"In the schema '{path}': {error}") from error
    return schema


def text(schema: Schema) -> str:
    """The schema as TOML, without what is as it would be anyway; `read` gives the same schema."""
    import tomli_w

    return tomli_w.dumps(_with_tables(_differing(schema)))


def check(schema: Schema) -> None:
    """Check what types do not tell.

    Raises:
        UserError: if names are missing, doubled or taken, or something names what is not there.
    """
    if not schema.name.replace("-", "_").isidentifier():
        raise UserError(f"'{schema.name}' is no name for a schema; use letters, digits, hyphens and underscores.")
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", schema.version):
        raise UserError(f"'{schema.version}' is no version; give two numbers, such as \"1.0\".")
    if len(schema.classes) < 2:
        raise UserError(f"A tagger needs two classes or more, not {len(schema.classes)}.")
    if not schema.groups:
        raise UserError("There are no groups of features.")
    for group in schema.groups:
        _check_group(group)
    spectators = [spectator.name for spectator in schema.spectators]
    for name in (*schema.class_names, *spectators):
        if not re.fullmatch(r"\w+", name):
            raise UserError(f"'{name}' is no name for a class or spectator; use letters, digits and underscores.")
    for name in (*schema.names, *(group.name for group in schema.groups)):
        if not name.isprintable() or set(name) & set("/\\|") or not name.strip():
            raise UserError(f"{name!r} is no name for a feature or group: it has a slash, a bar or what cannot be printed.")
    _once("group", [group.name for group in schema.groups])
    _once("feature", schema.names)
    _once("class", schema.class_names)
    _once("spectator", [*spectators, *_TAKEN])
    for what in ("pt", "eta"):
        if getattr(schema, what):
            schema.index(getattr(schema, what))
    _check_references(schema)
    discriminators.check(schema.ratios, schema.class_names)


def _check_group(group: Group) -> None:
    """Slots in names and defaults, and ranges."""
    if not group.variables:
        raise UserError(f"The group '{group.name}' has no variables.")
    if group.slots is not None and group.slots < 1:
        raise UserError(f"The group '{group.name}' needs one slot or more, not {group.slots}.")
    if group.slots is None and (group.count or group.index or group.order or group.select):
        raise UserError(f"The group '{group.name}' has no slots, so count, index, order and select mean nothing; say slots.")
    if group.descends and (group.slots is None or any(isinstance(variable.default, tuple) for variable in group.variables)):
        raise UserError(f"The group '{group.name}' can descend only with slots, and with one default for all of them.")
    for variable in group.variables:
        if ("{slot}" in variable.name) != (group.slots is not None):
            remedy = "needs {slot} in its name" if group.slots else "has {slot} in its name, but its group no slots"
            raise UserError(f"The variable '{variable.name}' of the group '{group.name}' {remedy}.")
        for text in (variable.name, variable.branch):
            if set("{}") & set(text.replace("{slot}", "")):
                raise UserError(f"'{text}' has braces around something else than the word slot.")
        if isinstance(variable.default, tuple) and len(variable.default) != group.slots:
            raise UserError(f"'{variable.name}' needs {group.slots or 1} defaults, one a slot, not {len(variable.default)}.")
        defaults = variable.default if isinstance(variable.default, tuple) else (variable.default,)
        for number in (*defaults, *variable.special, variable.sentinel, variable.valid_min, variable.valid_max):
            if number is not None and not math.isfinite(number):
                raise UserError(f"'{variable.name}' has the value {number}; it must be a finite number.")
        low, high = variable.valid_min, variable.valid_max
        if low is not None and high is not None and low >= high:
            raise UserError(f"'{variable.name}' has no valid range: {low:g} to {high:g}.")


def _check_references(schema: Schema) -> None:
    """Every feature that a helix, kinematics, a tie or a summary names must be there."""
    variables = {variable.name for group in schema.groups for variable in group.variables} | set(schema.names)
    named: list[tuple[str, Iterable[str]]] = []
    if schema.helix:
        parts = dataclasses.asdict(schema.helix)
        if parts.pop("group") not in {group.name for group in schema.groups if group.slots}:
            raise UserError(f"The helix is that of the group '{schema.helix.group}', which is not there or has no slots.")
        named.append(("helix", parts.values()))
    for one in schema.kinematics:
        if one.group not in {group.name for group in schema.groups if group.slots}:
            raise UserError(f"The kinematics are those of the group '{one.group}', which is not there or has no slots.")
        if bool(one.eta) != bool(one.phi) or len(one.momentum) not in (0, 1, 4) or not (one.eta or len(one.momentum) == 4):
            raise UserError(
                f"The kinematics of '{one.group}' need eta and phi, or a momentum of px, py, pz and energy; a momentum of pt "
                "alone needs eta and phi beside it."
            )
        named.append((f"kinematics of '{one.group}'", filter(None, (one.eta, one.phi, *one.momentum))))
    named += [(f"tie of '{tie.feature}'", [tie.feature, *dict(tie.sources), tie.beside or tie.feature]) for tie in schema.ties]
    named += [(f"summary '{one.feature}'", [one.feature, *one.sources, one.present]) for one in schema.summaries]
    for what, names in named:
        for name in names:
            if name not in variables:
                raise UserError(f"The {what} names the feature '{name}'; the nearest are {nearest(name, sorted(variables))}.")


def _once(what: str, names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise UserError(f"The name '{name}' of a {what} is taken already.")


def _with_styles(content: dict[str, Any]) -> dict[str, Any]:
    """Classes get a label and a colour where they name none."""
    classes = content.get("classes")
    if isinstance(classes, list) and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in classes):
        content["classes"] = [flavours.style(one["name"], number) | one for number, one in enumerate(classes)]
    return content


def _with_pairs(content: dict[str, Any]) -> dict[str, Any]:
    """Tables as the pairs that they are here."""
    for name, fields in _PAIRS.items():
        entries = content.get(name, ())
        for entry in entries if isinstance(entries, list) else ():
            for field in fields:
                if isinstance(entry, dict) and isinstance(entry.get(field), dict):
                    entry[field] = list(entry[field].items())
    return content


def _with_tables(content: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `_with_pairs`."""
    for name, fields in _PAIRS.items():
        for entry in content.get(name, ()):
            entry |= {field: dict(entry[field]) for field in fields}
    return content


def _differing(value: Any) -> Any:
    """A dataclass as plain data, without fields that have their default."""
    if isinstance(value, tuple):
        return [_differing(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {field.name: _differing(item) for field, item in fields if item != field.default}
