"""What architecture does to robustness: several models, trained nominally and with FGSM, on the same jets.

Every training and every evaluation is a file below the output folder, so a study that was interrupted goes on where it stopped.
"""

import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import models, outputs, plots, saving, tables
from kerastag.attacks import CLEAN, Condition, conditions
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.architectures import CLEAN_AREA, RESULT, TRAININGS, VARIATIONS, cost_table, name_of, points, table
from kerastag.evaluation.certified import Certifier, certified_boxes
from kerastag.evaluation.taggers import TREES, Tagger
from kerastag.evaluation.trees import boosted_trees
from kerastag.files import read_json, write_json, write_text
from kerastag.recipes import Settings
from kerastag.request import ARCHITECTURES, AttackGrid
from kerastag.results import Seeds, plain
from kerastag.runs.opening import opened
from kerastag.runs.train import train_missing
from kerastag.runs.varied_samples import VariedSamples, area_of
from kerastag.saving.onnx import export_onnx
from kerastag.simulation.catalogue import UNCERTAINTIES
from kerastag.speed.clock import Clock
from kerastag.speed.inference import XLA, formats
from kerastag.speed.steps import forward_backward
from kerastag.training import fitting
from kerastag.training.assembly import make_attack

# Of a training the quantities by name.
Quantities = dict[str, float]
_OF_ONE, _SPEED, _SPEED_OF_TREES = "architecture.json", "speed.json", "speed_of_trees.json"
# Attack on trees in each box whose attack needs a gradient.
_WITHOUT_GRADIENT = "random-search-200"
# Jets on which speeds are measured.
_TIMED_JETS = 4_096
# Jets that are certified, which takes a wide network a tenth of a second each.
_CERTIFIED_JETS = 4_000


@dataclasses.dataclass(frozen=True)
class Row:
    """A model and how it was trained.

    Attributes:
        model: Name of the model.
        training: One of `TRAININGS`.
    """

    model: str
    training: str

    @property
    def name(self) -> str:
        """Name of its row."""
        return name_of(self.model, self.training)


@outputs.keeps
def architectures(
    settings: Settings,
    output: Path,
    names: Sequence[str],
    seeds: Sequence[int] = (0, 1, 2),
    grid: AttackGrid = ARCHITECTURES,
    variations: Path | None = None,
    max_jets: int | None = None,
) -> None:
    """Train what is missing below `output`, attack all on the test split, and write table, numbers and figure.

    Boosted trees are a row beside the models. They have no gradient, so there is no adversarial training of them. Attacks that
    need one are made on the first model of the same seed, and random search in the same box is a column of their own.

    Args:
        settings: Settings of all trainings; model, defence and seed are varied.
        output: Folder of the study; runs that are complete are used as they are, others resumed.
        names: Names of models.
        seeds: A nominal and an adversarial training of each model for each.
        grid: Attacks in the evaluation.
        variations: Folder of simulated variations, whose mean change is a column; None for none.
        max_jets: How many test jets are attacked and certified, from the first; None for all.

    Raises:
        UserError: if there is no such model, a folder has a run of other settings or data, or a variation is missing.
    """
    dataset = opened(settings)
    make_attack(settings, dataset)  # mistakes are found before the first training
    for name in names:
        models.build(name, dataset.schema, dataset.statistics, settings.inputs)
    measure = _Measure(dataset, conditions(grid), variations, max_jets)
    rows = [Row(name, training) for name in dict.fromkeys(names) for training in TRAININGS]
    runs = [(row, _settings(settings, row, seed)) for row in rows for seed in seeds]
    results: dict[str, list[Quantities]] = {}
    for row, training in tqdm(runs, "Trainings", disable=None):
        folder = _folder(output, row, training)
        train_missing(training, dataset, folder)
        results.setdefault(row.name, []).append(measure.network(folder, row.name))
    for seed in tqdm(seeds, "Trees", disable=None):
        first = _folder(output, rows[0], _settings(settings, rows[0], seed))
        results.setdefault(TREES, []).append(measure.trees(first, seed, first / "trees.json"))
    firsts = {row: _settings(settings, row, seeds[0]) for row in rows}
    timed = tqdm(firsts.items(), "Timing", disable=None)
    costs = {row.name: _costs(training, dataset, _folder(output, row, training)) for row, training in timed}
    costs[TREES] = _costs_of_trees(dataset, output / _SPEED_OF_TREES)
    _write(results, costs, dataset, measure.jets, output)


