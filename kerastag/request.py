"""What is asked of an evaluation: which jets, and under which attacks. Imports nothing heavy."""

import dataclasses

from kerastag.catalogue import ATTACKS, SCALES
from kerastag.errors import UserError
from kerastag.options import option
from kerastag.schema import DEFAULT, SCHEMAS

# The threat model of arXiv:2203.13890: steps of 1 % of σ, and no change of more than 20 % of a value.
EPSILON, RELATIVE_CAP = 0.01, 0.2

CONFIG = f"data set: {', '.join(SCHEMAS)}"
MANUAL_DIR = "folder of ROOT files to build the data set from (default: the sample that comes along)"
DATA_DIR = "folder where TFDS keeps data sets (default: ~/tensorflow_datasets)"


@dataclasses.dataclass(frozen=True)
class Sample:
    """Some jets of a data set.

    Attributes:
        config: Name of the data set's schema.
        manual_dir: Folder of ROOT files to build it from; None for a data set that exists, or the sample that comes along.
        data_dir: Folder where TFDS keeps data sets; None for its default.
        split: Which jets.
        max_jets: How many of them, from the first; None for all.
    """

    config: str = option(DEFAULT, CONFIG, metavar="NAME")
    manual_dir: str | None = option(None, MANUAL_DIR, metavar="DIR")
    data_dir: str | None = option(None, DATA_DIR, metavar="DIR")
    split: str = option("test", "split to evaluate on", metavar="NAME")
    max_jets: int | None = option(None, "evaluate on the first N jets alone", metavar="N")


# Options of a command that reads a whole data set.
DATA_SET = ("config", "manual_dir", "data_dir")


@dataclasses.dataclass(frozen=True)
class AttackGrid:
    """Attacks, each with each cap and each ε.

    Attributes:
        attacks: Names in the catalogue of attacks.
        epsilons: Sizes of the attacks, in units of the scale.
        caps: Largest change relative to each value; None for none.
        objective: What attacks increase, a name in `kerastag.attacks.OBJECTIVES`.
        scale: Unit of ε.
        only: Names or patterns of the features that attacks may move; none for all.

    Raises:
        UserError: if there is no such attack or scale.
    """

    attacks: tuple[str, ...] = option(("fgsm", "pgd-20"), ATTACKS.help, flag="--attack", metavar="NAME")
    epsilons: tuple[float, ...] = option((EPSILON,), "sizes of the attacks in units of --scale", flag="--epsilon", metavar="E")
    caps: tuple[float | None, ...] = (None, RELATIVE_CAP)
    objective: str = "cross_entropy"
    scale: str = option("sigma", SCALES.help, choices=SCALES)
    only: tuple[str, ...] = option((), "features that attacks may move, with * (default: all)", metavar="NAME")

    def __post_init__(self):
        for name in self.attacks:
            ATTACKS.find(name)
        SCALES.find(self.scale)
        if not self.epsilons:
            raise UserError("An evaluation under attack needs at least one ε.")
