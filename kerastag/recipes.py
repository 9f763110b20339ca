"""How to train: named sets of hyper-parameters, and the settings of one run. Imports nothing heavy.

`default` was chosen on the validation split of the simulated jets that come along, where it takes half a minute on two CPU
cores, 4,200 steps of 512 jets; on a few thousand jets the batch shrinks so that an epoch keeps 50 steps. There `deep_sets` is
the better model: it makes several training examples of each jet's tracks.

`paper` is arXiv:2203.13890 as released: softmax twice before a focal loss with γ = 25, Adam with rate 1e-4/(1 + epoch/30),
batches of 65,536 out of 8.3 million jets (126 steps an epoch), 497 epochs. On fewer jets the batch shrinks so that an
epoch keeps its 126 steps. The gradients of this loss are tiny: on the CMS ntuple their median is 4e-9 at the start and 2e-10
after ten epochs, so Adam's ε = 1e-8 outweighs most of them and damps most steps, here as in the released code. Keras damps
the first steps more: it adds ε to the uncorrected root of the second moment, PyTorch to the corrected one, so at step t its
ε acts as ε/sqrt(1 - 0.999^t) does in PyTorch, 32 times larger at first and equal after a few thousand steps.
"""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

from kerastag.errors import UserError
from kerastag.schema import DEFAULT

PAPER_STEPS = 126

