"""What a jet consists of: one frozen schema per input format.

Feature names, ROOT branches, units, defaults, valid ranges and integer flags are defined here and nowhere else. Nothing here
imports TensorFlow. `kerastag schema NAME` prints a schema as a table.
"""

import functools
from collections.abc import Iterable
from pathlib import Path

from kerastag.errors import UserError
from kerastag.schema.deepcsv import DEEPCSV
from kerastag.schema.deepdoublex import DEEPDOUBLEX
from kerastag.schema.deepflavour import DEEPFLAVOUR
from kerastag.schema.deepntuple import DEEPNTUPLE
from kerastag.schema.discriminators import Discriminator, Separation
from kerastag.schema.jet_flavor import JET_FLAVOR
from kerastag.schema.particle_transformer_ak4 import PARTICLE_TRANSFORMER_AK4
from kerastag.schema.structure import FlavourClass, Helix, Kinematics, Schema, Spectator, Summary, Tie
from kerastag.schema.toml import read
from kerastag.schema.variables import Feature, Group, Variable

# Schemas with a data set, and all. Those of DeepDoubleX name no files: the public one has its own names, `hbb_12102`.
SCHEMAS = {schema.name: schema for schema in (JET_FLAVOR, DEEPCSV, DEEPNTUPLE, DEEPFLAVOUR, PARTICLE_TRANSFORMER_AK4)}
ALL = SCHEMAS | {schema.name: schema for schema in DEEPDOUBLEX.values()}

# Schemas of public formats, a TOML file each; those who change one give it another name.
_EXAMPLES = Path(__file__).parent / "examples"
EXAMPLES = tuple(sorted(path.stem for path in _EXAMPLES.glob("*.toml")))

# Default config of the commands; its jets come with the package.
DEFAULT = JET_FLAVOR.name


def get(name: str) -> Schema:
    """The schema of a name.

    Raises:
        UserError: if there is none; the message lists the names.
    """
    return ALL[name] if name in ALL else _example("schema", name, ALL)


def with_data(name: str) -> Schema:
    """The schema of a name that has a data set.

    Raises:
        UserError: if there is none; the message lists the names.
    """
    return SCHEMAS[name] if name in SCHEMAS else _example("data set config", name, SCHEMAS)


def _example(kind: str, name: str, others: Iterable[str]) -> Schema:
    if name not in EXAMPLES:
        raise UserError(f"There is no {kind} '{name}'; choose one of {', '.join([*others, *EXAMPLES])}.")
    return _read_example(name)


@functools.cache
def _read_example(name: str) -> Schema:
    return read(_EXAMPLES / f"{name}.toml")


def current(stored: Schema) -> Schema:
    """The built-in schema of the same name, as it is known today; `stored` itself if there is none.

    What is stored with a tagger may be older than what is known of special values and ties. Whether the tagger still fits is
    checked where it meets jets.
    """
    if stored.name in EXAMPLES:
        return _read_example(stored.name)
    return ALL.get(stored.name, stored)


__all__ = [
    "ALL",
    "DEEPCSV",
    "DEEPDOUBLEX",
    "DEEPFLAVOUR",
    "DEEPNTUPLE",
    "DEFAULT",
    "EXAMPLES",
    "JET_FLAVOR",
    "PARTICLE_TRANSFORMER_AK4",
    "SCHEMAS",
    "Discriminator",
    "Feature",
    "FlavourClass",
    "Group",
    "Helix",
    "Kinematics",
    "Schema",
    "Separation",
    "Spectator",
    "Summary",
    "Tie",
    "Variable",
    "current",
    "get",
    "read",
    "with_data",
]
