"""How to train: named sets of hyper-parameters, and the settings of one run. Imports nothing heavy.

`default` was chosen on the validation split of the simulated jets that come along. There it takes 4,200 steps of 512 jets,
nominally half a minute of two CPU cores without callbacks. On a few thousand jets the batch shrinks so that an epoch keeps 50
steps. There `deep_sets` is the better model: it makes several training examples of each jet's tracks.

`paper` is arXiv:2203.13890 as released: softmax twice before a focal loss with γ = 25, Adam with rate 1e-4/(1 + epoch/30),
batches of 65,536 out of 8.3 million jets (126 steps an epoch), 497 epochs. On fewer jets the batch shrinks so that an
epoch keeps its 126 steps. The gradients of this loss are tiny: on the CMS ntuple their median is 4e-9 at the start and 2e-10
after ten epochs, so Adam's ε = 1e-8 outweighs most of them and damps most steps, here as in the released code. Keras damps
the first steps more: it adds ε to the uncorrected root of the second moment, PyTorch to the corrected one, so at step t its
ε acts as ε/sqrt(1 - 0.999^t) does in PyTorch, 32 times larger at first and equal after a few thousand steps.
"""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from kerastag import options
from kerastag.catalogue import ATTACKS, DEFENSES, LOSSES, MODELS, SCALES, SCHEDULES
from kerastag.errors import UserError
from kerastag.files import check_fields, read_json
from kerastag.options import LARGEST_SEED, option, section, typed
from kerastag.request import EPSILON, PHYSICS, Physics, Sample
from kerastag.schema import DEFAULT, EXAMPLES, SCHEMAS

