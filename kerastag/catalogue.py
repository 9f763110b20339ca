"""What can be named on a command line or in a settings file: attacks, defences, models, scales, losses. Imports nothing heavy.

Each has its line here and nowhere else; choices, help and the object itself follow from it. Capital letters in a name stand for
whole numbers: "pgd-N" is "pgd-20" for 20 steps. To add one, write the class or function and add its line.
"""

import dataclasses
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kerastag.errors import UserError


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing that can be named.

    Attributes:
        name: Its name, with a capital letter for each number.
        help: What it is, in a few words.
        path: "module:function", imported when it is built.
        numbers: Argument that each capital letter of the name stands for.
        arguments: Further arguments, always the same.
        takes: Optional arguments of the caller that it accepts; the others are left out.
        title: Name for tables and legends, with the capital letters of the name; the name in capitals if empty.
        uses: Settings of defences that have a meaning with it.
        looks: Whether an attack looks at the tagger; a distortion does not.
        sized: Whether ε means anything to a defence or an attack.
        float32_only: Whether what it promises holds without rounding to 16 bits alone.
        model: The model that a defence consists of; any if empty.
        structure: What a model takes a jet for: 0 a list of features, 1 a set of objects, 2 objects that see each other.
    """

    name: str
    help: str
    path: str = ""
    numbers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    takes: tuple[str, ...] = ()
    title: str = ""
    uses: tuple[str, ...] = ()
    looks: bool = True
    sized: bool = True
    float32_only: bool = False
    model: str = ""
    structure: int = 0

    @property
    def paper(self) -> str | None:
        """Address of the first paper on arXiv that `help` names; None if it names none."""
        number = re.search(r"arXiv:(\d{4}\.\d{4,5})", self.help)
        return number and f"https://arxiv.org/abs/{number[1]}"

    def titled(self, name: str) -> str:
        """What tables call a name of this entry."""
        numbers = self.match(name) or {}
        title = self.title or name.upper()
        for letter, argument in self.numbers.items() if self.title else ():
            title = title.replace(letter, str(numbers[argument]))
        return title

    def match(self, name: str) -> dict[str, int] | None:
        """The numbers in a name by argument, or None if it is not a name of this entry."""
        pattern = re.escape(self.name)
        for letter in self.numbers:
            pattern = pattern.replace(letter, rf"(?P<{letter}>[1-9]\d{{0,4}})")
        match = re.fullmatch(pattern, name)
        return match and {argument: int(match[letter]) for letter, argument in self.numbers.items()}


class Catalogue:
    """All things of a kind.

    Args:
        kind: What they are, for messages.
        entries: One for each.
        own: How something of the user's own is named, such as "module:Class"; "" if there can be none.
        own_uses: `uses` of what is the user's own.
        others: Catalogues of other kinds that a name may have been meant of, by their option.
    """

    def __init__(
        self,
        kind: str,
        *entries: Entry,
        own: str = "",
        own_uses: tuple[str, ...] = (),
        others: Mapping[str, "Catalogue"] | None = None,
    ):
        self.kind = kind
        self.entries = entries
        self.own, self._own_uses, self._others = own, own_uses, others or {}

    def __iter__(self) -> Iterator[str]:
        """The names as a user writes them."""
        return (entry.name for entry in self.entries)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(entry.match(name) is not None for entry in self.entries)

    @property
    def help(self) -> str:
        """Each name with what it is, for `--help`."""
        names = "; ".join(f"{entry.name}: {entry.help}" for entry in self.entries)
        return f"{names}; or your own {self.own}" if self.own else names

    def find(self, name: str) -> Entry:
        """The entry of a name.

        Raises:
            UserError: if there is none; the message lists those that exist.
        """
        for entry in self.entries:
            if entry.match(name) is not None:
                return entry
        if self.own and ":" in name:
            return Entry(name, "your own", name, title=name.rpartition(":")[2], uses=self._own_uses)
        for option, other in self._others.items():
            for meant in other:
                if name.lower().replace("-", "_") in (meant, meant.partition("_")[0]):
                    raise UserError(f"There is no {self.kind} '{name}'; it is a {other.kind}: {option} {meant}.")
        of_ones_own = f", or give your own {self.own}" if self.own else ""
        raise UserError(f"There is no {self.kind} '{name}'; choose one of {', '.join(self)}{of_ones_own}.")

    def build(self, name: str, *arguments: Any, **offered: Any) -> Any:
        """What the entry of a name makes.

        Args:
            name: Its name.
            *arguments: Passed on.
            **offered: Passed on as far as the entry takes them.

        Raises:
            UserError: if there is no entry of that name.
        """
        entry = self.find(name)
        accepted = {key: value for key, value in offered.items() if key in entry.takes}
        numbers = entry.match(name) or {}
        return imported(entry.path)(*arguments, **{**accepted, **numbers, **entry.arguments})


def imported(path: str) -> Any:
    """What a path "module:name" stands for.

    Raises:
        ImportError: if there is no such module.
        AttributeError: if it has no such name.
    """
    module, _, names = path.partition(":")
    value = importlib.import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return value


def own(path: str, kind: str) -> Any:
    """What a path "module:name" of the user's own stands for; its module may lie in the folder that they work in.

    It runs the module, so the path must be one that the user has typed, never one that a file or a run names.

    Args:
        path: "module:name".
        kind: What it should be, for the message.

    Raises:
        UserError: if it cannot be imported.
    """
    import_own(path.partition(":")[0])
    try:
        return imported(path)
    except (AttributeError, ValueError) as error:
        raise UserError(f"The {kind} '{path}' cannot be imported: {error}.") from error


def make_own(name: str, kind: str, base: type, *first: Any, **offered: Any) -> Any:
    """An object of a class of the user's own.

    Args:
        name: "module:Class".
        kind: What it should be, for the message.
        base: Class below which it must be.
        *first: First arguments of its `__init__`, whatever it calls them.
        **offered: Passed on as far as it takes them.

    Raises:
        UserError: if it cannot be imported, is no such class, or cannot be made of that.
    """
    made = own(name, kind)
    if not (inspect.isclass(made) and issubclass(made, base)):
        raise UserError(f"The {kind} '{name}' is no class below kerastag's {base.__name__}.")
    try:
        takes = inspect.signature(made).parameters.values()
        rest = any(one.kind is one.VAR_KEYWORD for one in takes)
        named = {one.name for one in takes if one.kind is not one.POSITIONAL_ONLY}
        return made(*first, **{key: value for key, value in offered.items() if rest or key in named})
    except (TypeError, ValueError) as error:
        can = f"; it can take {', '.join(offered)} by name, and more with a default" if offered else ""
        raise UserError(f"The {kind} '{name}' cannot be made: {error}{can}.") from error


def import_own(module: str) -> None:
    """Run a module of the user's own, which registers its layers and attacks with Keras; on its path as of `own`.

    Raises:
        UserError: if it cannot be imported.
    """
    if os.getcwd() not in sys.path:  # a script's path starts at its own folder
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(module)
    except Exception as error:  # it is the user's own code
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"The module '{module}' cannot be imported: {reason}; start where it lies or set PYTHONPATH."
        ) from error


_AIMED, _RANDOM = ("objective",), ("objective", "seed")

ATTACKS = Catalogue(
    "attack",
    Entry("fgsm", "one step along the sign of the gradient (arXiv:1412.6572)", "kerastag.attacks:FGSM", takes=_AIMED),
    Entry("fgsm-rs", "the same from a random start (arXiv:2001.03994)", "kerastag.attacks:RandomStartFGSM", takes=_RANDOM),
    Entry("ngm", "one step along the gradient itself (arXiv:1605.07725)", "kerastag.attacks:NGM", takes=_AIMED),
    Entry("pgd-N", "N projected steps (arXiv:1706.06083)", "kerastag.attacks:PGD", {"N": "steps"}, takes=_RANDOM),
    Entry("pgd-NxR", "the same from R starts", "kerastag.attacks:PGD", {"N": "steps", "R": "restarts"}, takes=_RANDOM),
    Entry("apgd-N", "N steps of adapted size (arXiv:2003.01690)", "kerastag.attacks:APGD", {"N": "steps"}, takes=_RANDOM),
    Entry(
        "random-search-N",
        "N random changes, kept where they help; no gradient is needed (arXiv:1912.00049)",
        "kerastag.attacks:RandomSearch",
        {"N": "queries"},
        takes=_RANDOM,
        title="random search-N",
    ),
    Entry(
        "track-dropout",
        "the track that is worst to lose, whatever ε",
        "kerastag.attacks:TrackDropout.of_dataset",
        takes=(*_AIMED, "dataset"),
        title="lost track",
        sized=False,
    ),
    Entry(
        "fake-track",
        "the worst of eight tracks of other jets, in the worst slot",
        "kerastag.attacks:FakeTracks.of_dataset",
        takes=(*_RANDOM, "dataset"),
        title="fake track",
        sized=False,
    ),
    Entry("noise", "normal noise", "kerastag.attacks:GaussianNoise", takes=("seed",), title="noise", looks=False),
    Entry(
        "systematic-up",
        "all features shifted up",
        "kerastag.attacks:SystematicShift",
        arguments={"up": True},
        title="shift up",
        looks=False,
    ),
    Entry(
        "systematic-down",
        "all features shifted down",
        "kerastag.attacks:SystematicShift",
        arguments={"up": False},
        title="shift down",
        looks=False,
    ),
    Entry(
        "rdsa",
        "a tenth of the values exchanged with other jets, whatever ε (arXiv:2501.05588)",
        "kerastag.attacks:RDSA",
        takes=("seed",),
        looks=False,
        sized=False,
    ),
    Entry(
        "correlated",
        "shifts with the correlations of the training jets",
        "kerastag.attacks:CorrelatedShift.of_training_jets",
        takes=("dataset", "seed"),
        title="correlated",
        looks=False,
    ),
    own="module:Class",
)

MODELS = Catalogue(
    "model",
    Entry("mlp", "fully connected, on scaled features and track quantities", "kerastag.models.mlp:mlp"),
    Entry(
        "deep_sets",
        "one encoder for all tracks, for few jets (arXiv:1703.06114)",
        "kerastag.models.deep_sets:deep_sets",
        structure=1,
    ),
    Entry("paper_mlp", "the network of arXiv:2203.13890", "kerastag.models.mlp:paper_mlp"),
    Entry("pfn", "Particle Flow Network, a sum over particles (arXiv:1810.05165)", "kerastag.models.pfn:pfn", structure=1),
    Entry("particle_net", "graphs of neighbours (arXiv:1902.08570)", "kerastag.models.particle_net:particle_net", structure=2),
    Entry(
        "particle_net_lite", "the same, small (arXiv:1902.08570)", "kerastag.models.particle_net:particle_net_lite", structure=2
    ),
    Entry(
        "particle_transformer",
        "attention among particles, version 1 of arXiv:2202.03772",
        "kerastag.models.particle_transformer:particle_transformer",
        structure=2,
    ),
    Entry(
        "particle_transformer_small",
        "the same, of three blocks of width 64 (arXiv:2202.03772)",
        "kerastag.models.particle_transformer:particle_transformer_small",
        structure=2,
    ),
    Entry(
        "deep_jet", "convolutions and recurrence, CMS's (arXiv:2008.10519)", "kerastag.models.deep_jet:deep_jet", structure=2
    ),
    Entry(
        "lipschitz_mlp",
        "fully connected, with a bound on its logits (arXiv:2112.00038)",
        "kerastag.models.lipschitz_mlp:lipschitz_mlp",
        float32_only=True,
    ),
    own="module:function(schema, statistics)",
)

_RAMP = ("warmup_epochs", "ramp_epochs", "random_epsilon")
_BATCHES = ("every", "attack_mode", *_RAMP)
_VARIED = ("variations", "hold_out")

DEFENSES = Catalogue(
    "defence",
    Entry("nominal", "none", "kerastag.training.assembly:nominal", sized=False),
    Entry(
        "fgsm",
        "each batch is attacked with FGSM (arXiv:1412.6572)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "fgsm"},
        uses=_BATCHES,
    ),
    Entry(
        "fgsm-mixed",
        "mean of the clean and the attacked loss (arXiv:1412.6572, section 6)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "fgsm", "mix": "mean"},
        uses=_BATCHES,
    ),
    Entry(
        "fgsm-rs",
        "FGSM from a random start (arXiv:2001.03994)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "fgsm-rs"},
        uses=_BATCHES,
    ),
    Entry(
        "pgd-N",
        "PGD of N steps (arXiv:1706.06083)",
        "kerastag.training.assembly:pgd_batches",
        {"N": "steps"},
        uses=_BATCHES,
    ),
    Entry(
        "trades",
        "clean loss and divergence of outputs under attack (arXiv:1901.08573)",
        "kerastag.training.assembly:trades",
        uses=("beta", *_RAMP),
    ),
    Entry(
        "consistency",
        "the same without labels in the second term, on --unlabelled jets too (arXiv:1905.13736)",
        "kerastag.training.assembly:consistency",
        uses=("beta", "unlabelled", *_RAMP),
    ),
    Entry(
        "free",
        "each batch is used --replays times, and each update moves its jets on (arXiv:1904.12843)",
        "kerastag.training.assembly:free",
        uses=("replays", *_RAMP),
    ),
    Entry(
        "ngm",
        "normed gradient method, with --every N on every N-th batch (arXiv:1605.07725)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "ngm"},
        uses=_BATCHES,
    ),
    Entry(
        "noise",
        "normal noise on the inputs (Bishop, Neural Comput. 7 (1995) 108)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "noise"},
        uses=_BATCHES,
    ),
    Entry(
        "variations",
        "each jet is drawn as it is or under one of the simulated --variations (data augmentation in arXiv:2105.08742)",
        "kerastag.training.assembly:nominal",
        uses=_VARIED,
        sized=False,
    ),
    Entry(
        "variations-fgsm",
        "the same, then attacked with FGSM (arXiv:1412.6572)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "fgsm"},
        uses=(*_BATCHES, *_VARIED),
    ),
    Entry(
        "variations-input-gradient",
        "the same, with the penalty of input-gradient (arXiv:1802.01421)",
        "kerastag.training.assembly:input_gradient",
        uses=_VARIED,
    ),
    Entry(
        "domain",
        "outputs that do not tell the simulation from --unlabelled jets (arXiv:1505.07818)",
        "kerastag.training.assembly:domain",
        arguments={"weight": 1.0},
        uses=("weight", "unlabelled", *_RAMP),
        sized=False,
    ),
    Entry(
        "input-gradient",
        "penalty on the first-order rise of the loss (arXiv:1802.01421)",
        "kerastag.training.assembly:input_gradient",
    ),
    Entry(
        "cure",
        "penalty on the curvature of the loss (arXiv:1811.09716)",
        "kerastag.training.assembly:cure",
        arguments={"weight": 300.0},
        uses=("weight",),
    ),
    Entry(
        "ibp",
        "clean loss and the largest one in the box, by intervals (arXiv:1810.12715)",
        "kerastag.training.assembly:bounded_loss",
        arguments={"method": "interval", "weight": 0.5},
        uses=("weight", *_RAMP),
        float32_only=True,
    ),
    Entry(
        "crown-ibp",
        "the same by CROWN behind intervals (arXiv:1906.06316)",
        "kerastag.training.assembly:bounded_loss",
        arguments={"method": "crown", "weight": 0.5},
        uses=("weight", *_RAMP),
        float32_only=True,
    ),
    Entry(
        "sam",
        "gradients at weights where the loss is larger (arXiv:2010.01412)",
        "kerastag.training.assembly:sam",
        arguments={"rho": 0.05},
        uses=("rho",),
        sized=False,
    ),
    Entry(
        "asam",
        "the same in units of each weight (arXiv:2102.11600)",
        "kerastag.training.assembly:asam",
        arguments={"rho": 0.5},
        uses=("rho",),
        sized=False,
    ),
    Entry(
        "awp",
        "FGSM, and gradients at weights where its loss is larger (arXiv:2004.05884)",
        "kerastag.training.assembly:awp",
        arguments={"attack": "fgsm", "rho": 0.005},
        uses=(*_BATCHES, "rho"),
    ),
    Entry(
        "rdsa",
        "a tenth of the values exchanged with other jets of the batch (arXiv:2501.05588)",
        "kerastag.training.assembly:attacked_batches",
        arguments={"attack": "rdsa"},
        uses=("every", *_RAMP),
        sized=False,
    ),
    Entry(
        "lipschitz",
        "nominal training of the model lipschitz_mlp, whose logits move by a known amount at most (arXiv:2112.00038)",
        "kerastag.training.assembly:nominal",
        sized=False,
        model="lipschitz_mlp",
    ),
    own="module:Class",
    own_uses=_RAMP,
    others={"--model": MODELS},
)

SCALES = Catalogue(
    "scale",
    Entry("sigma", "σ of the feature", "kerastag.data.scales:sigma"),
    Entry("core", "σ of the feature's core, 20 to 80 %", "kerastag.data.scales:core"),
)

LOSSES = Catalogue(
    "loss",
    Entry("cross_entropy", "cross-entropy", "keras.losses:CategoricalCrossentropy", arguments={"from_logits": True}),
    Entry(
        "focal",
        "focal loss, γ = 2",
        "keras.losses:CategoricalFocalCrossentropy",
        arguments={"alpha": 1.0, "gamma": 2.0, "from_logits": True},
    ),
    Entry("double_softmax_focal", "the paper's, γ = 25", "kerastag.losses:DoubleSoftmaxFocal"),
)

SCHEDULES = Catalogue(
    "schedule",
    Entry("cosine", "falling to 0 along a cosine", "kerastag.training.assembly:cosine"),
    Entry("inverse_epoch", "rate/(1 + epoch/30)", "kerastag.training.assembly:inverse_epoch"),
)

STRATEGIES = Catalogue(
    "strategy",
    Entry(
        "auto",
        "the workers that TF_CONFIG or SLURM name; else all GPUs if there are several; else one device",
        "kerastag.training.distribution:automatic",
    ),
    Entry("none", "one device", "kerastag.training.distribution:alone"),
    Entry("mirrored", "all GPUs of this machine", "kerastag.training.distribution:mirrored"),
    Entry("multi-worker", "several processes, which TF_CONFIG or SLURM name", "kerastag.training.distribution:multi_worker"),
)
