"""What a jet consists of: one frozen description per input format.

A schema is the only place where feature names, ROOT branches, units, defaults, valid ranges and integer flags live.
Nothing here imports TensorFlow. `python -m kerastag.schema NAME` prints a schema as a table.
"""

from kerastag.errors import UserError
from kerastag.schema.deepcsv import DEEPCSV
from kerastag.schema.deepdoublex import DEEPDOUBLEX
from kerastag.schema.deepflavour import DEEPFLAVOUR
from kerastag.schema.deepntuple import DEEPNTUPLE
from kerastag.schema.jet_flavor import JET_FLAVOR
from kerastag.schema.structure import Feature, FlavourClass, Group, Helix, Schema, Spectator, Variable

# Those of data sets.
SCHEMAS = {schema.name: schema for schema in (JET_FLAVOR, DEEPCSV, DEEPNTUPLE, DEEPFLAVOUR)}
_ALL = SCHEMAS | {schema.name: schema for schema in DEEPDOUBLEX.values()}

# The config that scripts take unless told otherwise; its jets come with the package.
DEFAULT = JET_FLAVOR.name


def get(name: str) -> Schema:
    """Return the schema called `name`.

    Raises:
        UserError: if there is none; the message lists those that exist.
    """
    if name not in _ALL:
        raise UserError(f"There is no schema '{name}'; choose one of {', '.join(_ALL)}.")
    return _ALL[name]


__all__ = [
    "DEEPCSV",
    "DEEPDOUBLEX",
    "DEEPFLAVOUR",
    "DEEPNTUPLE",
    "DEFAULT",
    "JET_FLAVOR",
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
