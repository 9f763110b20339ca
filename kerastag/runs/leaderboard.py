"""The leaderboard: measure a tagger and enter it, take attacked jets of others, and make the page."""

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import __version__, outputs, plots
from kerastag.attacks import Condition, ThreatModel, attacked_features, conditions
from kerastag.checksums import sha256
from kerastag.data import JetDataset
from kerastag.errors import UserError, nearest
from kerastag.evaluation.certified import certificates
from kerastag.evaluation.diagnostics import check_robustness
from kerastag.evaluation.taggers import Tagger
from kerastag.evaluation.two_sample_trees import Halves
from kerastag.files import write_text
from kerastag.jets import Jets
from kerastag.leaderboard import entries, page, trainings
from kerastag.leaderboard.conditions import MET, check_conditions
from kerastag.leaderboard.entries import Attacked, Certified, Cost, Entry, OfSeed, Seen, Sign, Threat, Varied
from kerastag.leaderboard.submission import in_box, read_attacked
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.report.subject import digest
from kerastag.request import LEADERBOARD, REPLICATES, AttackGrid, Method, Sample
from kerastag.results import Interval, defined
from kerastag.runs.opening import read
from kerastag.runs.varied_samples import VariedSamples
from kerastag.saving.taggers import NamedTagger, check_inputs, load
from kerastag.simulation.catalogue import UNCERTAINTIES

# Jets on which taggers are diagnosed.
_DIAGNOSED = 5000
# Resamples where the interval is not looked at.
_NO_INTERVAL = 2


def leaderboard(folder: Path) -> None:
    """Make the page of the entries of a folder: `README.md`, `leaderboard.html`, `pareto.png`.

    Raises:
        UserError: if there are no entries, or one is damaged.
    """
    found = entries.read_all(folder)
    plots.save(page.draw(found)[0], folder / "pareto.png", dpi=60)
    write_text(folder / "README.md", page.markdown(found, "pareto.png"))
    write_text(folder / "leaderboard.html", page.html(found, (folder / "pareto.png").read_bytes()))
    print(f"Entries: {len(found)}; page: {folder / 'README.md'}, {folder / 'leaderboard.html'}.")


