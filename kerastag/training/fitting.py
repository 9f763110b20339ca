"""From settings and jets to a fitted tagger: batch size, model, callbacks, `fit`."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerastag import models
from kerastag.catalogue import DEFENSES, LOSSES
from kerastag.data import JetDataset, Share
from kerastag.data.epochs import WHOLE
from kerastag.errors import UserError
from kerastag.layers.class_logits import check_width
from kerastag.recipes import FOLDERS, Recipe, Settings
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.assembly import NO_FURTHER_JETS, FurtherJets, make_attack, make_defense, make_optimizer
from kerastag.training.board import PrecisionRecall, hyperparameters
from kerastag.training.callbacks import AttackedAUC, FiniteWeights, Speed
from kerastag.training.checkpoint import TrainingState
from kerastag.training.distribution import ALONE, Distribution
from kerastag.training.progress import EpochLines

# Attack that shows whether training with single steps only learned to mislead single steps.
WATCH = "pgd-5"


def fit(
    settings: Settings,
    dataset: JetDataset,
    output: Path,
    further: FurtherJets = NO_FURTHER_JETS,
    distribution: Distribution = ALONE,
) -> tuple[keras.Model, TrainingState]:
    """Fit a tagger, from its newest checkpoint on if there is one.

    Args:
        settings: Settings of the training.
        dataset: The jets.
        output: Folder of checkpoints and logs.
        further: What the training looks at beside the jets of the data set.
        distribution: The devices; each process of several calls this with the same arguments, and the chief alone writes.

    Returns:
        The tagger, and the state that knows the history.

    Raises:
        UserError: if a setting does not fit the data set or the devices, the training diverges, or another process ends.
    """
    with distribution.watched():
        return _fit(settings, dataset, output, further, distribution)


def _fit(
    settings: Settings, dataset: JetDataset, output: Path, further: FurtherJets, distribution: Distribution
) -> tuple[keras.Model, TrainingState]:
    recipe = settings.hyperparameters
    batch_size = fitting_batch(recipe, dataset, distribution.replicas)
    in_memory = distribution.all_agree(further.varied_features is not None or dataset.fits_in_memory("train"))
    steps = steps_of(settings, dataset, batch_size, distribution.share, in_memory)
    model = make_model(settings, dataset, steps, distribution)
    callbacks = make_callbacks(settings, dataset, output, batch_size * steps * settings.replays_of_batch, distribution)
    state = TrainingState(output / "checkpoints", callbacks, writes=distribution.is_chief)
    distribution.check_same(_facts(settings, dataset) | {"checkpoints": state.epoch})
    if state.epoch:
        print(f"Resuming '{output}' after epoch {state.epoch} of {recipe.epochs}.")

    def batches() -> tf.data.Dataset:
        return dataset.batches(
            "train",
            batch_size,
            shuffle=True,
            seed=settings.seed,
            first_epoch=state.epoch,
            weights=recipe.weights,
            in_memory=in_memory,
            replays=settings.replays_of_batch,
            varied=further.varied_features,
            unlabelled=further.unlabelled_features,
            share=distribution.share,
        )

    with distribution.scope():
        # A run that was killed after its last epoch passes through here with no epoch left: callbacks restore the best weights.
        model.fit(
            distribution.batches(batches),
            epochs=recipe.epochs,
            initial_epoch=state.epoch,
            steps_per_epoch=steps,
            callbacks=[*callbacks, state],
            shuffle=False,
            verbose=0,
        )
    if model.attack is not None and (cells := int(model.attack.nonfinite_gradients.numpy())):
        print(f"The attack met {cells:,} gradient cells that were not finite and took them as 0.")
    return model.tagger if distribution.strategy is None else _on_one_device(settings, dataset, model.tagger), state


def _facts(settings: Settings, dataset: JetDataset) -> dict[str, Any]:
    """What all processes of a training must have in common."""
    options = {name: value for name, value in settings.to_dict().items() if name not in FOLDERS}
    return {"options": options, "data set": dataset.fingerprint}


def _on_one_device(settings: Settings, dataset: JetDataset, trained: keras.Model) -> keras.Model:
    """The tagger with the weights of one that is spread over devices."""
    tagger = build_tagger(settings, dataset)
    tagger.set_weights(trained.get_weights())
    return tagger


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


def fitting_batch(recipe: Recipe, dataset: JetDataset, replicas: int = 1) -> int:
    """The recipe's batch size, or a smaller one on a data set that is small for it, or that devices can share.

    Raises:
        UserError: if there are fewer jets than devices.
    """
    jets = dataset.count("train")
    batch_size = min(recipe.batch_size, jets)
    if recipe.fixed_steps and jets // recipe.batch_size < recipe.fixed_steps:
        batch_size = max(1, jets // recipe.fixed_steps)
    if batch_size < replicas:
        raise UserError(f"A batch of {batch_size} jets is too small for {replicas} devices; take fewer devices or more jets.")
    batch_size -= batch_size % replicas
    if batch_size != min(recipe.batch_size, jets):
        print(f"Batch of {batch_size} instead of {recipe.batch_size} jets: {jets} jets make {jets // batch_size} steps.")
    return batch_size


def steps_of(
    settings: Settings, dataset: JetDataset, batch_size: int, share: Share = WHOLE, in_memory: bool | None = None
) -> int:
    """Batches in an epoch; where each is used several times, as many fewer, so that an epoch has about the same updates."""
    return max(1, dataset.steps("train", batch_size, share, in_memory) // settings.replays_of_batch)


def make_model(
    settings: Settings, dataset: JetDataset, steps_per_epoch: int, distribution: Distribution = ALONE
) -> AdversarialTagger:
    """The tagger in its trainer, compiled.

    Raises:
        UserError: if a setting does not fit the data set or the devices.
    """
    updates = steps_per_epoch * settings.replays_of_batch
    alone = distribution.replicas == 1
    if settings.jit == "on" and not alone:
        raise UserError("XLA cannot compile a step of several devices; leave --jit on out.")
    with distribution.scope():
        tagger = build_tagger(settings, dataset)
        check_width(tagger, len(dataset.schema.classes))
        defense = make_defense(settings, dataset, updates)
        if defense is not None and defense.network is not None:
            defense.network.build((None, len(dataset.schema.classes)))
    # Outside of the scope: one that is made inside takes the mean of a batch over processes to learn its shape.
    model = AdversarialTagger(tagger, defense=defense)
    with distribution.scope():
        model.compile(
            make_optimizer(settings.hyperparameters, updates, settings.ema),
            LOSSES.build(settings.hyperparameters.loss),
            jit_compile=compiles(settings, distribution),
            steps_per_execution=_steps_per_execution(steps_per_epoch) if alone else 1,
        )
    return model


def build_tagger(settings: Settings, dataset: JetDataset) -> keras.Model:
    """The tagger as the settings say, before its training.

    Raises:
        UserError: if it cannot be made.
    """
    return models.build(
        settings.hyperparameters.model, dataset.schema, dataset.statistics, settings.inputs, mixed=settings.mixed
    )


def compiles(settings: Settings, distribution: Distribution = ALONE) -> bool:
    """Whether XLA compiles the steps of a training here; on a CPU not unless told, see `training/README.md`."""
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return {"on": True, "off": False, "auto": on_gpu}[settings.jit] and distribution.replicas == 1


def _steps_per_execution(steps: int) -> int:
    """The largest divisor of `steps` up to 8: Keras would round an epoch up to whole executions."""
    return max(number for number in range(1, 9) if steps % number == 0)


def make_callbacks(
    settings: Settings, dataset: JetDataset, output: Path, jets: int, distribution: Distribution = ALONE
) -> list[keras.callbacks.Callback]:
    """Those of a training but for its state: those that measure first, those that use what they measured behind.

    Args:
        settings: Settings of the training.
        dataset: The jets.
        output: Folder of logs.
        jets: Jets in an epoch.
        distribution: The devices.
    """
    callbacks: list[keras.callbacks.Callback] = [Speed(jets), FiniteWeights()]
    if settings.ema is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    measured = _attacked_auc(settings, dataset, distribution) if sum(dataset.jets["validation"].values()) else None
    if measured is not None:
        callbacks.append(measured)
    if settings.select != "last":
        callbacks.append(_choice_of_epoch(settings, ["loss", *(measured.names if measured else ())]))
    if distribution.is_chief:
        main, folder = dataset.schema.main, output / "logs"
        callbacks += [keras.callbacks.TensorBoard(folder), hyperparameters(settings, folder), EpochLines(main.name)]
        if measured is not None:
            callbacks.append(PrecisionRecall(measured, main, folder / "validation"))
    return callbacks


def _choice_of_epoch(settings: Settings, logs: list[str]) -> keras.callbacks.EarlyStopping:
    """Keeps the weights of the best epoch by one of the logs."""
    if settings.select not in logs:
        raise UserError(f"The best epoch cannot be selected by '{settings.select}'; choose last, {', '.join(logs)}.")
    patience = settings.patience or settings.hyperparameters.epochs
    mode = "min" if "entropy" in settings.select or "loss" in settings.select else "max"
    return keras.callbacks.EarlyStopping(settings.select, mode=mode, patience=patience, restore_best_weights=True)


def _attacked_auc(settings: Settings, dataset: JetDataset, distribution: Distribution) -> AttackedAUC:
    """Validation areas at each epoch; where training uses single steps a longer attack watches over them."""
    validation = dataset.arrays("validation")
    attacks = {settings.attack: make_attack(settings, dataset)}
    attacks |= {f"{settings.attack}_{epsilon:g}": make_attack(settings, dataset, epsilon) for epsilon in settings.monitor}
    watch = None
    trained_with = DEFENSES.find(settings.defense).arguments.get("attack", "")
    if (trained_with.startswith("fgsm") or settings.replays_of_batch > 1) and settings.attack == "fgsm":
        attacks[WATCH] = make_attack(settings, dataset, attack=WATCH)
        watch = (settings.attack, WATCH)
    return AttackedAUC(
        validation.features,
        validation.y,
        attacks,
        watch=watch,
        separations=dataset.schema.in_tables,
        distribution=distribution,
        weights=validation.weights,
    )
