"""Which schema, selection and variation a data set has; a configuration for each schema."""

import dataclasses

import tensorflow_datasets as tfds

from kerastag import schema as schemas
from kerastag.schema import Schema

# Last part of the version of every config: raised when the same files make other data sets, so that old ones are left alone.
_PATCH = 1


@dataclasses.dataclass
class JetsConfig(tfds.core.BuilderConfig):
    """Schema of the files and selection of jets.

    Attributes:
        schema: Name of the schema in `kerastag.schema`.
        selection: Expression of branches that a jet must fulfil; "" keeps all.
        variation: Name of what is varied, as `kerastag simulate --variation` takes it; its file alone is read. It may hold a
            single split, whose jets then stand for the training jets in the statistics. "" reads every file.
    """

    schema: str = "jet_flavor"
    selection: str = ""
    variation: str = ""


def _config(schema: Schema) -> JetsConfig:
    """Configuration that reads all jets of a schema."""
    version = tfds.core.Version(f"{schema.version}.{_PATCH}")
    return JetsConfig(name=schema.name, schema=schema.name, description=schema.description, version=version)


def varied_config(name: str, variation: str) -> JetsConfig:
    """Configuration that reads the file of a variation alone.

    Args:
        name: Name of the schema.
        variation: Name of the variation.
    """
    config = _config(schemas.get(name))
    config.name, config.variation = f"{name}-{variation.replace('+', '-')}", variation
    return config


CONFIGS = {schema.name: _config(schema) for schema in schemas.SCHEMAS.values()}