def _settings(settings: Settings, row: Row, seed: int) -> Settings:
    defense = "nominal" if row.training == TRAININGS[0] else "fgsm"
    return Settings.resolve(settings.to_dict() | {"model": row.model, "defense": defense, "seed": seed})


def _folder(output: Path, row: Row, settings: Settings) -> Path:
    return output / f"{row.model.replace(':', '_')}-{row.training}-seed{settings.seed}"


class _Measure:
    """What is measured of each tagger, read back where it was measured of the same.

    Args:
        dataset: Data set of the jets.
        under: Conditions, the first that of clean jets.
        variations: Folder of simulated variations; None for none.
        max_jets: How many test jets, from the first; None for all.
    """

    def __init__(self, dataset: JetDataset, under: Sequence[Condition], variations: Path | None, max_jets: int | None):
        self._dataset, self._under = dataset, under
        main = dataset.schema.main.name
        self._attacks = {condition: condition.aimed_at(main).build(dataset) for condition in under}
        follow = [one for one, attack in self._attacks.items() if attack is not None and one.sized and attack.follows_gradient]
        # Of trees, beside the attacks that follow the gradient of a network.
        self._searches = list(dict.fromkeys(dataclasses.replace(one, attack=_WITHOUT_GRADIENT) for one in follow))
        self._attacks |= {search: search.aimed_at(main).build(dataset) for search in self._searches}
        self._jets = dataset.arrays("test").take(slice(max_jets))
        self._varied = None if variations is None else VariedSamples(variations, dataset, UNCERTAINTIES)
        self._made_of = plain(
            {
                "fingerprint": dataset.fingerprint,
                "attacks": list(under),
                "jets": len(self._jets),
                "variations": None if self._varied is None else self._varied.digests,
            }
        )

    @property
    def jets(self) -> int:
        """Number of jets that are attacked."""
        return len(self._jets)

    def network(self, folder: Path, name: str) -> Quantities:
        """Quantities of a training."""
        return self._kept(folder / _OF_ONE, lambda: Tagger.network(saving.load(folder), name))

    def trees(self, first: Path, seed: int, file: Path) -> Quantities:
        """The same of boosted trees, with random search where an attack needs the gradient of a network."""
        train = self._dataset.arrays("train")
        return self._kept(file, lambda: Tagger.trees(train, saving.load(first), seed), self._searches)

    def _kept(self, file: Path, make: Callable[[], Tagger], more: Sequence[Condition] = ()) -> Quantities:
        made_of = self._made_of | plain({"more": list(more)})
        if file.is_file() and (stored := read_json(file, {"made_of": dict, "quantities": dict}))["made_of"] == made_of:
            return stored["quantities"]
        quantities = self._measured(make(), [*self._under, *more])
        write_json(file, {"made_of": made_of, "quantities": quantities})
        return quantities

    def _measured(self, tagger: Tagger, under: Sequence[Condition]) -> Quantities:
        main, jets = self._dataset.schema.main, self._jets
        areas = {}
        for condition in under:
            logits = tagger.logits(tagger.under(self._attacks[condition], jets))
            areas[condition.label] = area_of(jets, logits, main)
        clean = areas.pop(CLEAN.label)
        quantities = {CLEAN_AREA: clean} | {f"loss, {label}": clean - area for label, area in areas.items()}
        if tagger.name != TREES:
            quantities |= self._certified_losses(tagger)
        if self._varied is not None:
            quantities[VARIATIONS] = self._varied.mean_change(tagger.logits, main)
        return quantities

    def _certified_losses(self, tagger: Tagger) -> Quantities:
        """Largest loss of some jets in the box of each size, without ties; nothing where there is no certificate."""
        jets, main = self._jets.take(slice(_CERTIFIED_JETS)), self._dataset.schema.main
        clean = area_of(jets, tagger.logits(jets.features), main)
        losses, certifier = {}, Certifier(tagger.attacked, main)
        for box in certified_boxes(self._under):
            try:
                values = certifier(jets, box.threat_model(self._dataset))
            except UserError as error:
                print(f"{tagger.name} has no certificate. {error}")
                return {}
            losses[f"largest loss {box.box_label}, certified"] = clean - area_of(jets, values, main)
        return losses


