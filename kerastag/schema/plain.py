"""Frozen dataclasses from plain data, as JSON and TOML hold it, with every field checked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from kerastag.errors import UserError

T = TypeVar("T")

# Attribute `__pydantic_config__` of each dataclass that is read so: fields that it does not have are refused.
STRICT = {"extra": "forbid"}


def build(kind: type[T], content: Mapping[str, Any]) -> T:
    """A dataclass of plain data; lists become tuples, whole numbers pass as real ones.

    Args:
        kind: The dataclass.
        content: Its fields, those with a default optional.

    Raises:
        UserError: if a field is missing, unknown or of another type; the message says which, and where.
    """
    import pydantic

    try:
        # In JSON a list may be a tuple, which strict Python data do not allow.
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(content, default=str), strict=True)
    except pydantic.ValidationError as error:
        raise UserError(_sentence(error.errors(), content)) from error


def _sentence(errors: Sequence[Any], content: Mapping[str, Any]) -> str:
    """The first error in words; where a value may be of several types, the last of them says what is expected."""
    first = errors[0]
    place, value = _place(first["loc"], content)
    name = place.pop() if place else "the whole"
    inside = f" of {', '.join(reversed(place))}" if place else ""
    if first["type"] == "missing":
        return f"The field '{name}'{inside} is missing."
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"There is no field '{name}'{inside} in this version."
    expected = str(first["msg"]).removeprefix("Input should be ").partition(" [")[0]
    expected = expected.replace("a valid integer", "an integer").replace("a valid ", "a ")
    return f"The field '{name}'{inside} must be {expected}, not {value!r}."


def _place(location: Sequence[int | str], content: Any) -> tuple[list[str], Any]:
    """Names on the way to a value, entries of lists by their own name, and the value."""
    names: list[str] = []
    for step in location:
        if isinstance(step, int) and isinstance(content, list | tuple) and step < len(content):
            content = content[step]
            own = content.get("name", content.get("feature")) if isinstance(content, Mapping) else None
            if names and own:
                names[-1] = f"{names[-1].removesuffix('s')} '{own}'"
            elif names:
                names[-1] = f"{names[-1]}[{step}]"
        elif isinstance(content, Mapping) and step in content:
            content = content[step]
            names.append(str(step))
        elif isinstance(content, Mapping):
            names.append(str(step))
            break
    return names, content
