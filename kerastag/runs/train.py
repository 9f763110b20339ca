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
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import kerastag
from kerastag import models, outputs, plots, saving, tables
from kerastag.attacks import conditions, rules
from kerastag.catalogue import DEFENSES
from kerastag.data import JetDataset, UnlabelledJets, VariedJets
from kerastag.data.simulated import stand_for_data
from kerastag.errors import UserError
from kerastag.evaluation.comparison import compare, markdown, to_json
from kerastag.files import replaced, write_json, write_text
from kerastag.recipes import FOLDERS, Settings, run_config
from kerastag.request import RELATIVE_CAP, AttackGrid
from kerastag.results import plain
from kerastag.runs.opening import opened
from kerastag.saving.trial import check_storable
from kerastag.training.assembly import digests_of_further_files, make_attack, make_defense, make_further
from kerastag.training.checkpoint import TrainingState
from kerastag.training.distribution import ALONE, Distribution
from kerastag.training.fitting import build_tagger, compiles, fit


def train(settings: Settings, output: Path, resume: bool = False, distribution: Distribution = ALONE) -> None:
    """Train, evaluate and export into the folder `output`.

    Args:
        settings: Settings of the training.
        output: The run directory.
        resume: Whether to go on with a run that is there.
        distribution: The devices; each of several processes calls this with the same arguments, and the chief alone writes.

    Raises:
        UserError: if the folder has a run and `resume` is false, or the run was made with other settings or data; with several
            processes also if the data set is not built, or one of them ends.
    """
    if distribution.is_chief:
        with outputs.claimed(output, "train"):
            _lead(settings, output, resume, distribution)
    else:
        dataset = _training_jets(settings, build=False)
        keras.utils.set_random_seed(settings.seed)
        fit(settings, dataset, output, make_further(settings, dataset), distribution)
    # A worker that ended before the chief has written would look as if it had crashed.
    distribution.wait_for_all()


def _lead(settings: Settings, output: Path, resume: bool, distribution: Distribution) -> None:
    """What the chief does, which mostly is alone."""
    started = _started(output, resume)
    dataset = _training_jets(settings, build=distribution.workers == 1)
    if started:
        check_same(started, settings, dataset, output)
    # Mistakes in these are found before there is a run, which would have to be removed before the next try.
    make_attack(settings, dataset)
    make_defense(settings, dataset, steps_per_epoch=1)
    dataset.schema.restricted(settings.inputs)
    if ":" in settings.hyperparameters.model:
        model = build_tagger(settings, dataset)
        check_storable(model, dataset.schema, dataset.statistics)
    further = make_further(settings, dataset)
    _print_cleaning(dataset)
    _print_varied(further.varied)
    _print_unlabelled(further.unlabelled)
    _print_budget(settings, dataset)
    write_json(output / "config.json", _config(settings, dataset, distribution))
    keras.utils.set_random_seed(settings.seed)
    tagger, state = fit(settings, dataset, output, further, distribution)
    _finish(settings, dataset, tagger, state, output)


def _training_jets(settings: Settings, build: bool) -> JetDataset:
    """The data set of a training.

    Raises:
        UserError: if it stands for real data, on which nothing may be trained.
    """
    dataset = opened(settings, build=build)
    if stand_for_data(dataset.variations):
        raise UserError(
            f"The jets in '{dataset.path}' ({', '.join(dataset.variations)}) stand for real data in tests, so nothing may be "
            "trained on them; give another --manual-dir."
        )
    return dataset


def train_missing(settings: Settings, dataset: JetDataset, output: Path) -> None:
    """Make a training, go on with it, or leave it as it is, by what the folder holds.

    Raises:
        UserError: if the folder has a run of other settings or data.
    """
    if ":" in settings.hyperparameters.model:
        models.get(settings.hyperparameters.model)  # its layers must be known where a finished tagger is read
    if (output / "metrics.json").is_file():
        check_same(run_config(output), settings, dataset, output)
    else:
        train(settings, output, resume=(output / "config.json").is_file())


def _finish(settings: Settings, dataset: JetDataset, tagger: keras.Model, state: TrainingState, output: Path) -> None:
    """Save, export, evaluate on the test split, draw, and print where things are."""
    with replaced(output / "tagger.keras") as new:
        tagger.save(new)
    saving.export(tagger, dataset.schema, dataset.statistics, output / "saved_model")
    rows = [{"epoch": number, **row} for number, row in enumerate(state.history, start=1)]
    write_text(output / "history.csv", tables.comma_separated(rows))
    plots.save(
        plots.history(state.history, settings.attack, settings.epsilon, dataset.schema.headline)[0],
        output / "figures" / "history.png",
    )
    _evaluate(settings, dataset, tagger, output)
    speed = np.median([row.get("jets_per_second", np.nan) for row in state.history])
    epochs = len(state.history)
    print(f"Trained at {speed:,.0f} jets/s (median over {epochs} epoch{'s' if epochs > 1 else ''}, callbacks apart).")
    print(f"Tagger {output / 'tagger.keras'}, SavedModel {output / 'saved_model'}, numbers {output / 'metrics.json'},")
    print(f"epochs {output / 'history.csv'}, figure {output / 'figures' / 'history.png'}.")


