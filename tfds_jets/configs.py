"""Which schema, selection and variation a data set has; a configuration for each schema."""

import dataclasses
import hashlib
import json
from typing import Any

import tensorflow_datasets as tfds

from kerastag import schema as schemas
from kerastag.schema import Schema, Spectator

# Last part of the version of every config: raised when the same files make other data sets, so that old ones are left alone.
_PATCH = 3


@dataclasses.dataclass
class JetsConfig(tfds.core.BuilderConfig):
    """Schema of the files and selection of jets.

    Attributes:
        schema: The schema.
        selection: Expression of branches that a jet must fulfil beside the schema's own; "" for no other.
        variation: Name of what is varied, as `kerastag simulate --variation` takes it; its file alone is read. It may hold a
            single split, whose jets then stand for the training jets in the statistics. "" reads every file.
        kept: What is kept with each jet beside the spectators of the schema.
    """

    schema: Schema = schemas.JET_FLAVOR
    selection: str = ""
    variation: str = ""
    kept: tuple[Spectator, ...] = ()


def config_of(schema: Schema, *, variation: str = "", selection: str = "", kept: tuple[Spectator, ...] = ()) -> JetsConfig:
    """Configuration of a schema; those of selections, variations and what is kept beside have a folder of their own.

    Args:
        schema: Built in, or one's own.
        variation: Name of a variation, whose file alone is read; "" for all files.
        selection: Expression of branches that a jet must fulfil; "" keeps all.
        kept: What is kept with each jet beside the spectators of the schema.
    """
    if not (variation or selection or kept) and CONFIGS.get(schema.name) and CONFIGS[schema.name].schema == schema:
        return CONFIGS[schema.name]
    parts = [schema.name]
    parts += [variation.replace("+", "-")] if variation else []
    parts += [f"selected-{_digest(selection)}"] if selection else []
    # In any order they are the same data set.
    kept = tuple(sorted(kept, key=lambda spectator: spectator.name))
    parts += [f"kept-{_digest(json.dumps([dataclasses.asdict(one) for one in kept]))}"] if kept else []
    return _config(schema, "-".join(parts), selection=selection, variation=variation, kept=kept)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _config(schema: Schema, name: str, **facts: Any) -> JetsConfig:
    version = tfds.core.Version(f"{schema.version}.{_PATCH}")
    return JetsConfig(name=name, version=version, description=schema.description, schema=schema, **facts)


CONFIGS = {name: _config(schemas.with_data(name), name) for name in (*schemas.SCHEMAS, *schemas.EXAMPLES)}
