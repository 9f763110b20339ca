"""What is asked of an evaluation: which jets, under which attacks, what report. Imports nothing heavy."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from kerastag import options
from kerastag.catalogue import ATTACKS, SCALES
from kerastag.errors import UserError
from kerastag.options import option, section
from kerastag.schema import DEFAULT, EXAMPLES, SCHEMAS

# The threat model of arXiv:2203.13890: steps of 1 % of σ, and no change of more than 20 % of a value.
EPSILON, RELATIVE_CAP = 0.01, 0.2
# Bootstrap resamples behind every interval.
REPLICATES = 200
# How outputs are bounded over a box, see `kerastag.bounds`.
Method = Literal["crown", "interval"]
CERTIFICATES: tuple[Method, ...] = get_args(Method)
# Stands for the jets of every split.
ALL_SPLITS = "all"
# What must be known of areas where jets of all splits are taken.
FLATTERED = "Jets that a tagger was trained on are among them, if it was trained on this data set: its areas flatter it."
# Why nothing but clean jets is asked of stored scores.
NO_ATTACK = "stored scores cannot be attacked: a file holds their values, not the network that gave them"


@dataclasses.dataclass(frozen=True)
class Sample:
    """Some jets of a data set.

    Attributes:
        config: Name of a built-in schema.
        manual_dir: Folder of files to build it from; None for a data set that exists, or the sample that comes along.
        data_dir: Folder where TFDS keeps data sets; None for its default.
        split: Name of the split, or "all".
        max_jets: How many of its jets, from the first; None for all.
        strict: Whether a build is refused if values look wrong.
        schema: File of a schema of one's own instead; None for `config`.
        selection: Expression of branches that a jet must fulfil beside the schema's own; None for no other.
        beam: Options of Apache Beam, which then builds; None for a build in this process.

    Raises:
        UserError: if the number is not positive.
    """

    config: str | None = option(
        None,
        f"data set: {', '.join([*SCHEMAS, *EXAMPLES])} (default: that of the taggers, or {DEFAULT})",
        metavar="NAME",
        group="data",
    )
    manual_dir: str | None = option(
        None,
        "folder of ROOT, Parquet or HDF5 files to build the data set from (default: the sample that comes along)",
        metavar="DIR",
        group="data",
    )
    data_dir: str | None = option(
        None, "folder where TFDS keeps data sets (default: ~/tensorflow_datasets)", metavar="DIR", group="data"
    )
    split: str = option(
        "test", "split to evaluate on; all takes every jet, right where no tagger was trained on them", group="data"
    )
    max_jets: int | None = option(None, "evaluate on the first N jets alone", metavar="N", positive=True, group="data")
    strict: bool = option(False, "refuse a data set with values that look wrong, instead of a warning", group="data")
    schema: str | None = option(
        None, "inputs and classes of your own, a TOML file as inspect and schema --toml write it", metavar="FILE", group="data"
    )
    selection: str | None = option(
        None, "jets to keep, such as 'jet_pt > 30 and abs(jet_eta) < 2.5' (default: all)", metavar="EXPRESSION", group="data"
    )
    beam: str | None = option(
        None,
        "build the data set with Apache Beam, such as runner=DirectRunner,direct_num_workers=8,"
        "direct_running_mode=multi_processing (default: in this process)",
        metavar="OPTIONS",
        group="data",
    )

    def __post_init__(self) -> None:
        options.check(self)

    @property
    def of_split(self) -> str:
        """Which jets of the data set they are, in words."""
        return "all splits" if self.split == ALL_SPLITS else f"the {self.split} split"

    @property
    def has_training_jets(self) -> bool:
        """Whether training jets are among them."""
        return self.split in ("train", ALL_SPLITS)


# Sizes of a curve.
_CURVE = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)
# Options of a command that reads a whole data set.
DATA_SET = ("config", "schema", "selection", "manual_dir", "data_dir", "strict", "beam")


@dataclasses.dataclass(frozen=True)
class Physics:
    """Which rules of physics an attack obeys, and where its size comes from.

    Attributes:
        paper: Whether every continuous cell may move on its own, without bounds: the box of arXiv:2203.13890. Otherwise
            special values stay, and tabulated features move as a block alone.
        bounds: Whether cells keep to the valid range of their feature.
        untied: Whether features that are one measurement may part.
        budget: Name or file of a budget in physical units, of which ε is then the multiple; None for units of a scale.
    """

    paper: bool = option(
        False, "the box of arXiv:2203.13890: every continuous input moves on its own, without bounds, also if --bounds is given"
    )
    bounds: bool = option(True, "inputs keep to their valid range")
    untied: bool = option(
        False,
        "inputs that are one measurement, so tied to each other, may part, such as an impact parameter and its significance",
    )
    budget: str | None = option(
        None,
        "sizes in physical units, of which ε is then a multiple: resolution-10, alignment-5um, momentum-scale-1, "
        "envelope, or a TOML file, see threat_model --help (default: units of --scale)",
        metavar="NAME|FILE",
    )

    @property
    def special(self) -> bool:
        """Whether special values and tabulated features stay."""
        return not self.paper

    @property
    def bounded(self) -> bool:
        """Whether valid ranges hold."""
        return self.bounds and not self.paper

    @property
    def tied(self) -> bool:
        """Whether features follow others."""
        return not (self.untied or self.paper)

    @property
    def label(self) -> str:
        """What differs from the default, for tables; "" if nothing does."""
        differences = {
            "paper's box": self.paper,
            "no bounds": not (self.bounds or self.paper),
            "untied": self.untied and not self.paper,
            Path(self.budget or "").stem: self.budget,
        }
        return ", ".join(name for name, differs in differences.items() if differs)


PHYSICS = Physics()
"""The default box: what physics allows."""
PAPER = Physics(paper=True)
"""The box of arXiv:2203.13890."""
# Names of its options.
PHYSICS_OPTIONS = tuple(field.name for field in dataclasses.fields(Physics))


@dataclasses.dataclass(frozen=True)
class AttackGrid:
    """Attacks, each with each cap and each ε.

    Attributes:
        attacks: Names in the catalogue of attacks.
        epsilons: Sizes of the attacks, in units of the scale.
        caps: Largest change relative to each value; None for none.
        objectives: What attacks increase: "cross_entropy", "margin", "paper", or discriminators of the data set by name.
        scale: Unit of ε.
        only: Names or patterns of the features that attacks may move; none for all.
        physics: Which rules the attacks obey.

    Raises:
        UserError: if there is no such attack or scale.
    """

    attacks: tuple[str, ...] = option(("fgsm", "pgd-20"), choices=ATTACKS, flag="--attack", group="attacks")
    epsilons: tuple[float, ...] = option(
        (EPSILON,),
        "sizes of the attacks in units of --scale; with a budget multiples of it, once unless told",
        metavar="E",
        at_least=0,
        flag="--epsilon",
        group="attacks",
    )
    caps: tuple[float | None, ...] = (None, RELATIVE_CAP)
    objectives: tuple[str, ...] = option(
        ("cross_entropy",),
        "what attacks increase: cross_entropy; margin (in each column the margin of its own discriminator); "
        "a discriminator of the data set, such as BvL (that margin); with + or - all jets one way; paper (the loss of "
        "arXiv:2203.13890); or your own module:function(y, logits)",
        metavar="NAME",
        flag="--objective",
        group="attacks",
    )
    scale: str = option("sigma", choices=SCALES, group="attacks")
    only: tuple[str, ...] = option((), "features that attacks may move, with * (default: all)", group="attacks")
    physics: Physics = section(PHYSICS, group="attacks")

    def __post_init__(self) -> None:
        options.check(self)


# What the commands ask for unless told otherwise.
EVALUATION = AttackGrid(caps=(None,), objectives=("cross_entropy", "margin"))
COMPARISON = AttackGrid(epsilons=(0.01, 0.05), caps=(None,))
STUDY = AttackGrid(epsilons=(0.01, 0.05))
ARCHITECTURES = AttackGrid(("pgd-20", "track-dropout", "fake-track"), caps=(None,), objectives=("margin",))
SCAN = AttackGrid(attacks=("fgsm",))
LEADERBOARD = AttackGrid(("fgsm", "pgd-20", "apgd-20", "random-search-200"), caps=(None,), objectives=("margin",))


def unit_of(scale: str) -> str:
    """Unit of ε of a scale, in words."""
    return "σ" if scale == "sigma" else f"{scale} σ"


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """What a report depends on beside taggers and jets.

    Attributes:
        epsilon: Size of the attacks in the headline.
        epsilons: Sizes of the curves.
        uncertainty: Relative uncertainty of a bin against which distributions are held.
        features: Names of inputs for the figures by flavour and of the loss surface; none lets numbers decide.
        replicates: Bootstrap resamples.
        objective: What attacks increase, as of `kerastag.attacks.Attack`.
        scale: Unit of ε, without a budget.
        physics: Which rules attacks obey, and their budget.

    Raises:
        UserError: if a number is out of range.
    """

    epsilon: float = option(
        EPSILON,
        "size of the attacks in units of --scale; with a budget a multiple of it, once unless told",
        metavar="E",
        positive=True,
    )
    epsilons: tuple[float, ...] = option(_CURVE, "sizes of the curves", metavar="E", positive=True)
    uncertainty: float = option(
        0.2, "of a distribution's bins, for the question whether it looks normal", metavar="SHARE", positive=True
    )
    features: tuple[str, ...] = option(
        (), "inputs to show by flavour, the first two over the loss surface (default: those pushed most)"
    )
    replicates: int = option(REPLICATES, "bootstrap resamples", metavar="N", positive=True)
    objective: str = option(
        "cross_entropy",
        "what attacks increase: cross_entropy; a discriminator of the data set, such as CvL (its margin; areas are its own "
        "then); paper (the loss of arXiv:2203.13890); or your own module:function(y, logits)",
        metavar="NAME",
    )
    scale: str = option("sigma", choices=SCALES)
    physics: Physics = section(PHYSICS)

    def __post_init__(self) -> None:
        options.check(self)
        if self.replicates < 2:
            raise UserError(f"'replicates' must be at least 2, not {self.replicates}.")

    @property
    def unit(self) -> str:
        """Unit of ε, in words."""
        return Path(self.physics.budget).stem if self.physics.budget else self.unit_of_moves

    @property
    def unit_of_moves(self) -> str:
        """Unit of moves in figures, in words."""
        return unit_of(self.scale)

    @property
    def distortion(self) -> float:
        """Size of the distortions in the verdict: five times ε, since they are not aimed."""
        return 5 * self.epsilon


T = TypeVar("T", AttackGrid, ReportOptions)


def requested(defaults: T, given: argparse.Namespace, **values: Any) -> T:
    """What a command line asks for. Who names a budget and no multiple of it means the budget.

    Args:
        defaults: What is asked unless told otherwise.
        given: Parsed options; those that were not given are None.
        **values: Further fields.
    """
    asked = options.collect(defaults, given, **values)
    if not asked.physics.budget:
        return asked
    of_report = isinstance(asked, ReportOptions)
    once: dict[str, Any] = {}
    if of_report and given.epsilon is None:
        once["epsilon"] = 1.0
    if given.epsilons is None:
        once["epsilons"] = tuple(size / EPSILON for size in _CURVE) if of_report else (1.0,)
    return dataclasses.replace(asked, **once)
