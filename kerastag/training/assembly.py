"""The parts of a training as its settings name them: threat model, attack, defence, loss, optimizer."""

import keras

from kerastag import attacks, data
from kerastag.losses import DoubleSoftmaxFocal
from kerastag.recipes import TRADES_STEPS, Recipe, Settings
from kerastag.training import defenses


def make_threat_model(settings: Settings, dataset: data.JetDataset, epsilon: float | None = None) -> attacks.ThreatModel:
    """The box that the settings describe, of another size if `epsilon` is given."""
    return attacks.ThreatModel.from_schema(
        dataset.schema,
        dataset.scale(settings.scale),
        settings.epsilon if epsilon is None else epsilon,
        settings.relative_cap,
        only=settings.only,
    )


def make_attack(
    settings: Settings, dataset: data.JetDataset, epsilon: float | None = None, name: str | None = None
) -> attacks.Attack:
    """The attack at each epoch, of another size or kind if `epsilon` or `name` is given."""
    threat_model = make_threat_model(settings, dataset, epsilon)
    return attacks.named(name or settings.attack, threat_model, settings.attack_objective, settings.seed)


def make_defense(settings: Settings, dataset: data.JetDataset, steps: int) -> defenses.Defense | None:
    """The defence that the settings name; None for nominal training.

    Args:
        settings: Of the training.
        dataset: Its jets.
        steps: Steps in an epoch.
    """
    name = settings.defense
    if name == "nominal":
        return None
    if name == "input-gradient":
        return defenses.InputGradientPenalty(make_threat_model(settings, dataset))
    ramp = None
    if settings.warmup_epochs or settings.ramp_epochs or settings.random_epsilon:
        warmup, rise = settings.warmup_epochs * steps, settings.ramp_epochs * steps
        ramp = defenses.Ramp(warmup, rise, settings.random_epsilon, settings.seed)
    if name == "trades":
        threat_model = make_threat_model(settings, dataset)
        # At the clean jet nothing points anywhere, so FGSM's point would be made of rounding.
        attack = attacks.PGD(threat_model, steps=TRADES_STEPS, seed=settings.seed, try_corner=False)
        return defenses.TRADES(attack, settings.beta, ramp)
    attack = make_attack(settings, dataset, name="fgsm" if name == "fgsm-mixed" else name)
    mix = "mean" if name == "fgsm-mixed" else "adversarial"
    return defenses.AttackedBatches(attack, mix, settings.every, settings.attack_mode == "training", ramp)


def make_loss(name: str) -> keras.losses.Loss:
    """The loss of a recipe, from logits."""
    if name == "focal":
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    if name == "double_softmax_focal":
        return DoubleSoftmaxFocal()
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def make_optimizer(recipe: Recipe, steps: int, ema: float | None = None) -> keras.optimizers.Optimizer:
    """Adam or AdamW with the recipe's schedule.

    Args:
        recipe: The hyper-parameters.
        steps: Steps in an epoch.
        ema: Momentum of the average of the weights; None for none.
    """
    average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    if recipe.schedule == "inverse_epoch":
        rate = keras.optimizers.schedules.InverseTimeDecay(recipe.learning_rate, steps, 1 / 30, staircase=True)
        epsilon = 1e-8  # the paper's
    else:
        rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps * recipe.epochs)
        epsilon = 1e-7  # Keras' default
    if recipe.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, epsilon=epsilon, **average)
    return keras.optimizers.Adam(rate, epsilon=epsilon, **average)
