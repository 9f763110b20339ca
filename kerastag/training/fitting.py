"""From settings and jets to a fitted tagger: batch size, model, callbacks, `fit`."""

from pathlib import Path

import keras
import tensorflow as tf

from kerastag import models
from kerastag.catalogue import DEFENSES, LOSSES
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.layers.class_logits import check_width
from kerastag.recipes import Recipe, Settings
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.assembly import NO_FURTHER_JETS, FurtherJets, make_attack, make_defense, make_optimizer
from kerastag.training.callbacks import AttackedAUC, FiniteWeights, Speed
from kerastag.training.checkpoint import TrainingState
from kerastag.training.progress import EpochLines

# Attack that shows whether training with single steps only learned to mislead single steps.
WATCH = "pgd-5"


def fit(
    settings: Settings, dataset: JetDataset, output: Path, further: FurtherJets = NO_FURTHER_JETS
) -> tuple[keras.Model, TrainingState]:
    """Fit a tagger, from its newest checkpoint on if there is one.

    Args:
        settings: Settings of the training.
        dataset: The jets.
        output: Folder of checkpoints and logs.
        further: What the training looks at beside the jets of the data set.

    Returns:
        The tagger, and the state that knows the history.

    Raises:
        UserError: if a setting does not fit the data set, or the training diverges.
    """
    recipe = settings.hyperparameters
    batch_size = fitting_batch(recipe, dataset)
    steps = steps_of(settings, dataset, batch_size)
    model = make_model(settings, dataset, steps)
    callbacks = _callbacks(settings, dataset, output, batch_size * steps * settings.replays_of_batch)
    state = TrainingState(output / "checkpoints", callbacks)
    if state.epoch:
        print(f"Resuming '{output}' after epoch {state.epoch} of {recipe.epochs}.")
    batches = dataset.batches(
        "train",
        batch_size,
        shuffle=True,
        seed=settings.seed,
        first_epoch=state.epoch,
        weights=recipe.weights,
        replays=settings.replays_of_batch,
        varied=further.varied_features,
        unlabelled=further.unlabelled_features,
    )
    # A run that was killed after its last epoch passes through here with no epoch left: callbacks restore the best weights.
    model.fit(
        batches,
        epochs=recipe.epochs,
        initial_epoch=state.epoch,
        steps_per_epoch=steps,
        callbacks=[*callbacks, EpochLines(dataset.schema.main.name), state],
        shuffle=False,
        verbose=0,
    )
    if model.attack is not None and (cells := int(model.attack.nonfinite_gradients)):
        print(f"The attack met {cells:,} gradient cells that were not finite and took them as 0.")
    return model.tagger, state


def speed(settings: Settings, dataset: JetDataset, further: FurtherJets = NO_FURTHER_JETS) -> float:
    """Jets/s of training without callbacks and compilation: the better of two epochs behind a first one."""
    batch_size = fitting_batch(settings.hyperparameters, dataset)
    steps = steps_of(settings, dataset, batch_size)
    model = make_model(settings, dataset, steps)
    batches = dataset.batches(
        "train",
        batch_size,
        shuffle=True,
        replays=settings.replays_of_batch,
        varied=further.varied_features,
        unlabelled=further.unlabelled_features,
    )
    clock = Speed(steps * batch_size * settings.replays_of_batch)
    history = model.fit(batches, epochs=3, steps_per_epoch=steps, callbacks=[clock], shuffle=False, verbose=0).history
    return max(history["jets_per_second"][1:])


def fitting_batch(recipe: Recipe, dataset: JetDataset) -> int:
    """The recipe's batch size, or a smaller one on a data set that is small for it."""
    jets = dataset.count("train")
    if recipe.fixed_steps and jets // recipe.batch_size < recipe.fixed_steps:
        batch_size = max(1, jets // recipe.fixed_steps)
        print(f"Batch of {batch_size} instead of {recipe.batch_size} jets: {jets} jets make {jets // batch_size} steps.")
        return batch_size
    return min(recipe.batch_size, jets)


def steps_of(settings: Settings, dataset: JetDataset, batch_size: int) -> int:
    """Batches in an epoch; where each is used several times, as many fewer, so that an epoch has about the same updates."""
    return max(1, dataset.steps("train", batch_size) // settings.replays_of_batch)


def make_model(settings: Settings, dataset: JetDataset, steps_per_epoch: int) -> AdversarialTagger:
    """The tagger in its trainer, compiled."""
    tagger = models.build(settings.hyperparameters.model, dataset.schema, dataset.statistics, settings.inputs)
    check_width(tagger, len(dataset.schema.classes))
    updates = steps_per_epoch * settings.replays_of_batch
    model = AdversarialTagger(tagger, defense=make_defense(settings, dataset, updates))
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    model.compile(
        make_optimizer(settings.hyperparameters, updates, settings.ema),
        LOSSES.build(settings.hyperparameters.loss),
        jit_compile={"on": True, "off": False, "auto": on_gpu}[settings.jit],
        steps_per_execution=_steps_per_execution(steps_per_epoch),
    )
    return model


def _steps_per_execution(steps: int) -> int:
    """The largest divisor of `steps` up to 8: Keras would round an epoch up to whole executions."""
    return max(number for number in range(1, 9) if steps % number == 0)


def _callbacks(settings: Settings, dataset: JetDataset, output: Path, jets: int) -> list[keras.callbacks.Callback]:
    """Those that measure first, those that use what they measured behind."""
    callbacks: list[keras.callbacks.Callback] = [Speed(jets), FiniteWeights()]
    if settings.ema is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    logs = ["loss"]
    if sum(dataset.jets["validation"].values()):
        attacked_auc = _attacked_auc(settings, dataset)
        callbacks.append(attacked_auc)
        logs += attacked_auc.names
    if settings.select != "last":
        callbacks.append(_choice_of_epoch(settings, logs))
    return [*callbacks, keras.callbacks.TensorBoard(output / "logs")]


def _choice_of_epoch(settings: Settings, logs: list[str]) -> keras.callbacks.EarlyStopping:
    """Keeps the weights of the best epoch by one of the logs."""
    if settings.select not in logs:
        raise UserError(f"The best epoch cannot be selected by '{settings.select}'; choose last, {', '.join(logs)}.")
    patience = settings.patience or settings.hyperparameters.epochs
    mode = "min" if "entropy" in settings.select or "loss" in settings.select else "max"
    return keras.callbacks.EarlyStopping(settings.select, mode=mode, patience=patience, restore_best_weights=True)


def _attacked_auc(settings: Settings, dataset: JetDataset) -> AttackedAUC:
    """Validation areas at each epoch; where training uses single steps a longer attack watches over them."""
    validation = dataset.arrays("validation")
    attacks = {settings.attack: make_attack(settings, dataset)}
    attacks |= {f"{settings.attack}_{epsilon:g}": make_attack(settings, dataset, epsilon) for epsilon in settings.monitor}
    watch = None
    trained_with = DEFENSES.find(settings.defense).arguments.get("attack", "")
    if trained_with.startswith("fgsm") and settings.attack == "fgsm":
        attacks[WATCH] = make_attack(settings, dataset, attack=WATCH)
        watch = (settings.attack, WATCH)
    return AttackedAUC(validation.features, validation.y, attacks, watch=watch, separations=dataset.schema.in_tables)
