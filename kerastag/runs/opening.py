"""The data set that a command works on, opened or built, with a first line that says what it is."""

from kerastag import data
from kerastag.data import JetDataset
from kerastag.jets import Jets
from kerastag.recipes import Settings
from kerastag.request import Sample


def opened(of: Sample | Settings) -> JetDataset:
    """The data set of a sample or of a training, built first if it is not there.

    Raises:
        UserError: if it cannot be prepared.
    """
    dataset = data.prepare(of.config, data_dir=of.data_dir, manual_dir=of.manual_dir, strict=of.strict)
    print(f"{dataset.origin}.")
    for number, what in (("copies", "are copies of others"), ("bad_weights", "have a weight that is negative or not finite")):
        if dataset.cleaning[number]:
            print(f"{dataset.cleaning[number]:,} of its jets {what}.")
    return dataset


def read(sample: Sample) -> tuple[JetDataset, Jets]:
    """The data set of a sample, and its jets.

    Raises:
        UserError: if the data set cannot be prepared or has no such split.
    """
    dataset = opened(sample)
    return dataset, dataset.arrays(sample.split).take(slice(sample.max_jets))
