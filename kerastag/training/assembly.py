"""The parts of a training as its settings name them: threat model, attack, defence, optimizer."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from kerastag.attacks import PGD, Attack, Condition, ThreatModel
from kerastag.catalogue import DEFENSES, SCHEDULES, make_own
from kerastag.data import JetDataset, UnlabelledJets, VariedJets
from kerastag.data.unlabelled import digests_of_unlabelled
from kerastag.data.varied import digests
from kerastag.errors import UserError
from kerastag.recipes import Recipe, Settings
from kerastag.request import Method
from kerastag.training.bounded_loss import BoundedLoss
from kerastag.training.curvature import CURE
from kerastag.training.defenses import TRADES, AttackedBatches, Defense, InputGradientPenalty, Ramp
from kerastag.training.free import FreeBatches
from kerastag.training.unlabelled import Consistency, DomainAdversarial
from kerastag.training.weight_shifts import ASAM, AWP, SAM

# Steps of the attack inside TRADES; with unlabelled jets there are twice as many to attack.
_TRADES_STEPS = 7
_CONSISTENCY_STEPS = 2


class FurtherJets(NamedTuple):
    """What a training looks at beside the jets of its data set.

    Attributes:
        varied: The training jets under variations; None to train on them as they are.
        unlabelled: Jets without labels; None for none.
    """

    varied: VariedJets | None = None
    unlabelled: UnlabelledJets | None = None

    @property
    def varied_features(self) -> np.ndarray | None:
        """Features of `varied`, `(variations, jets, features)`."""
        return None if self.varied is None else self.varied.features

    @property
    def unlabelled_features(self) -> np.ndarray | None:
        """Features of `unlabelled`, `(jets, features)`."""
        return None if self.unlabelled is None else self.unlabelled.features


NO_FURTHER_JETS = FurtherJets()


def condition(settings: Settings, epsilon: float | None = None, attack: str | None = None) -> Condition:
    """The condition of the evaluation at each epoch, of another size or kind if `epsilon` or `attack` is given."""
    return Condition(
        attack or settings.attack,
        settings.epsilon if epsilon is None else epsilon,
        settings.relative_cap,
        settings.attack_objective,
        settings.scale,
        settings.only,
        settings.physics,
    )


def make_threat_model(settings: Settings, dataset: JetDataset) -> ThreatModel:
    """The box of a defence: as the settings say, the same for all flavours.

    A size that tells the flavour would be learnt instead of the jets.
    """
    return condition(settings).threat_model(dataset).for_any_flavour()


def make_attack(settings: Settings, dataset: JetDataset, epsilon: float | None = None, attack: str | None = None) -> Attack:
    """The attack at each epoch, of another size or kind if `epsilon` or `attack` is given."""
    return condition(settings, epsilon, attack).build_attack(dataset, settings.seed)


def make_defense(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> Defense | None:
    """The defence that the settings name; None for nominal training.

    One of the user's own is given what its `__init__` takes of the attack at each epoch, within the box of a defence, that box,
    a ramp and a seed.

    Raises:
        UserError: if there is none of that name, or it cannot be made.
    """
    if ":" in settings.defense:
        threat_model = make_threat_model(settings, dataset)
        defense = make_own(
            settings.defense,
            "defence",
            Defense,
            attack=condition(settings).build_attack(dataset, settings.seed, threat_model),
            threat_model=threat_model,
            ramp=_ramp(settings, steps_per_epoch),
            seed=settings.seed,
        )
        try:
            keras.saving.serialize_keras_object(defense)
        except (NotImplementedError, TypeError, ValueError) as error:
            raise UserError(
                f"The defence '{settings.defense}' cannot be stored; give it a get_config, as kerastag/README.md says: {error}."
            ) from error
        return defense
    return DEFENSES.build(settings.defense, settings, dataset, steps_per_epoch)


def nominal(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> None:
    """No defence."""


def attacked_batches(
    settings: Settings, dataset: JetDataset, steps_per_epoch: int, attack: str, mix: str = "adversarial"
) -> AttackedBatches:
    """Training on jets under an attack by name."""
    threat_model = make_threat_model(settings, dataset)
    return AttackedBatches(
        condition(settings, attack=attack).build_attack(dataset, settings.seed, threat_model),
        mix,
        settings.every,
        settings.attack_mode == "training",
        _ramp(settings, steps_per_epoch),
    )


def pgd_batches(settings: Settings, dataset: JetDataset, steps_per_epoch: int, steps: int) -> AttackedBatches:
    """Training on jets under PGD of some steps."""
    return attacked_batches(settings, dataset, steps_per_epoch, f"pgd-{steps}")


def trades(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> TRADES:
    """TRADES with the settings' β."""
    # At the clean jet nothing points anywhere, so FGSM's point would be made of rounding.
    attack = PGD(make_threat_model(settings, dataset), steps=_TRADES_STEPS, seed=settings.seed, try_corner=False)
    return TRADES(attack, settings.beta, _ramp(settings, steps_per_epoch))