PAPER_STEPS = 126
_ATTACK, _TRAINING = "attack and defence", "training"
# Settings that only some defences use; the others refuse them.
OF_DEFENSES = (
    "every",
    "attack_mode",
    "warmup_epochs",
    "ramp_epochs",
    "random_epsilon",
    "beta",
    "rho",
    "weight",
    "replays",
    "variations",
    "hold_out",
    "unlabelled",
)
# Settings that say where data lie, and how they are read. They are the user's: what a run says of them is not followed.
FOLDERS = ("data_dir", "manual_dir", "strict", "beam", "variations", "unlabelled")
_SAMPLE = {field.name: dict(field.metadata) for field in dataclasses.fields(Sample)}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of a training.

    Attributes:
        model: A name in `kerastag.models`, or module:function.
        epochs: Number of passes over the training jets.
        batch_size: Jets in a step.
        learning_rate: Learning rate at the start.
        schedule: "cosine" to 0, or "inverse_epoch", rate/(1 + epoch/30).
        weight_decay: Weight decay of AdamW; 0 is Adam.
        loss: A name in the catalogue of losses.
        weights: "none", "generator", or a (pT, η) binning of `kerastag.data.weights`: "uniform" or "variable".
        fixed_steps: If above 0, the batch shrinks on small data sets until an epoch has that many steps; 0 where an option
            overrides the batch size.
    """

    model: str = option("mlp", MODELS.help, group=_TRAINING)
    epochs: int = option(30, "passes over the training jets", metavar="N", positive=True, group=_TRAINING)
    batch_size: int = option(512, "jets in a step", metavar="N", positive=True, group=_TRAINING)
    learning_rate: float = option(1e-3, "at the start", metavar="RATE", positive=True, group=_TRAINING)
    schedule: str = option("cosine", choices=SCHEDULES, group=_TRAINING)
    weight_decay: float = option(0.05, "of AdamW; 0 is Adam", metavar="RATE", at_least=0, group=_TRAINING)
    loss: str = option("cross_entropy", choices=LOSSES, group=_TRAINING)
    weights: str = option(
        "none",
        "of the jets: none; generator, as the files have them; uniform or variable, a (pT, η) spectrum that all classes share",
        choices=("none", "generator", "uniform", "variable"),
        group=_TRAINING,
    )
    fixed_steps: int = 50


RECIPES = {
    "default": Recipe(),
    "paper": Recipe(
        model="paper_mlp",
        epochs=497,
        batch_size=65_536,
        learning_rate=1e-4,
        schedule="inverse_epoch",
        weight_decay=0.0,
        loss="double_softmax_focal",
        weights="uniform",
        fixed_steps=PAPER_STEPS,
    ),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that defines a run; stored as `config.json`. Fields of the recipe may be overridden one by one.

    Attributes:
        config: Data set config, the name of a built-in schema.
        schema: File of a schema of one's own instead; None for `config`.
        selection: Expression of branches that a jet must fulfil beside the schema's own; None for no other.
        data_dir: Folder where TFDS keeps data sets; None for its default.
        manual_dir: Folder of ROOT files to build from; None for a data set that exists, or the sample that comes along.
        strict: Whether a build of the data set is refused if values look wrong.
        beam: Options of Apache Beam, which then builds the data set; None for a build in this process.
        defense: What training does against attacks, a name in the catalogue of defences.
        epsilon: Size of the attack, in training and in the evaluation at each epoch.
        relative_cap: Cap of the attack in training; None for none.
        scale: Unit of ε: "sigma", the standard deviation, or "core", that of the values between the 20 % and 80 % quantiles.
        only: Names or patterns of the features that attacks may move; none for all.
        physics: Which rules attacks obey, and their budget in physical units.
        inputs: Groups of features that the tagger looks at, as `Schema.restricted` takes them; none for all.
        attack: Attack at each epoch, a name in the catalogue of attacks.
        attack_objective: What attacks increase: "cross_entropy", "paper", or a discriminator of the data set by name.
        attack_mode: "inference" or "training", the tagger's mode while it is attacked in training.
        every: Only every so many-th batch is attacked.
        warmup_epochs: Epochs without an attack.
        ramp_epochs: Epochs in which ε rises behind them.
        random_epsilon: Whether each batch draws its ε between 0 and that.
        beta: Weight of TRADES' second term; of 1, 3 and 6 the one of least attacked cross-entropy on validation jets.
        rho: How far SAM, ASAM and AWP move weights; None for the default of each.
        weight: Weight of certified losses, of the curvature or of the reversed gradient; None for the default of each.
        replays: How often free adversarial training uses a batch.
        variations: Folder of simulated variations of the training jets; None to train on the jets as they are.
        hold_out: Names or patterns of variations there that are not used.
        unlabelled: File or folder of jets whose labels are not read; None for none.
        ema: Momentum of an average of the weights that takes their place at the end of each epoch; None for no average.
        recipe: Name of the recipe.
        hyperparameters: The recipe with its overrides.
        monitor: Further sizes of the attack to evaluate at each epoch; their logs end in `_<ε>`.
        select: "last", or the entry of the logs by which the best epoch is chosen.
        patience: Epochs without a better one after which training stops; None for never. Needs `select`.
        seed: Seed of initial weights, dropout, order of jets and attack.
        mixed: Precision of hidden layers, "bfloat16" or "float16"; None for float32. Inputs, their scaling, attacks, logits
            and losses are float32 in any case.
        jit: "auto" (XLA on a GPU only), "on" or "off".
    """

    config: str = option(DEFAULT, f"data set: {', '.join([*SCHEMAS, *EXAMPLES])}", group="data")
    schema: str | None = dataclasses.field(default=None, metadata=_SAMPLE["schema"])
    selection: str | None = dataclasses.field(default=None, metadata=_SAMPLE["selection"])
    data_dir: str | None = dataclasses.field(default=None, metadata=_SAMPLE["data_dir"])
    manual_dir: str | None = dataclasses.field(default=None, metadata=_SAMPLE["manual_dir"])
    strict: bool = dataclasses.field(default=False, metadata=_SAMPLE["strict"])
    beam: str | None = dataclasses.field(default=None, metadata=_SAMPLE["beam"])
    defense: str = option("nominal", choices=DEFENSES, group=_ATTACK)
    epsilon: float = option(
        EPSILON,
        "size of the attack in units of --scale; with a budget a multiple of it, once unless told",
        metavar="E",
        at_least=0,
        group=_ATTACK,
    )
    relative_cap: float | None = option(
        None, "largest change relative to each value (default: none)", metavar="SHARE", at_least=0, group=_ATTACK
    )
    scale: str = option("sigma", choices=SCALES, group=_ATTACK)
    only: tuple[str, ...] = option((), "features that attacks may move, with * (default: all)", group=_ATTACK)
    physics: Physics = section(PHYSICS, group=_ATTACK)
    inputs: tuple[str, ...] = option(
        (), "groups that the tagger sees, such as: jet track:2 (default: all)", metavar="GROUP", group=_TRAINING
    )
    attack: str = option("fgsm", "attack at each epoch, as in evaluate", choices=ATTACKS, group=_ATTACK)
    attack_objective: str = option(
        "cross_entropy",
        "what attacks increase: cross_entropy; paper; a discriminator of the data set, such as BvL (its margin); with + or - "
        "all jets one way; or your own module:function(y, logits)",
        group=_ATTACK,
    )
    attack_mode: str = option(
        "inference",
        "mode of the attacked network: inference or training",
        metavar="MODE",
        choices=("inference", "training"),
        group=_ATTACK,
    )
    every: int = option(1, "attack every N-th batch alone", metavar="N", positive=True, group=_ATTACK)
    warmup_epochs: int = option(0, "epochs without an attack", metavar="N", at_least=0, group=_ATTACK)
    ramp_epochs: int = option(0, "epochs in which ε rises behind them", metavar="N", at_least=0, group=_ATTACK)
    random_epsilon: bool = option(False, "each batch draws its ε between 0 and the full one", group=_ATTACK)
    beta: float = option(3.0, "weight of the second term of trades and consistency", metavar="B", at_least=0, group=_ATTACK)
    rho: float | None = option(
        None,
        "how far weights move: of sam (default: 0.05), of asam (0.5, in units of each) or awp (0.005, in units of each kernel)",
        metavar="R",
        at_least=0,
        group=_ATTACK,
    )
    weight: float | None = option(
        None,
        "of certified losses beside clean ones, from 0 to 1, in ibp and crown-ibp (default: 0.5); of the curvature in cure "
        "(default: 300); of the reversed gradient in domain (default: 1)",
        metavar="W",
        at_least=0,
        group=_ATTACK,
    )
    replays: int = option(4, "how often free uses a batch", metavar="N", positive=True, group=_ATTACK)
    variations: str | None = option(
        None,
        "for the defences variations, variations-fgsm and variations-input-gradient: FOLDER of simulate --split train "
        "--variation nominal uncertainties --output FOLDER",
        metavar="FOLDER",
        group=_ATTACK,
    )
    hold_out: tuple[str, ...] = option(
        (), "variations of that folder that training must not see, with *", metavar="NAME", group=_ATTACK
    )
    unlabelled: str | None = option(
        None,
        "for the defences consistency and domain: file or folder of jets whose labels are not read, such as data",
        metavar="PATH",
        group=_ATTACK,
    )
    ema: float | None = option(
        None, "average the weights over steps, such as 0.999 (default: no average)", metavar="MOMENTUM", group=_TRAINING
    )
    recipe: str = option(
        "default", f"hyper-parameters: {' or '.join(RECIPES)}, overridden one by one by other options", group=_TRAINING
    )
    hyperparameters: Recipe = Recipe()
    monitor: tuple[float, ...] = option(
        (), "further sizes of the attack to evaluate at each epoch", metavar="E", at_least=0, group=_ATTACK
    )
    select: str = option(
        "last", "'last' epoch, or the best by a log: val_BvL_auc, val_BvL_auc_fgsm, …", metavar="LOG", group=_TRAINING
    )
    patience: int | None = option(
        None,
        "stop after N epochs in which --select found nothing better (default: never)",
        metavar="N",
        positive=True,
        group=_TRAINING,
    )
    seed: int = option(0, "seed of weights, dropout, order and attack", metavar="N", at_least=0, group=_TRAINING)
    mixed: str | None = option(
        None,
        "hidden layers compute in bfloat16 or float16, all that attacks see in float32 (default: all in float32)",
        metavar="PRECISION",
        choices=("bfloat16", "float16"),
        group=_TRAINING,
    )
    jit: str = option(
        "auto", "XLA: auto (on a GPU only), on or off", metavar="WHEN", choices=("auto", "on", "off"), group=_TRAINING
    )

    @classmethod
    def resolve(cls, given: dict[str, Any]) -> "Settings":
        """Settings from a flat dictionary: the recipe first, then every entry that is not None.

        Raises:
            UserError: for an unknown name, or a value of the wrong kind or out of range.
        """
        given = {name: value for name, value in given.items() if value is not None}
        recipe = given.get("recipe", cls.recipe)
        if not isinstance(recipe, str) or recipe not in RECIPES:
            raise UserError(f"There is no recipe '{recipe}'; choose one of {', '.join(RECIPES)}.")
        if "config" in given and "schema" in given:
            raise UserError("Give --config or --schema, not both.")
        of_run = {field.name: field for field in dataclasses.fields(cls) if field.name not in ("hyperparameters", "physics")}
        of_recipe = {field.name: field for field in dataclasses.fields(Recipe)}
        of_physics = {field.name: field for field in dataclasses.fields(Physics)}
        fields = of_run | of_recipe | of_physics
        unknown = [name for name in given if name not in fields]
        if unknown:
            raise UserError(f"There is no setting '{unknown[0]}'; there are {', '.join(fields)}.")
        values = {name: typed(name, value, fields[name].type) for name, value in given.items()}
        if "budget" in values:  # who names a budget and no multiple of it means the budget
            values.setdefault("epsilon", 1.0)
        overrides = {name: value for name, value in values.items() if name in of_recipe}
        if of_defense := DEFENSES.find(str(values.get("defense", cls.defense))).model:
            overrides.setdefault("model", of_defense)
        if "batch_size" in overrides:  # who names a size wants it
            overrides.setdefault("fixed_steps", 0)
        settings = cls(
            hyperparameters=dataclasses.replace(RECIPES[recipe], **overrides),
            physics=Physics(**{name: value for name, value in values.items() if name in of_physics}),
            **{name: value for name, value in values.items() if name in of_run},
        )
        settings._check()
        return settings

    def _check(self) -> None:
        options.check(self)
        options.check(self.hyperparameters)
        if self.ema is not None and not 0 < self.ema < 1:
            raise UserError(f"'ema' must lie between 0 and 1, not be {self.ema}.")
        if self.seed > LARGEST_SEED:
            raise UserError(f"--seed must be at most {LARGEST_SEED}, not {self.seed}.")
        if self.patience is not None and self.select == "last":
            raise UserError("'patience' needs 'select', the entry of the logs that must get better.")
        self._check_precision()
        entry = DEFENSES.find(self.defense)
        uses, model = entry.uses, self.hyperparameters.model
        MODELS.find(model)  # one of the user's own is looked for when it is made
        if entry.model and model != entry.model:
            raise UserError(f"The defence '{self.defense}' trains the model {entry.model}, not {model}; leave 'model' out.")
        for name in (name for name in OF_DEFENSES if name not in uses):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UserError(f"The defence '{self.defense}' knows no '{name}'; leave it out.")
        if "variations" in uses and self.variations is None:
            raise UserError(
                f"The defence '{self.defense}' needs 'variations', a folder made by "
                "simulate --split train --variation nominal uncertainties --output FOLDER, of your own jets with --like."
            )
        if "unlabelled" in uses and self.unlabelled is None:
            raise UserError(
                f"The defence '{self.defense}' needs 'unlabelled', a file or folder of jets, such as a real experiment's or "
                "simulated variations of the training jets."
            )

    def _check_precision(self) -> None:
        model = self.hyperparameters.model
        named = [DEFENSES.find(self.defense), *([MODELS.find(model)] if model in MODELS else [])]
        if self.mixed and (precise := [entry.name for entry in named if entry.float32_only]):
            raise UserError(
                f"'{precise[0]}' needs hidden layers in float32: its limits do not enclose the rounding of {self.mixed}; leave "
                "'mixed' out."
            )

    @property
    def replays_of_batch(self) -> int:
        """How many updates a batch makes."""
        return self.replays if "replays" in DEFENSES.find(self.defense).uses else 1

    def to_dict(self) -> dict[str, Any]:
        """A flat dictionary that `resolve` turns back into the same settings."""
        content = dataclasses.asdict(self)
        hyperparameters, physics = content.pop("hyperparameters"), content.pop("physics")
        if content["schema"] is not None:
            del content["config"]
        return content | hyperparameters | physics

    @classmethod
    def stored(cls, content: dict[str, Any]) -> "Settings":
        """The settings that a run has stored; in runs of versions that knew no physics, attacks had the paper's box."""
        return cls.resolve({"paper": True} | content)


def run_config(folder: Path) -> dict[str, Any]:
    """What `config.json` of a run directory holds, `settings` as such.

    Raises:
        UserError: if it cannot be read or is damaged.
    """
    file = folder / "config.json"
    # Which variations a run saw, in which box it was attacked, and its own discriminators, runs of early versions do not say.
    content: dict[str, Any] = {"variations": {}, "box": "", "ratios": None, "strength": None}
    content |= read_json(file, {"settings": dict, "fingerprint": str, "jets": dict})
    check_fields(file, content, {"variations": dict, "box": str})
    try:
        return content | {"settings": Settings.stored(content["settings"])}
    except UserError as error:
        raise UserError(f"'{file}' is damaged, or of another version: {error}") from error


def read_toml(path: str | Path) -> dict[str, Any]:
    """Settings of a TOML file, flat, with hyphens or underscores in names.

    Raises:
        UserError: if there is no such file or it is not TOML.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The settings file '{path}' cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"The settings file '{path}' is not valid TOML: {error}.") from error
    return {name.replace("-", "_"): value for name, value in content.items()}