def enter(
    tagger: str,
    sample: Sample,
    folder: Path,
    grid: AttackGrid = LEADERBOARD,
    *,
    name: str | None = None,
    authors: str | None = None,
    link: str | None = None,
    replicates: int = REPLICATES,
    diagnose: bool = False,
    certify: Method | None = None,
    variations: Path | None = None,
    seeds: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Measure a tagger, write its entry, and make the page.

    Args:
        tagger: A path, a legacy tagger, or the name of one that comes along.
        sample: The jets.
        folder: Folder of the entries.
        grid: The attacks, all in one box.
        name: What tables call it; None for its own name.
        authors: Who made it.
        link: Where to read of it.
        replicates: Bootstrap resamples.
        diagnose: Whether to look for signs of useless gradients.
        certify: How to bound what any attack can do; None to leave it.
        variations: Folder of simulated variations; None to leave them.
        seeds: Run directories of further trainings, which differ in the seed alone.
        overwrite: Whether an entry may be replaced. The strongest attack of others is kept where
            tagger, jets and box are the same.

    Raises:
        UserError: if there is an entry that may not be replaced, the tagger does not meet the conditions or does not fit the
            jets, the attacks are not in one box, or other seeds are of another training.
    """
    under = _in_one_box(grid)
    entries.check_words(name=name, authors=authors, link=link)
    dataset, jets = read(sample, [tagger])
    found = load(tagger, dataset.schema)
    check_inputs(found, dataset.schema)
    path = folder / entries.file_name(name or found.name, under[0].box_label)
    if path.exists() and not overwrite:
        raise UserError(f"There is an entry '{path}' already; add --overwrite, or give another --name.")
    old = entries.read(path) if path.exists() else None
    others = trainings.other_seeds(found, seeds, dataset)
    varied = None if variations is None else VariedSamples(variations, dataset.schema, UNCERTAINTIES)
    threat_model = under[0].threat_model(dataset)
    with _kept(folder):
        check_conditions(found.name, found.model, jets, threat_model)
        print(MET)
        areas = _Areas(found, dataset, jets, replicates)
        attacks = tuple(areas.under(condition) for condition in tqdm(under, "Attacking", disable=None))
        best = _strongest(attacks)
        strongest = under[attacks.index(best)]
        entry = Entry(
            name=name or found.name,
            tagger=tagger.rpartition("=")[2],
            sample=_sample(sample, dataset, jets),
            threat=Threat.of(under[0], threat_model),
            discriminator=dataset.schema.main.name,
            parameters=found.model.count_params(),
            clean=areas.of(jets.features),
            attacks=attacks,
            best=best,
            replicates=replicates,
            weights_sha256=digest(found),
            version=__version__,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            authors=authors,
            link=link,
            certified=_certified(areas, under, certify) if certify else None,
            varied=_varied(areas, varied) if varied else None,
            diagnosed=_signs(found, jets, threat_model) if diagnose else (),
            seen=areas.seen(strongest),
            seeds=tuple(_of_seed(other, strongest, dataset, jets) for other in tqdm(others, "Seeds", disable=None)),
            cost=_cost(areas, found),
            **trainings.facts(found),
        )
        if old is not None:
            entry = _with_best_of(old, entry)
        print(f"{entries.write(folder, entry)}: clean {entry.clean}, {entry.best.attack} {entry.best.area}.")
        leaderboard(folder)


def submit(file: Path, tagger: str, author: str, sample: Sample, folder: Path) -> None:
    """Take attacked jets of somebody else; if they lower the area of an entry, they are its strongest attack from then on.

    Args:
        file: File of the attacked jets.
        tagger: Name of the file of the entry, without `.json`.
        author: Who attacked them.
        sample: Where the jets of the entry are; split and number are those of the entry.
        folder: Folder of the entries.

    Raises:
        UserError: if there is no such entry, its jets, tagger or box are not at hand, or the file is refused.
    """
    entries.check_words(author=author)
    known = [path.stem for path in folder.glob("*.json")]
    if tagger not in known:
        raise UserError(f"There is no entry '{tagger}' in '{folder}'; the nearest are {nearest(tagger, known)}.")
    with _kept(folder):
        entry = entries.read(folder / f"{tagger}.json")
        dataset, jets = _jets_of(entry, sample)
        found = load(entry.tagger, dataset.schema)
        check_inputs(found, dataset.schema)
        threat_model = entry.threat.condition.threat_model(dataset)
        _check_same(entry, found, threat_model)
        attacked = read_attacked(file, jets.features.shape)
        points = in_box(attacked, jets, threat_model, dataset.schema)
        area = _Areas(found, dataset, jets, entry.replicates).of(points)
        said = f"The jets of {author} leave {area} of {entry.name}'s {entry.discriminator} area"
        if area.value >= entry.best.area.value:
            print(f"{said}, not below {entry.best.area} of {entry.best.attack}: nothing was changed.")
            return
        best = Attacked(area, "submitted jets", author, sha256(file))
        entries.write(folder, dataclasses.replace(entry, best=best))
        print(f"{said}, below {entry.best.area} of {entry.best.attack}: the strongest attack known from now on.")
        leaderboard(folder)


class _Areas:
    """Areas of the main discriminator of a tagger, with intervals.

    Args:
        found: The tagger.
        dataset: Data set of the jets.
        jets: The jets, clean.
        replicates: Bootstrap resamples.
    """

    def __init__(self, found: NamedTagger, dataset: JetDataset, jets: Jets, replicates: int):
        self.tagger, self.dataset, self.jets = Tagger.network(found.model, found.name), dataset, jets
        self.replicates, self.main = replicates, dataset.schema.main
        self._bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)
        self._attacked: dict[Condition, np.ndarray] = {}

    def of(self, features: np.ndarray) -> Interval:
        """That of the jets with other features `(jets, features)`.

        Raises:
            UserError: if it is not defined.
        """
        area = self._bootstrap.area(RankedPair(self.jets.label, self.tagger.logits(features), self.main))
        return defined(area, f"{self.main.name} AUC of {self.tagger.name}").interval

    def under(self, condition: Condition) -> Attacked:
        """That of attacked jets."""
        return Attacked(self.of(self._points(condition)), condition.title)

    def seen(self, condition: Condition) -> Seen:
        """What trees see of an attack."""
        found = Halves(self.jets.features, self.jets.label, self.jets.events).classify(self._points(condition))
        return Seen(found.area, found.control)

    def _points(self, condition: Condition) -> np.ndarray:
        """Features under an attack, made once."""
        if condition not in self._attacked:
            attack = condition.aimed_at(self.main.name).build_attack(self.dataset)
            points = attacked_features(self.tagger.attacked, self.jets.features, self.jets.y, attack)
            self._attacked[condition] = points
        return self._attacked[condition]


def _in_one_box(grid: AttackGrid) -> list[Condition]:
    """The attacks of a grid.

    Raises:
        UserError: if they are not in one box.
    """
    if len(grid.epsilons) > 1:
        raise UserError("An entry is about one box, so --epsilon takes one size; make an entry for each.")
    under = [condition for condition in conditions(grid) if not condition.is_clean]
    for condition in under:
        if not condition.sized:
            raise UserError(f"'{condition.attack}' has no box, or does not look at the tagger; take attacks such as pgd-20.")
    return under


def _sample(sample: Sample, dataset: JetDataset, jets: Jets) -> entries.Sample:
    return entries.Sample(dataset.schema.name, dataset.fingerprint, sample.split, len(jets), entries.jets_digest(jets))


def _strongest(attacks: Iterable[Attacked]) -> Attacked:
    return min(attacks, key=lambda attacked: attacked.area.value)


def _with_best_of(old: Entry, new: Entry) -> Entry:
    """A new entry with the strongest attack known on the old one, if both are about the same."""
    same = all(getattr(old, name) == getattr(new, name) for name in ("weights_sha256", "sample", "threat"))
    return dataclasses.replace(new, best=_strongest((new.best, old.best))) if same else new


def _certified(areas: _Areas, under: Sequence[Condition], method: Method) -> Certified | None:
    """The certificate; None, with the reason printed, where there is none."""
    name, model = areas.tagger.name, areas.tagger.attacked
    found, reasons = certificates({name: model}, areas.dataset, areas.jets, under, areas.replicates, method)
    if name in reasons:
        print(f"{name} has no certificate. {reasons[name]}")
        return None
    return Certified(defined(found[name][0].area, f"certified AUC of {name}").interval, method)


def _varied(areas: _Areas, samples: VariedSamples) -> Varied:
    changes = {name: abs(change) for name, change in samples.changes(areas.tagger.logits, areas.main).items()}
    worst = max(changes, key=lambda name: changes[name])
    return Varied(float(np.mean(list(changes.values()))), changes[worst], worst)


def _signs(found: NamedTagger, jets: Jets, threat_model: ThreatModel) -> tuple[Sign, ...]:
    rows = slice(_DIAGNOSED)
    checks = check_robustness(found.model, jets.features[rows], jets.y[rows], threat_model)
    return tuple(Sign(check.name, check.passed) for check in checks)


def _cost(areas: _Areas, found: NamedTagger) -> Cost:
    """Speed of the network, the better of two passes, and time of its training."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        areas.tagger.logits(areas.jets.features)
        seconds.append(time.perf_counter() - start)
    training = trainings.epochs_and_seconds(found)
    return Cost(len(areas.jets) / min(seconds), *(training or ()))


def _of_seed(other: NamedTagger, strongest: Condition, dataset: JetDataset, jets: Jets) -> OfSeed:
    areas = _Areas(other, dataset, jets, _NO_INTERVAL)
    attacked = areas.under(strongest).area.value
    return OfSeed(trainings.settings_of(other)["seed"], areas.of(jets.features).value, attacked)


def _jets_of(entry: Entry, sample: Sample) -> tuple[JetDataset, Jets]:
    """The jets of an entry.

    Raises:
        UserError: if those here are others.
    """
    config = entry.sample.config if sample.config is None and sample.schema is None else sample.config
    dataset, jets = read(dataclasses.replace(sample, config=config, split=entry.sample.split, max_jets=entry.sample.jets))
    if _sample(dataclasses.replace(sample, split=entry.sample.split), dataset, jets) != entry.sample:
        raise UserError(
            f"The data set in '{dataset.path}' has other jets than the entry of '{entry.name}', whose data set has the "
            f"fingerprint {entry.sample.fingerprint[:12]}; build it of the same files, or make the entry anew."
        )
    return dataset, jets


def _check_same(entry: Entry, found: NamedTagger, threat_model: ThreatModel) -> None:
    """Raise a `UserError` unless tagger and box are those of the entry."""
    if digest(found) != entry.weights_sha256:
        raise UserError(f"'{found.source}' has other weights than the entry of '{entry.name}'; make the entry anew.")
    if entries.threat_digest(threat_model) != entry.threat.sha256:
        raise UserError(f"The box of the entry of '{entry.name}' is another one today; make the entry anew.")


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Keep the folder of entries for this process; made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with outputs.locked(folder, "wait for it, or name another folder with --entries"):
        yield