# What --defense knows; "pgd-N" beside them.
DEFENSES = {
    "nominal": "none",
    "fgsm": "each batch is attacked with FGSM (arXiv:1412.6572)",
    "fgsm-mixed": "mean of the clean and the attacked loss",
    "fgsm-rs": "FGSM from a random start (arXiv:2001.03994)",
    "trades": "clean loss and divergence of outputs under attack (arXiv:1901.08573)",
    "ngm": "normed gradient method, with --every N on every N-th batch",
    "noise": "normal noise on the inputs",
    "input-gradient": "penalty on the first-order rise of the loss (arXiv:1802.01421)",
}
# Steps of the attack inside TRADES.
TRADES_STEPS = 7


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of a training.

    Attributes:
        model: A name in `kerastag.models`, or module:function.
        epochs: Number of passes over the training jets.
        batch_size: Jets in a step.
        learning_rate: At the start.
        schedule: "cosine" to 0, or "inverse_epoch", rate/(1 + epoch/30).
        weight_decay: Of AdamW; 0 is Adam.
        loss: "cross_entropy", "focal" (γ = 2, from logits) or "double_softmax_focal" (γ = 25).
        weights: "none", or a (pT, η) binning of `kerastag.weights`: "uniform" or "variable".
        fixed_steps: If above 0, the batch shrinks on small data sets until an epoch has that many steps; 0 where an option
            overrides the batch size.
    """

    model: str = "mlp"
    epochs: int = 30
    batch_size: int = 512
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    weight_decay: float = 0.05
    loss: str = "cross_entropy"
    weights: str = "none"
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
        config: Data set config, the name of a schema.
        data_dir: Folder where TFDS keeps data sets; None for its default.
        manual_dir: Folder of ROOT files to build from; None for a data set that exists, or the sample that comes along.
        defense: What training does against attacks, a name in `DEFENSES` or "pgd-N".
        epsilon: Size of the attack, in training and in the evaluation at each epoch.
        relative_cap: Cap of the attack in training; None for none.
        scale: Unit of ε: "sigma", the standard deviation, or "core", that of the values between the 20 % and 80 % quantiles.
        only: Names or patterns of the features that attacks may move; none for all.
        inputs: Groups of features that the tagger looks at, as `Schema.restricted` takes them; none for all.
        attack: Attack at each epoch, a name that `kerastag.attacks.named` knows.
        attack_objective: What attacks increase, a name in `kerastag.attacks.OBJECTIVES`.
        attack_mode: "inference" or "training", the tagger's mode while it is attacked in training.
        every: Only every so many-th batch is attacked.
        warmup_epochs: Epochs without an attack.
        ramp_epochs: Epochs in which ε rises behind them.
        random_epsilon: Whether each batch draws its ε between 0 and that.
        beta: Weight of TRADES' second term; of 1, 3 and 6 the one of least attacked cross-entropy on validation jets.
        ema: Momentum of an average of the weights that takes their place at the end of each epoch; None for no average.
        recipe: Name of the recipe.
        hyperparameters: The recipe with its overrides.
        monitor: Further sizes of the attack to evaluate at each epoch; their logs end in `_<ε>`.
        select: "last", or the entry of the logs by which the best epoch is chosen.
        patience: Epochs without a better one after which training stops; None for never. Needs `select`.
        seed: Of initial weights, dropout, order of jets and attack.
        jit: "auto" (XLA on a GPU only), "on" or "off".
    """

    config: str = DEFAULT
    data_dir: str | None = None
    manual_dir: str | None = None
    defense: str = "nominal"
    epsilon: float = 0.01
    relative_cap: float | None = None
    scale: str = "sigma"
    only: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    attack: str = "fgsm"
    attack_objective: str = "cross_entropy"
    attack_mode: str = "inference"
    every: int = 1
    warmup_epochs: int = 0
    ramp_epochs: int = 0
    random_epsilon: bool = False
    beta: float = 3.0
    ema: float | None = None
    recipe: str = "default"
    hyperparameters: Recipe = Recipe()
    monitor: tuple[float, ...] = ()
    select: str = "last"
    patience: int | None = None
    seed: int = 0
    jit: str = "auto"

    @classmethod
    def resolve(cls, options: dict[str, Any]) -> "Settings":
        """Settings from a flat dictionary: the recipe first, then every option that is not None.

        Raises:
            UserError: for an unknown name, or a value of the wrong kind.
        """
        options = {name: value for name, value in options.items() if value is not None}
        recipe = options.get("recipe", cls.recipe)
        if recipe not in RECIPES:
            raise UserError(f"There is no recipe '{recipe}'; choose one of {', '.join(RECIPES)}.")
        own = {field.name: field for field in dataclasses.fields(cls) if field.name != "hyperparameters"}
        of_recipe = {field.name: field for field in dataclasses.fields(Recipe)}
        unknown = [name for name in options if name not in own and name not in of_recipe]
        if unknown:
            raise UserError(f"There is no setting '{unknown[0]}'; there are {', '.join([*own, *of_recipe])}.")
        checked = {name: _checked(name, value, (own | of_recipe)[name].type) for name, value in options.items()}
        overrides = {name: value for name, value in checked.items() if name in of_recipe}
        if "batch_size" in overrides:  # who names a size wants it
            overrides.setdefault("fixed_steps", 0)
        hyperparameters = dataclasses.replace(RECIPES[recipe], **overrides)
        return cls(
            hyperparameters=hyperparameters, **{name: value for name, value in checked.items() if name in own}
        )._validated()

    def _validated(self) -> "Settings":
        if self.defense not in DEFENSES and not re.fullmatch(r"pgd-[1-9]\d{0,3}", self.defense):
            raise UserError(f"There is no defence '{self.defense}'; choose {', '.join(DEFENSES)}, or pgd-N for N steps.")
        self._check_options_of_defense()
        if self.ema is not None and not 0 < self.ema < 1:
            raise UserError(f"'ema' must lie between 0 and 1, not be {self.ema}.")
        if self.patience is not None and self.select == "last":
            raise UserError("'patience' needs 'select', the entry of the logs that must get better.")
        choices = {"scale": ("sigma", "core"), "attack_mode": ("inference", "training"), "jit": ("auto", "on", "off")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"'{getattr(self, name)}' is no value for '{name}'; choose {' or '.join(allowed)}.")
        recipe = self.hyperparameters
        of_recipe = {
            "schedule": ("cosine", "inverse_epoch"),
            "loss": ("cross_entropy", "focal", "double_softmax_focal"),
            "weights": ("none", "uniform", "variable"),
        }
        for name, allowed in of_recipe.items():
            if getattr(recipe, name) not in allowed:
                raise UserError(f"'{getattr(recipe, name)}' is no value for '{name}'; choose {' or '.join(allowed)}.")
        positive = {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "every": self.every,
            **({} if self.patience is None else {"patience": self.patience}),
        }
        for name, value in positive.items():
            if not value > 0:
                raise UserError(f"'{name}' must be positive, not {value}.")
        return self

    def _check_options_of_defense(self) -> None:
        """Refuse options that the defence would ignore."""
        ramp = ("warmup_epochs", "ramp_epochs", "random_epsilon")
        ignored = {
            "nominal": ("every", "attack_mode", *ramp),
            "input-gradient": ("every", "attack_mode", *ramp),
            "trades": ("every", "attack_mode"),
        }
        for name in ignored.get(self.defense, ()):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UserError(f"The defence '{self.defense}' knows no '{name}'; leave it out.")

    def to_dict(self) -> dict[str, Any]:
        """A flat dictionary that `resolve` turns back into the same settings."""
        content = dataclasses.asdict(self)
        return content | content.pop("hyperparameters")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Settings of a TOML file, flat, with hyphens or underscores in names.

    Raises:
        UserError: if there is no such file or it is not TOML.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The settings file '{path}' cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The settings file '{path}' is not valid TOML: {error}.") from error
    return {name.replace("-", "_"): value for name, value in content.items()}


def _checked(name: str, value: Any, kind: Any) -> Any:
    """The value, with whole numbers accepted as real ones; a `UserError` if it is of another kind."""
    if kind in (tuple[float, ...], tuple[str, ...]):
        item_kind = kind.__args__[0]
        if not isinstance(value, list | tuple):
            raise UserError(f"The setting '{name}' must be a list of {item_kind.__name__}, not {value!r}.")
        return tuple(_checked(name, item, item_kind) for item in value)
    if kind in (float, float | None) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = getattr(kind, "__name__", str(kind))
        raise UserError(f"The setting '{name}' must be {wanted}, not {value!r}.")
    return value
