"""What a jet consists of: one frozen schema per input format.

Feature names, ROOT branches, units, defaults, valid ranges and integer flags are defined here and nowhere else. Nothing here
imports TensorFlow. `kerastag schema NAME` prints a schema as a table.
"""

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
    if name not in ALL:
        raise UserError(f"There is no schema '{name}'; choose one of {', '.join(ALL)}.")
    return ALL[name]


def with_data(name: str) -> Schema:
    """The schema of a name that has a data set.

    Raises:
        UserError: if there is none; the message lists the names.
    """
    if name not in SCHEMAS:
        raise UserError(f"There is no data set config '{name}'; choose one of {', '.join(SCHEMAS)}.")
    return SCHEMAS[name]


def current(stored: Schema) -> Schema:
    """The schema of the same name, if data sets of both are equal; otherwise `stored` itself.

    What is stored with a data set or a tagger may be older than what is known today of its special values and ties.
    """
    known = ALL.get(stored.name)
    return known if known and known.facts_of_data() == stored.facts_of_data() else stored


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