def _evaluate(settings: Settings, dataset: JetDataset, tagger: keras.Model, output: Path) -> None:
    """Areas on the test split, clean and under FGSM, with and without a cap, that of the training if it has one."""
    split = "test" if sum(dataset.jets.get("test", {}).values()) else "train"
    jets = dataset.arrays(split)
    caps = (None, RELATIVE_CAP if settings.relative_cap is None else settings.relative_cap)
    grid = AttackGrid(("fgsm",), (settings.epsilon,), caps, scale=settings.scale, only=settings.only, physics=settings.physics)
    comparison = compare({output.name: tagger}, dataset, jets, conditions(grid))
    write_json(output / "metrics.json", {"split": split, "jets": len(jets), "results": to_json(comparison)})
    print(f"\n{len(jets):,} jets of the {split} split, ± half the 68 % bootstrap interval:\n\n{markdown(comparison)}\n")


def _started(output: Path, resume: bool) -> dict | None:
    """The config of the run in the folder, if it is to be resumed; None where a run may begin."""
    if not (output / "config.json").is_file():
        return None
    if not resume:
        raise UserError(f"There is a run in '{output}' already; continue it with --resume, or choose another --output.")
    return run_config(output)


def check_same(started: dict, settings: Settings, dataset: JetDataset, output: Path) -> None:
    """Raise a `UserError` unless the run in `output`, with config `started`, has these settings and this data set."""
    # Settings that the run does not know, it had at their defaults.
    # Where data lie may have changed; what lies there is compared below.
    theirs, ours = (json.loads(json.dumps(s.to_dict())) for s in (started["settings"], settings))
    changed = [name for name in ours if theirs.get(name) != ours[name] and name not in FOLDERS]
    if changed:
        name = changed[0]
        raise UserError(
            f"The run in '{output}' was started with {name}={theirs.get(name)}, not {ours[name]}; "
            "give the same options, or choose another --output."
        )
    if started["fingerprint"] != dataset.fingerprint:
        raise UserError(
            f"The run in '{output}' was made with another data set than the one in '{dataset.path}'; "
            "give its --data-dir or --manual-dir, or choose another --output."
        )
    if started["box"] != (box := rules.fingerprint(dataset.schema, settings.physics)):
        raise UserError(
            f"The run in '{output}' was started with attacks of another version of kerastag, of the schema or of the budget "
            f"({started['box'] or 'not said which'}, now {box}); start it anew in another --output."
        )
    before_ratios, ratios = started["ratios"], plain(list(dataset.schema.ratios))
    if before_ratios not in (None, ratios):
        raise UserError(
            f"The run in '{output}' was started with the discriminators {_listed(before_ratios)} in its schema, not "
            f"{_listed(ratios)}; give the schema as it was, or choose another --output."
        )
    if started["strength"] not in (None, strength := _strength(settings)):
        raise UserError(
            f"The run in '{output}' was started when '{settings.defense}' had the usual strength {started['strength']}, now "
            f"{strength}; say which with --rho or --weight, or choose another --output."
        )
    before, now = started["variations"], digests_of_further_files(settings)
    if changed := sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)):
        raise UserError(
            f"The run in '{output}' was started on other files beside its data set: {', '.join(changed)}; give the same with "
            "--variations or --unlabelled, or choose another --output."
        )


def _strength(settings: Settings) -> dict[str, float]:
    """What the defence takes for its ρ or weight where the settings name none; it may change between versions."""
    usual = DEFENSES.find(settings.defense).arguments
    return {name: usual[name] for name in ("rho", "weight") if name in usual and getattr(settings, name) is None}


def _listed(ratios: Any) -> str:
    """Names of a schema's own discriminators, also as a damaged file tells them."""
    known = [ratio for ratio in ratios if isinstance(ratio, dict)] if isinstance(ratios, list) else []
    return ", ".join(str(ratio.get("name")) for ratio in known) or "of its classes"


def _config(settings: Settings, dataset: JetDataset, distribution: Distribution) -> dict:
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
        "box": rules.fingerprint(dataset.schema, settings.physics),
        "ratios": plain(list(dataset.schema.ratios)),
        "jets": dataset.jets,
        "strength": _strength(settings),
        "jit_compile": compiles(settings, distribution),
        "variations": digests_of_further_files(settings),
    }


def _print_cleaning(dataset: JetDataset) -> None:
    cleaning = dataset.cleaning
    cells = sum(cleaning["not_finite"].values()) + sum(cleaning["out_of_range"].values())
    counts = {split: sum(by_class.values()) for split, by_class in dataset.jets.items()}
    print(
        "Jets: " + ", ".join(f"{split} {jets:,}" for split, jets in counts.items()) + "; "
        f"left out {cleaning['not_selected']:,} not selected and {cleaning['unknown_flavour']:,} of unknown flavour; "
        f"{cells:,} values set to their default (by feature in metadata.json there)."
    )


def _print_varied(varied: VariedJets | None) -> None:
    if varied is None:
        return
    print(
        f"Each training jet is drawn as it is or under one of {len(varied.shares)} variations: {', '.join(varied.shares)}; "
        f"they have at least {min(varied.shares.values()):.1%} of the jets. Left out: "
        f"{'; '.join(f'{name} {reason}' for name, reason in varied.left_out.items()) or 'none'}."
    )


def _print_unlabelled(unlabelled: UnlabelledJets | None) -> None:
    if unlabelled is None:
        return
    print(
        f"Jets without labels: {len(unlabelled.features):,} in {unlabelled.files} files; left out {unlabelled.left_out:,} that "
        f"are not selected or have no number, and {unlabelled.not_of_training:,} that a data set would not train on; "
        f"{unlabelled.cells:,} values set to their default."
    )


def _print_budget(settings: Settings, dataset: JetDataset) -> None:
    if DEFENSES.find(settings.defense).sized and make_attack(settings, dataset).threat_model.by_flavour is not None:
        print(
            f"The budget '{settings.physics.budget}' differs by flavour, which training would learn: in training every jet may "
            "move as far as those of the flavour that moves furthest."
        )