def _costs(settings: Settings, dataset: JetDataset, folder: Path) -> Quantities:
    """Parameters, and jets/s of training and inference, measured once."""
    file = folder / _SPEED
    if file.is_file():
        return read_json(file, {})
    tagger, jets = saving.load(folder), dataset.arrays("test")
    x, y = jets.features[:_TIMED_JETS], jets.y[:_TIMED_JETS]
    with tempfile.TemporaryDirectory() as scratch:
        file_of_onnx = Path(scratch) / "tagger.onnx"
        try:
            export_onnx(tagger, dataset.schema, file_of_onnx)
        except UserError as error:
            print(f"ONNX Runtime is not timed: {error}")
        calls = formats(tagger, folder / "saved_model", file_of_onnx)
        timed = {name: functools.partial(call, x) for name, call in calls.items() if name != XLA}
        inference = {name: len(x) / seconds for name, seconds in Clock().in_turns(timed).items()}
    batch = fitting.fitting_batch(settings.hyperparameters, dataset)
    training = fitting.speed(settings, dataset)
    pure = forward_backward(tagger, x[:batch], y[:batch], Clock())
    costs = {
        "parameters": sum(int(np.prod(weight.shape)) for weight in tagger.trainable_weights),
        "training": training,
        "step / forward and backward": pure / training,
        **inference,
    }
    write_json(file, costs)
    return costs


def _costs_of_trees(dataset: JetDataset, file: Path) -> Quantities:
    """Training jets per second of the whole fit, and jets/s of inference, measured once."""
    if file.is_file():
        return read_json(file, {})
    train, x, clock = dataset.arrays("train"), dataset.arrays("test").features[:_TIMED_JETS], Clock()
    start = time.perf_counter()
    logits = boosted_trees(train)
    costs = {"training": len(train) / (time.perf_counter() - start)}
    costs["scikit-learn"] = len(x) / clock.in_turns({"": functools.partial(logits, x)})[""]
    write_json(file, costs)
    return costs


def _write(
    results: Mapping[str, Sequence[Quantities]],
    costs: Mapping[str, Quantities],
    dataset: JetDataset,
    jets: int,
    output: Path,
) -> None:
    """Table, numbers and figure."""
    over_seeds = {
        name: {quantity: Seeds(tuple(one[quantity] for one in of_seeds)) for quantity in of_seeds[0]}
        for name, of_seeds in results.items()
    }
    main = dataset.schema.main.name
    text = (
        f"{main} AUC of {jets:,} test jets and its losses, certified ones of {min(jets, _CERTIFIED_JETS):,}; mean over seeds ± "
        "their standard deviation.\n\n"
        f"{tables.markdown(*table(over_seeds))}\n\nParameters, and jets/s; of trees training is the whole fit:"
        f"\n\n{tables.markdown(*cost_table(costs))}\n"
    )
    write_text(output / "table.md", text)
    about = {"fingerprint": dataset.fingerprint, "jets": jets, "main": main}
    write_json(output / RESULT, about | {"results": over_seeds, "costs": costs})
    figure, _ = plots.architectures(points(over_seeds), main)
    plots.save(figure, output / "architectures.png", output / "architectures.pdf")
    print(f"\n{text}\nNumbers {output / RESULT}, table {output / 'table.md'}, figure {output / 'architectures.png'}.")
