"""What a jet consists of: one frozen schema per input format.

Feature names, ROOT branches, units, defaults, valid ranges and integer flags are defined here and nowhere else. Nothing here
imports TensorFlow. `kerastag schema NAME` prints a schema as a table.
"""

from collections.abc import Mapping

from kerastag.errors import UserError
from kerastag.schema.deepcsv import DEEPCSV
from kerastag.schema.deepdoublex import DEEPDOUBLEX
from kerastag.schema.deepflavour import DEEPFLAVOUR
from kerastag.schema.deepntuple import DEEPNTUPLE
from kerastag.schema.discriminators import Discriminator, Separation
from kerastag.schema.jet_flavor import JET_FLAVOR
from kerastag.schema.structure import FlavourClass, Helix, Schema, Spectator, Summary, Tie
from kerastag.schema.toml import read
from kerastag.schema.variables import Feature, Group, Variable

# Schemas with a data set, and all. No public file holds the inputs of DeepDoubleX.
SCHEMAS = {schema.name: schema for schema in (JET_FLAVOR, DEEPCSV, DEEPNTUPLE, DEEPFLAVOUR)}
ALL = SCHEMAS | {schema.name: schema for schema in DEEPDOUBLEX.values()}

# Default config of the commands; its jets come with the package.
DEFAULT = JET_FLAVOR.name


def get(name: str) -> Schema:
    """The schema of a name.

    Raises:
        UserError: if there is none; the message lists the names.
    """
    return _found("schema", name, ALL)


def with_data(name: str) -> Schema:
    """The schema of a name that has a data set.

    Raises:
        UserError: if there is none; the message lists the names.
    """
    return _found("data set config", name, SCHEMAS)


def _found(kind: str, name: str, schemas: Mapping[str, Schema]) -> Schema:
    if name not in schemas:
        raise UserError(f"There is no {kind} '{name}'; choose one of {', '.join(schemas)}.")
    return schemas[name]


def current(stored: Schema) -> Schema:
    """The built-in schema of the same name, as it is known today; `stored` itself if there is none.

    What is stored with a tagger may be older than what is known of special values and ties. Whether the tagger still fits is
    checked where it meets jets.
    """
    return ALL.get(stored.name, stored)


__all__ = [
    "ALL",
    "DEEPCSV",
    "DEEPDOUBLEX",
    "DEEPFLAVOUR",
    "DEEPNTUPLE",
    "DEFAULT",
    "JET_FLAVOR",
    "SCHEMAS",
    "Discriminator",
    "Feature",
    "FlavourClass",
    "Group",
    "Helix",
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
