"""What a jet consists of: one frozen description per input format.

A schema is the only place where feature names, ROOT branches, units, defaults, valid ranges and integer flags live.
Nothing here imports TensorFlow. `kerastag.schema.table` shows a schema as a table.
"""

from kerastag.errors import UserError
from kerastag.schema.deepcsv import DEEPCSV
from kerastag.schema.deepdoublex import DEEPDOUBLEX
from kerastag.schema.deepflavour import DEEPFLAVOUR
from kerastag.schema.deepntuple import DEEPNTUPLE
from kerastag.schema.jet_flavor import JET_FLAVOR
from kerastag.schema.structure import Feature, FlavourClass, Group, Helix, Schema, Spectator, Variable

# Schemas of data sets. Those of DeepDoubleX have none.
SCHEMAS = {schema.name: schema for schema in (JET_FLAVOR, DEEPCSV, DEEPNTUPLE, DEEPFLAVOUR)}
_BY_NAME = SCHEMAS | {schema.name: schema for schema in DEEPDOUBLEX.values()}
NAMES = tuple(_BY_NAME)

# Default config of the commands; its jets come with the package.
DEFAULT = JET_FLAVOR.name


def get(name: str) -> Schema:
    """The schema of a name.

    Raises:
        UserError: if there is none; the message lists the names.
    """
    if name not in _BY_NAME:
        raise UserError(f"There is no schema '{name}'; choose one of {', '.join(NAMES)}.")
    return _BY_NAME[name]


__all__ = [
    "DEEPCSV",
    "DEEPDOUBLEX",
    "DEEPFLAVOUR",
    "DEEPNTUPLE",
    "DEFAULT",
    "JET_FLAVOR",
    "NAMES",
    "SCHEMAS",
    "Feature",
    "FlavourClass",
    "Group",
    "Helix",
    "Schema",
    "Spectator",
    "Variable",
    "get",
]
