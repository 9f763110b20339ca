"""The TFDS data set of jets: `tfds build tfds_jets --config NAME --manual_dir DIR`."""
