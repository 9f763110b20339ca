"""One training from settings to a run directory, resumable at any moment.

config.json      everything needed to repeat it: settings, versions, git commit, data set fingerprint
tagger.keras     the trained tagger, raw features to logits
saved_model/     the same for experiments
history.csv      logs of each epoch
metrics.json     clean and attacked areas on the test split
checkpoints/  logs/  figures/
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import kerastag
from kerastag import models, plots, tables
from kerastag import data
from kerastag import saving
from kerastag.training.assembly import make_attack, make_defense, make_loss, make_optimizer
from kerastag.training.callbacks import AttackedAUC, FiniteWeights
from kerastag.training.checkpoint import TrainingState
from kerastag.errors import UserError
from kerastag.evaluation.comparison import RELATIVE_CAP, compare, conditions, markdown
from kerastag.files import SCRATCH, remove_leftovers, replaced, write_json, write_text
from kerastag.recipes import Recipe, Settings
from kerastag.training.adversarial_tagger import AdversarialTagger

# Attack that shows whether training with single steps only learned to mislead single steps.
WATCH = "pgd-5"


class Speed(keras.callbacks.Callback):
    """Adds `jets_per_second` to the logs. Put it first, so that other callbacks do not count.

    Args:
        jets: Jets in an epoch.
    """

    def __init__(self, jets: int):
        super().__init__()
        self._jets = jets
        self._start = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Add the entry."""
        logs["jets_per_second"] = self._jets / (time.perf_counter() - self._start)


def run(settings: Settings, output: Path, resume: bool = False) -> None:
    """Train, evaluate and export into the folder `output`.

    Raises:
        UserError: if the folder has a run and `resume` is false, or the run was made with other settings or data.
    """
    started = _started(output, resume)
    dataset = data.prepare(settings.config, data_dir=settings.data_dir, manual_dir=settings.manual_dir)
    if started:
        check_same(started, settings, dataset, output)
    # Mistakes in these are found before there is a folder, which would have to be removed before the next try.
    make_attack(settings, dataset)
    make_defense(settings, dataset, steps=1)
    dataset.schema.restricted(settings.inputs)
    output.mkdir(parents=True, exist_ok=True)
    remove_leftovers(output)
    _say_what_was_cleaned(dataset)
    write_json(output / "config.json", _config(settings, dataset))
    keras.utils.set_random_seed(settings.seed)
    tagger, state = train(settings, dataset, output)
    finish(settings, dataset, tagger, state, output)


def train_missing(settings: Settings, dataset: data.JetDataset, output: Path) -> None:
    """Run a training, go on with it, or leave it as it is, by what the folder holds.

    Raises:
        UserError: if the folder has a run of other settings or data.
    """
    if (output / "metrics.json").is_file():
        check_same(json.loads((output / "config.json").read_text()), settings, dataset, output)
    else:
        run(settings, output, resume=(output / "config.json").is_file())


