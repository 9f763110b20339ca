"""The leaderboard: measure a tagger and enter it, take attacked jets of others, and make the page."""

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from kerastag import __version__, outputs, plots
from kerastag.attacks import Condition, ThreatModel, conditions
from kerastag.checksums import sha256
from kerastag.data import JetDataset
from kerastag.errors import UserError, nearest
from kerastag.files import write_text
from kerastag.jets import Jets
from kerastag.leaderboard import contenders, entries, entry_files, page, trainings
from kerastag.leaderboard.conditions import check_conditions
from kerastag.leaderboard.contenders import TREES_SOURCE, Contender
from kerastag.leaderboard.entries import Attacked, Entry, Threat
from kerastag.leaderboard.measuring import Measured, cost, largest_and_mean, of_seed
from kerastag.leaderboard.submission import in_box, read_attacked
from kerastag.request import FLATTERED, LEADERBOARD, REPLICATES, AttackGrid, Method, Sample
from kerastag.runs.opening import read
from kerastag.runs.varied_samples import VariedSamples
from kerastag.saving.taggers import name_and_source
from kerastag.simulation.catalogue import UNCERTAINTIES

# Bytes, in most file systems, less what is added while a file is written.
_LONGEST_FILE_NAME = 200
_PAGES = ("README.md", "table.md", "leaderboard.html", "pareto.png")


def leaderboard(folder: Path) -> None:
    """Make the page of the entries of a folder: `README.md`, `leaderboard.html`, `pareto.png`; and `table.md`, a short one.

    Raises:
        UserError: if there are no entries, one is damaged, or the folder has such files of somebody else.
    """
    _check_folder(folder)
    found = entry_files.read_all(folder)
    write_text(folder / "README.md", page.markdown(found, "pareto.png", folder))  # first, since it says whose the others are
    plots.save(page.draw(found)[0], folder / "pareto.png", dpi=60)
    write_text(folder / "table.md", page.short(found) + "\n")
    write_text(folder / "leaderboard.html", page.html(found, (folder / "pareto.png").read_bytes()))
    print(f"Entries: {len(found)}; page: {folder / 'README.md'}, {folder / 'leaderboard.html'}.")