def consistency(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> Consistency:
    """TRADES on labelled and unlabelled jets, with the settings' β."""
    threat_model = make_threat_model(settings, dataset)
    attack = PGD(threat_model, steps=_CONSISTENCY_STEPS, seed=settings.seed, try_corner=False)
    return Consistency(attack, settings.beta, _ramp(settings, steps_per_epoch))


def free(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> FreeBatches:
    """Free adversarial training."""
    threat_model = make_threat_model(settings, dataset)
    return FreeBatches(threat_model, settings.replays, _ramp(settings, steps_per_epoch), settings.seed)


def domain(settings: Settings, dataset: JetDataset, steps_per_epoch: int, weight: float) -> DomainAdversarial:
    """A network that looks for the domain of a jet; its gradient rises in half of the steps unless told otherwise."""
    return DomainAdversarial(_given(settings.weight, weight), ramp=_slow_ramp(settings, steps_per_epoch))


def input_gradient(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> InputGradientPenalty:
    """The penalty on the gradient in the inputs."""
    return InputGradientPenalty(make_threat_model(settings, dataset))


def cure(settings: Settings, dataset: JetDataset, steps_per_epoch: int, weight: float) -> CURE:
    """The penalty on the curvature, in the box without ties, whose second derivatives are not finite everywhere."""
    return CURE(make_threat_model(_untied(settings), dataset), _given(settings.weight, weight))


def bounded_loss(settings: Settings, dataset: JetDataset, steps_per_epoch: int, method: Method, weight: float) -> BoundedLoss:
    """Training on certified losses, in the box without ties; it rises in half of the steps unless told otherwise."""
    ramp = _slow_ramp(settings, steps_per_epoch)
    return BoundedLoss(make_threat_model(_untied(settings), dataset), method, _given(settings.weight, weight), ramp)


def _untied(settings: Settings) -> Settings:
    return dataclasses.replace(settings, physics=dataclasses.replace(settings.physics, untied=True))


def sam(settings: Settings, dataset: JetDataset, steps_per_epoch: int, rho: float) -> SAM:
    """SAM on clean jets."""
    return SAM(_given(settings.rho, rho))


def asam(settings: Settings, dataset: JetDataset, steps_per_epoch: int, rho: float) -> ASAM:
    """ASAM on clean jets."""
    return ASAM(_given(settings.rho, rho))


def awp(settings: Settings, dataset: JetDataset, steps_per_epoch: int, attack: str, rho: float) -> AWP:
    """AWP against the loss under an attack by name."""
    return AWP(attacked_batches(settings, dataset, steps_per_epoch, attack), _given(settings.rho, rho))


def _given(setting: float | None, usual: float) -> float:
    """What the settings say, or what is usual with the defence."""
    return usual if setting is None else setting


def digests_of_further_files(settings: Settings) -> dict[str, str]:
    """SHA-256 of the files of variations and of unlabelled jets that the settings name, by name; none without any."""
    found: dict[str, str] = {}
    if settings.variations is not None:
        found |= digests(Path(settings.variations).expanduser(), settings.hold_out)
    if settings.unlabelled is not None:
        unlabelled = digests_of_unlabelled(Path(settings.unlabelled).expanduser())
        found |= {f"unlabelled {name}": digest for name, digest in unlabelled.items()}
    return found


def make_further(settings: Settings, dataset: JetDataset) -> FurtherJets:
    """The training jets under variations, and jets without labels, where the settings name some."""
    varied = unlabelled = None
    if settings.variations is not None:
        folder = Path(settings.variations).expanduser()
        varied = VariedJets.read(folder, dataset.arrays("train"), dataset.schema, settings.hold_out, dataset.selection)
    if settings.unlabelled is not None:
        unlabelled = UnlabelledJets.read(Path(settings.unlabelled).expanduser(), dataset.schema, dataset.selection)
    return FurtherJets(varied, unlabelled)


def _ramp(settings: Settings, steps_per_epoch: int) -> Ramp | None:
    """Strength of the attack by step; None for full strength from the start."""
    if not (settings.warmup_epochs or settings.ramp_epochs or settings.random_epsilon):
        return None
    warmup, rise = settings.warmup_epochs * steps_per_epoch, settings.ramp_epochs * steps_per_epoch
    return Ramp(warmup, rise, settings.random_epsilon, settings.seed)


def _slow_ramp(settings: Settings, steps_per_epoch: int) -> Ramp:
    """The same, or one that rises in half of the steps."""
    steps = settings.hyperparameters.epochs * steps_per_epoch
    return _ramp(settings, steps_per_epoch) or Ramp(steps // 10, steps // 2)


def make_optimizer(recipe: Recipe, steps_per_epoch: int, ema: float | None = None) -> keras.optimizers.Optimizer:
    """Adam or AdamW with the recipe's schedule.

    Args:
        recipe: The hyper-parameters.
        steps_per_epoch: Steps in an epoch.
        ema: Momentum of the average of the weights; None for none.
    """
    average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    rate, epsilon = SCHEDULES.build(recipe.schedule, recipe, steps_per_epoch)
    if recipe.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, epsilon=epsilon, **average)
    return keras.optimizers.Adam(rate, epsilon=epsilon, **average)


def cosine(recipe: Recipe, steps_per_epoch: int) -> tuple[keras.optimizers.schedules.LearningRateSchedule, float]:
    """Rate that falls to 0 along a cosine, and Keras' default for Adam's ε."""
    return keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps_per_epoch * recipe.epochs), 1e-7


def inverse_epoch(recipe: Recipe, steps_per_epoch: int) -> tuple[keras.optimizers.schedules.LearningRateSchedule, float]:
    """Rate/(1 + epoch/30), and Adam's ε as in the paper."""
    rate = keras.optimizers.schedules.InverseTimeDecay(recipe.learning_rate, steps_per_epoch, 1 / 30, staircase=True)
    return rate, 1e-8