def train(settings: Settings, dataset: data.JetDataset, output: Path) -> tuple[keras.Model, TrainingState]:
    """Fit a tagger; returns it with the state that knows its history."""
    recipe = settings.hyperparameters
    batch_size = _batch_size(recipe, dataset)
    steps = dataset.steps("train", batch_size)
    model = _model(settings, dataset, steps)
    callbacks = _callbacks(settings, dataset, output, batch_size * steps)
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
    )
    # A run that was killed after its last epoch passes through here with no epoch left: callbacks restore what it chose.
    model.fit(
        batches,
        epochs=recipe.epochs,
        initial_epoch=state.epoch,
        steps_per_epoch=steps,
        callbacks=[*callbacks, state],
        shuffle=False,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    if model.attack is not None and (bad := int(model.attack.nonfinite_gradients)):
        print(f"The attack met {bad:,} gradient cells that were not finite and took them as 0.")
    return model.tagger, state


def training_speed(settings: Settings, dataset: data.JetDataset) -> float:
    """Jets/s of training without callbacks and compilation: the better of two epochs behind a first one."""
    batch_size = _batch_size(settings.hyperparameters, dataset)
    steps = dataset.steps("train", batch_size)
    model = _model(settings, dataset, steps)
    batches = dataset.batches("train", batch_size, shuffle=True)
    speed = Speed(steps * batch_size)
    fitted = model.fit(batches, epochs=3, steps_per_epoch=steps, callbacks=[speed], shuffle=False, verbose=0)
    return max(fitted.history["jets_per_second"][1:])


def finish(settings: Settings, dataset: data.JetDataset, tagger: keras.Model, state: TrainingState, output: Path):
    """Save, export, evaluate on the test split, draw, and print where things are."""
    schema, statistics = dataset.schema, dataset.statistics
    with replaced(output / "tagger.keras") as new:
        tagger.save(new)
    saving.export(tagger, schema, statistics, output / "saved_model")
    rows = [{"epoch": number, **row} for number, row in enumerate(state.history, start=1)]
    write_text(output / "history.csv", tables.comma_separated(rows))
    plots.save(plots.history(state.history, settings.attack, settings.epsilon)[0], output / "figures" / "history.png")
    split = "test" if "test" in dataset.jets and sum(dataset.jets["test"].values()) else "train"
    jets = dataset.arrays(split)
    y = jets.y
    caps = (None, RELATIVE_CAP)
    results, _ = compare(
        {output.name: tagger},
        jets,
        y,
        conditions(schema, dataset.scale(settings.scale), [settings.epsilon], caps, only=settings.only),
    )
    write_json(output / "metrics.json", {"split": split, "jets": len(y), "results": results})
    print(f"\n{len(y):,} jets of the {split} split, ± half the 68 % bootstrap interval:\n\n{markdown(results)}\n")
    speed = np.median([row["jets_per_second"] for row in state.history])
    print(f"Trained at {speed:,.0f} jets/s (median over {len(state.history)} epochs, callbacks apart).")
    print(f"Tagger {output / 'tagger.keras'}, SavedModel {output / 'saved_model'}, numbers {output / 'metrics.json'},")
    print(f"epochs {output / 'history.csv'}, figure {output / 'figures' / 'history.png'}.")


def _model(settings: Settings, dataset: data.JetDataset, steps: int) -> AdversarialTagger:
    """The tagger in its trainer, compiled."""
    tagger = models.build(settings.hyperparameters.model, dataset.schema, dataset.statistics, settings.inputs)
    model = AdversarialTagger(tagger, defense=make_defense(settings, dataset, steps))
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    jit = {"on": True, "off": False, "auto": on_gpu}[settings.jit]
    model.compile(
        make_optimizer(settings.hyperparameters, steps, settings.ema),
        make_loss(settings.hyperparameters.loss),
        jit_compile=jit,
        steps_per_execution=_steps_per_execution(steps),
    )
    return model


def _steps_per_execution(steps: int) -> int:
    """The largest divisor of `steps` up to 8: Keras would round an epoch up to whole executions."""
    return max(number for number in range(1, 9) if steps % number == 0)


def _callbacks(settings: Settings, dataset: data.JetDataset, output: Path, jets: int) -> list:
    """Those that measure first, those that use what they measured behind."""
    listed: list[keras.callbacks.Callback] = [Speed(jets), FiniteWeights()]
    if settings.ema is not None:
        listed.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    logged = ["loss"]
    if sum(dataset.jets["validation"].values()):
        listed.append(_attacked_auc(settings, dataset))
        logged += listed[-1].names
    if settings.select != "last":
        if settings.select not in logged:
            raise UserError(f"The best epoch cannot be selected by '{settings.select}'; choose last, {', '.join(logged)}.")
        patience = settings.patience or settings.hyperparameters.epochs
        mode = "min" if "entropy" in settings.select or "loss" in settings.select else "max"
        listed.append(keras.callbacks.EarlyStopping(settings.select, mode=mode, patience=patience, restore_best_weights=True))
    listed.append(keras.callbacks.TensorBoard(output / "logs"))
    return listed


def _attacked_auc(settings: Settings, dataset: data.JetDataset) -> AttackedAUC:
    """Validation areas at each epoch; where training uses single steps a longer attack watches over them."""
    validation = dataset.arrays("validation")
    monitored = {settings.attack: make_attack(settings, dataset)}
    monitored |= {f"{settings.attack}_{epsilon:g}": make_attack(settings, dataset, epsilon) for epsilon in settings.monitor}
    watch = None
    if settings.defense.startswith("fgsm") and settings.attack == "fgsm":
        monitored[WATCH] = make_attack(settings, dataset, name=WATCH)
        watch = (settings.attack, WATCH)
    return AttackedAUC(validation.features, validation.y, monitored, watch=watch)


def _batch_size(recipe: Recipe, dataset: data.JetDataset) -> int:
    """The recipe's batch, or a smaller one on a data set that is small for it."""
    jets = dataset.count("train")
    if recipe.fixed_steps and jets // recipe.batch_size < recipe.fixed_steps:
        batch_size = max(1, jets // recipe.fixed_steps)
        print(f"Batch of {batch_size} instead of {recipe.batch_size} jets: {jets} jets make {recipe.fixed_steps} steps.")
        return batch_size
    return min(recipe.batch_size, jets)


def _started(output: Path, resume: bool) -> dict | None:
    """The config of the run that is there, if it is to be resumed; None where a run may begin."""
    file = output / "config.json"
    if not file.is_file():
        # A run that was killed while it wrote its first file has left nothing but scratch.
        if output.exists() and any(not path.name.startswith(SCRATCH) for path in output.iterdir()):
            raise UserError(f"The folder '{output}' is not empty and holds no run; choose another --output.")
        return None
    if not resume:
        raise UserError(f"There is a run in '{output}' already; continue it with --resume, or choose another --output.")
    return json.loads(file.read_text())


def check_same(started: dict, settings: Settings, dataset: data.JetDataset, output: Path) -> None:
    """Raise a `UserError` unless the run in `output`, with config `started`, has these settings and this data set."""
    # Settings that the run does not know, it had at their defaults.
    theirs, ours = (json.loads(json.dumps(s.to_dict())) for s in (Settings.resolve(started["settings"]), settings))
    changed = [name for name in ours if theirs.get(name) != ours[name] and name not in ("data_dir", "manual_dir")]
    if changed:
        name = changed[0]
        raise UserError(
            f"The run in '{output}' was started with {name}={theirs.get(name)}, not {ours[name]}; "
            "give the same options, or choose another --output."
        )
    if started["fingerprint"] != dataset.fingerprint:
        raise UserError(f"The run in '{output}' was made with another data set than the one in '{dataset.path}'.")


def _config(settings: Settings, dataset: data.JetDataset) -> dict:
    """Everything needed to repeat the run."""
    folder = Path(kerastag.__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return {
        "settings": settings.to_dict(),
        "command": sys.argv,
        "versions": {
            "kerastag": kerastag.__version__,
            "python": sys.version.split()[0],
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "git_commit": git.stdout.strip() or None,
        "fingerprint": dataset.fingerprint,
        "jets": dataset.jets,
    }


def _say_what_was_cleaned(dataset: data.JetDataset) -> None:
    cleaning = dataset.cleaning
    bad = sum(cleaning["not_finite"].values()) + sum(cleaning["out_of_range"].values())
    counts = {split: sum(by_class.values()) for split, by_class in dataset.jets.items()}
    print(
        f"Data set {dataset.path}: " + ", ".join(f"{split} {jets:,}" for split, jets in counts.items()) + " jets; "
        f"left out {cleaning['not_selected']:,} not selected and {cleaning['unknown_flavour']:,} of unknown flavour; "
        f"{bad:,} values set to their default (by feature in metadata.json there)."
    )