@dataclasses.dataclass(frozen=True)
class Words:
    """What the user says of a tagger.

    Attributes:
        name: What tables call it; None for its own name.
        authors: Who made it.
        link: Where to read of it.
    """

    name: str | None = None
    authors: str | None = None
    link: str | None = None


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What is measured beside areas under attack.

    Attributes:
        replicates: Bootstrap resamples.
        diagnose: Whether to look for signs of useless gradients.
        certify: How to bound what any attack can do; None to leave it.
        variations: Folder of simulated variations; None to leave them.
        seeds: Run directories of further trainings, which differ in the seed alone; of trees, their seeds.
    """

    replicates: int = REPLICATES
    diagnose: bool = False
    certify: Method | None = None
    variations: Path | None = None
    seeds: Sequence[str] = ()

    def check_of_trees(self) -> None:
        """Raise a `UserError` if one is wanted that only a network has, or seeds are no numbers."""
        for option, wanted in (("diagnose", self.diagnose), ("certify", self.certify)):
            if wanted:
                raise UserError(f"--{option} looks at a network; leave it out with {TREES_SOURCE}.")
        contenders.seeds_of_trees(self.seeds)


def enter(
    tagger: str,
    sample: Sample,
    folder: Path,
    grid: AttackGrid = LEADERBOARD,
    words: Words = Words(),
    measurements: Measurements = Measurements(),
    *,
    attacked_on: str | None = None,
    overwrite: bool = False,
) -> None:
    """Measure a tagger, write its entry, and make the page.

    Args:
        tagger: A path, a legacy tagger, the name of one that comes along, or "trees".
        sample: The jets.
        folder: Folder of the entries.
        grid: The attacks, all in one box.
        words: What is said of the tagger.
        measurements: What else is measured.
        attacked_on: For trees, the network whose gradients attacks follow.
        overwrite: Whether an entry may be replaced. The strongest attack of others is kept where
            tagger, jets and box are the same.

    Raises:
        UserError: if there is an entry that may not be replaced, the tagger does not meet the conditions or does not fit the
            jets, the attacks are not in one box, or other seeds are of another training.
    """
    under = _in_one_box(grid)
    _check_folder(folder)
    entry_files.check_words(**dataclasses.asdict(words))
    if name_and_source(tagger)[1] == TREES_SOURCE:
        measurements.check_of_trees()
    name = words.name or contenders.name_of(tagger)
    path = folder / entries.file_name(name, under[0].box_label)
    old = _replaced(path, name, under[0], overwrite)
    dataset, jets = read(sample, [attacked_on or tagger])
    contender = contenders.find(tagger, dataset, attacked_on)
    if old is not None:
        _check_not_lost(old, path, contender.digest(jets), _sample(sample, dataset, jets), under[0], dataset)
    with _kept(folder):
        if old != _there(path):
            raise UserError(f"'{path}' was changed by somebody else just now; call this command again.")
        entry = _entry(contender, name, sample, dataset, jets, under, measurements)
        entry = dataclasses.replace(entry, authors=words.authors, link=words.link)
        if old is not None:
            entry = _with_best_of(old, entry)
        print(f"{entry_files.write(folder, entry)}: clean {entry.clean}, {entry.best.attack} {entry.best.area}.")
        print(_place(folder, entry))
        if sample.has_training_jets and not (contender.loaded and contender.loaded.record):
            print(FLATTERED)
        leaderboard(folder)


def _entry(
    contender: Contender,
    name: str,
    sample: Sample,
    dataset: JetDataset,
    jets: Jets,
    under: Sequence[Condition],
    wanted: Measurements,
) -> Entry:
    """The entry of a tagger, without what its user says of it.

    Raises:
        UserError: if the tagger does not meet the conditions, or other seeds are of another training.
    """
    others = contenders.other_seeds(contender, wanted.seeds, dataset)
    samples = None if wanted.variations is None else VariedSamples(wanted.variations, dataset, UNCERTAINTIES)
    threat_model = under[0].threat_model(dataset)
    print(check_conditions(contender.tagger, jets, threat_model, has_gradient=contender.loaded is not None))
    measured = Measured(contender.tagger, dataset, jets, wanted.replicates, contender.gradients)
    attacks = tuple(measured.under(condition) for condition in tqdm(under, "Attacking", disable=None))
    best = _strongest(attacks)
    strongest = under[attacks.index(best)]
    return Entry(
        name=name,
        tagger=contender.source,
        sample=_sample(sample, dataset, jets),
        threat=Threat.of(under[0], threat_model),
        discriminator=dataset.schema.main.name,
        clean=measured.of(jets.features),
        attacks=attacks,
        best=best,
        replicates=wanted.replicates,
        weights_sha256=contender.digest(jets),
        version=__version__,
        command=shlex.join([Path(sys.argv[0]).name, *map(trainings.without_folders, sys.argv[1:])]),
        certified=measured.certified(under, wanted.certify) if wanted.certify else None,
        varied=largest_and_mean(samples.changes(contender.tagger.logits, measured.main)) if samples else None,
        diagnosed=(*measured.signs(threat_model), measured.search(under, attacks)) if wanted.diagnose else (),
        seen=measured.seen(measured.points(strongest)),
        seeds=tuple(of_seed(seed, tagger, strongest, dataset, jets) for seed, tagger in tqdm(others, "Seeds", disable=None)),
        cost=cost(measured, contender),
        **contender.facts,
    )


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
    entry_files.check_words(author=author)
    _check_folder(folder)
    known = [path.stem for path in folder.glob("*.json")]
    if tagger not in known:
        raise UserError(f"There is no entry '{tagger}' in '{folder}'; the nearest are {nearest(tagger, known)}.")
    entry_files.read_all(folder)  # the page is made of them
    with _kept(folder):
        entry = entry_files.read(folder / f"{tagger}.json")
        with _of_entry(entry):
            dataset, jets = _jets_of(entry, sample)
            contender = contenders.find(entry.tagger, dataset, entry.attacked_on)
        threat_model = entry.threat.condition.threat_model(dataset)
        _check_same(entry, contender.digest(jets), threat_model)
        attacked = read_attacked(file, jets.features.shape)
        points = in_box(attacked, jets, threat_model, dataset.schema)
        measured = Measured(contender.tagger, dataset, jets, entry.replicates)
        area = measured.of(points)
        said = f"The jets of {author} leave {area} of {entry.name}'s {entry.discriminator} area"
        if area.value >= entry.best.area.value:
            print(f"{said}, not below {entry.best.area} of {entry.best.attack}: nothing was changed.")
            return
        best = Attacked(area, "submitted jets", author, sha256(file))
        entry_files.write(folder, dataclasses.replace(entry, best=best, seen=measured.seen(points)))
        less = entry.best.area.value - area.value
        print(f"{said}, {less:.2g} less than {entry.best.attack}: the strongest attack known from now on.")
        leaderboard(folder)


def _place(folder: Path, entry: Entry) -> str:
    """A sentence that says where a tagger stands among those on the same jets in the same box."""
    if entry.why_unranked:
        return f"No place: {entry.why_unranked}. Leave out --attack, --objective and --replicates, or give what is missing."
    known = [other for other in entry_files.read_all(folder) if other.contest == entry.contest]
    rivals = [other.best.area.value for other in known if not other.why_unranked]
    place = 1 + sum(area > entry.best.area.value for area in rivals)
    return f"Place {place} of {len(rivals)} on these jets in this box, by the area under attack."


def _in_one_box(grid: AttackGrid) -> list[Condition]:
    """The attacks of a grid.

    Raises:
        UserError: if they are not in one box.
    """
    if len(grid.epsilons) > 1:
        raise UserError("An entry is about one box, so --epsilon takes one size; make an entry for each.")
    under = [condition for condition in conditions(grid) if not condition.is_clean]
    if not under or not under[0].epsilon:
        raise UserError("An entry is about attacks, so --epsilon must be above 0.")
    for condition in under:
        if not condition.sized:
            raise UserError(f"'{condition.attack}' has no box, or does not look at the tagger; take attacks such as pgd-20.")
    return under


def _sample(sample: Sample, dataset: JetDataset, jets: Jets) -> entries.Sample:
    return entries.Sample(dataset.schema.name, dataset.fingerprint, sample.split, len(jets), entries.jets_digest(jets))


def _strongest(attacks: Iterable[Attacked]) -> Attacked:
    return min(attacks, key=lambda attacked: attacked.area.value)


def _with_best_of(old: Entry, new: Entry) -> Entry:
    """A new entry with the strongest attack known on the old one and what trees see of it, if both are about the same."""
    same = all(getattr(old, name) == getattr(new, name) for name in ("weights_sha256", "sample", "threat"))
    stronger = same and _strongest((new.best, old.best)) is not new.best
    return dataclasses.replace(new, best=old.best, seen=old.seen) if stronger else new


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


def _check_same(entry: Entry, digest: str, threat_model: ThreatModel) -> None:
    """Raise a `UserError` unless tagger and box are those of the entry."""
    if digest != entry.weights_sha256:
        raise UserError(f"'{entry.tagger}' has other weights than the entry of '{entry.name}'; make the entry anew.")
    if entries.threat_digest(threat_model) != entry.threat.sha256:
        raise UserError(f"The box of the entry of '{entry.name}' is another one today; make the entry anew.")


def _there(path: Path) -> Entry | None:
    """The entry of a file; None if there is none."""
    return entry_files.read(path) if path.exists() else None


def _replaced(path: Path, name: str, condition: Condition, overwrite: bool) -> Entry | None:
    """The entry that a new one takes the place of, if any; all others are looked at too, since the page is made of them.

    Raises:
        UserError: if it may not be replaced, is of another tagger or box, an entry is damaged, or no file can be called so.
    """
    if len(path.name.encode()) > _LONGEST_FILE_NAME:
        raise UserError(f"A file cannot be called '{path.name[:40]}…', by --name and the box; give a shorter --name.")
    if any(path.parent.glob("*.json")):
        entry_files.read_all(path.parent)
    old = _there(path)
    if old is not None and (old.name, old.threat.budget) != (name, condition.physics.budget):
        raise UserError(f"'{path}' is the entry of '{old.name}' in the box {old.threat.label}; give another --name.")
    if old is not None and not overwrite:
        raise UserError(f"There is an entry '{path}' already; add --overwrite, or give another --name.")
    return old


def _check_not_lost(
    old: Entry, path: Path, digest: str, sample: entries.Sample, condition: Condition, dataset: JetDataset
) -> None:
    """Raise a `UserError` if a new entry would lose what somebody else has found out about an old one."""
    threat = Threat.of(condition, condition.threat_model(dataset))
    if old.best.author and (old.weights_sha256, old.sample, old.threat) != (digest, sample, threat):
        raise UserError(
            f"'{path}' holds an attack by {old.best.author} on other weights or jets, or in another box. A new entry would "
            "lose it: give another --name, or move the file away."
        )


def _check_folder(folder: Path) -> None:
    """Raise a `UserError` if the page would replace files that it has not made."""
    if (there := next(path for path in (folder, *folder.absolute().parents) if path.exists())) and not there.is_dir():
        raise UserError(f"'{there}' (--entries) is a file; name a folder.")
    first = folder / _PAGES[0]
    ours = first.is_file() and first.read_text(encoding="utf-8", errors="replace").startswith(f"# {page.TITLE}\n")
    if not ours and (others := [name for name in _PAGES if (folder / name).exists()]):
        raise UserError(
            f"'{folder / others[0]}' would be replaced, and no {_PAGES[0]} beside it says that kerastag leaderboard made it; "
            "move it away, or name another folder with --entries."
        )


@contextlib.contextmanager
def _of_entry(entry: Entry) -> Iterator[None]:
    """Say with a mistake how the entry was made, which tells what must be at hand."""
    try:
        yield
    except UserError as error:
        how = f"Its tagger was trained by `{entry.training}`" if entry.training else f"It was made by `{entry.command}`"
        raise UserError(f"The entry of '{entry.name}' needs what is not here. {error} {how}.") from error


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Keep the folder of entries for this process; made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with outputs.locked(folder, "wait for it, or name another folder with --entries"):
        yield
