"""The data set that a command works on, opened or built, with a first line that says what it is."""

from collections.abc import Sequence

from kerastag import data
from kerastag import schema as schemas
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.recipes import Settings
from kerastag.request import Sample
from kerastag.saving.taggers import inputs_of
from kerastag.schema import Schema, Spectator


def schema_of(of: Sample | Settings, taggers: Sequence[str] = ()) -> Schema:
    """Inputs and classes of the jets: those that were asked for, else those of the first tagger that knows its own.

    Args:
        of: What was asked for.
        taggers: Each a path, a legacy tagger, or NAME=one of these.

    Raises:
        UserError: if there is no such schema, or two were asked for.
    """
    if of.schema is not None:
        if isinstance(of, Sample) and of.config is not None:
            raise UserError("Give --config or --schema, not both.")
        return schemas.read(of.schema)
    if of.config is not None:
        return schemas.with_data(of.config)
    known = filter(None, map(inputs_of, taggers))
    return next(known, schemas.get(schemas.DEFAULT))


def opened(
    of: Sample | Settings, schema: Schema | None = None, kept: Sequence[Spectator] = (), build: bool = True
) -> JetDataset:
    """The data set of a sample or of a training, built first if it is not there.

    Args:
        of: What was asked for.
        schema: Inputs and classes; None for those that were asked for.
        kept: What is kept with each jet beside the spectators of the schema.
        build: Whether it may be built.

    Raises:
        UserError: if it cannot be prepared, or is not there and may not be built.
    """
    dataset = data.prepare(
        schema or schema_of(of),
        data_dir=of.data_dir,
        manual_dir=of.manual_dir,
        selection=of.selection or "",
        strict=of.strict,
        beam=of.beam or "",
        kept=kept,
        build=build,
    )
    print(f"{dataset.origin}.")
    for number, what in (
        ("copies", "of its jets are copies of others"),
        ("bad_weights", "of its jets have a weight that is negative or not finite"),
        ("empty_files", "of its files are empty"),
    ):
        if dataset.cleaning[number]:
            print(f"{dataset.cleaning[number]:,} {what}.")
    return dataset


def read(sample: Sample, taggers: Sequence[str] = (), kept: Sequence[Spectator] = ()) -> tuple[JetDataset, Jets]:
    """The data set of a sample, and its jets.

    Args:
        sample: What was asked for.
        taggers: Whose inputs to take where that does not say.
        kept: What is kept with each jet beside the spectators of the schema.

    Raises:
        UserError: if the data set cannot be prepared or has no such split.
    """
    dataset = opened(sample, schema_of(sample, taggers), kept)
    return dataset, dataset.arrays(sample.split).take(slice(sample.max_jets))
