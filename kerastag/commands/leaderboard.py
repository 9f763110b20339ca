"""Leaderboard of taggers under attack: show it, enter a tagger, or submit attacked jets that take more from one."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.options import collect, given
from kerastag.request import CERTIFICATES, LEADERBOARD, Sample, requested

EPILOG = """\
examples:
  %(prog)s
  %(prog)s --evaluate runs/mine --name "my tagger" --authors "A. Author" --link https://example.org --diagnose
  %(prog)s --evaluate trees --attacked-on jet_flavor_nominal
  %(prog)s --submit attacked.npz --tagger jet_flavor_nominal --author "B. Author"

Without --evaluate and --submit, README.md and leaderboard.html are made of the entries in --entries, as they are after both.

An entry is a tagger in one box, of one size, by default the physical one of ε = 0.01, on the first 4,000 test jets unless
told. A tagger is entered if its outputs are finite and the same each time, its gradients are not zero, and its forward pass
takes none. Boosted trees have no gradients: attacks that need them are made on the network of --attacked-on, random-search-N
asks the trees. A tagger is known again by its weights. Refused are attacks without a box, such as track-dropout and fake-track,
and noise, which does not look at the tagger.

Entries have a place if they met all attacks that are made without --attack and --objective, and have 100 resamples or more.
Further attacks may be added. Points of an attack of your own must lie in the box, like those of --submit.

Anybody's attacked jets lower an entry if they stay in its box. The file holds the array features, float32 (jets, features), of
the jets of the entry in their order:
  import numpy
  from kerastag import attacks, data, from_preset
  dataset = data.prepare("jet_flavor")
  box = attacks.Condition("apgd-100", 0.01).threat_model(dataset)
  jets, tagger = dataset.arrays("test").take(slice(4000)), from_preset("jet_flavor_nominal")
  attack = attacks.APGD(box, objective="BvL", steps=100)   # or one of your own
  numpy.savez("attacked.npz", features=attacks.attacked_features(tagger, jets.features, jets.y, attack))
Cells that must not move are equal to those of jets.features; ThreatModel.project makes the nearest point of the box of any.
"""

# Options of one way to call it alone, by their names here.
_OF_EVALUATE = (
    "name",
    "authors",
    "link",
    "certify",
    "variations",
    "other_seeds",
    "attacked_on",
    "relative_cap",
    "replicates",
    "split",
    "max_jets",
)
_OF_SUBMIT = ("tagger", "author")
# So few that random search and certificates take a minute; of entries that come along some of CMS alone have fewer.
_SAMPLE = Sample(max_jets=4000)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is to be done, of what, and where."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--evaluate",
        metavar="TAGGER",
        help="measure a tagger and enter it: run directory, .keras file, SavedModel, a name such as DeepCSV, hf://user/name, "
        "or trees, boosted trees that are trained for it",
    )
    what.add_argument(
        "--submit", type=Path, metavar="FILE", help="attacked jets, .npz, that take more from a tagger of the board"
    )
    parser.add_argument(
        "--entries",
        type=Path,
        default=Path("saved_models/leaderboard"),
        metavar="DIR",
        help="folder of the entries and of the page (default: %(default)s)",
    )
    entry = parser.add_argument_group("with --evaluate")
    entry.add_argument("--name", metavar="TEXT", help="what tables call the tagger (default: its own name)")
    entry.add_argument("--authors", metavar="TEXT", help="who made it")
    entry.add_argument("--link", metavar="URL", help="where to read of it")
    entry.add_argument("--diagnose", action="store_true", help="also look for signs that gradients are useless")
    entry.add_argument(
        "--certify",
        choices=CERTIFICATES,
        metavar="METHOD",
        help="also bound what any attack can do, inputs untied: crown or interval",
    )
    entry.add_argument(
        "--variations",
        type=Path,
        metavar="FOLDER",
        help="also measure changes under variations, files of simulate --split test",
    )
    entry.add_argument(
        "--other-seeds",
        nargs="+",
        metavar="DIR|SEED",
        help="run directories of further trainings that differ in the seed alone, for means and spreads over seeds; with "
        "--evaluate trees, whole numbers to train more with",
    )
    entry.add_argument(
        "--attacked-on",
        metavar="TAGGER",
        help="with --evaluate trees: network on which attacks are made that need gradients; random-search-N needs none",
    )
    entry.add_argument("--replicates", type=int, metavar="N", help="bootstrap resamples (default: 200)")
    entry.add_argument("--overwrite", action="store_true", help="replace the entry; a stronger attack of others on it is kept")
    submission = parser.add_argument_group("with --submit")
    submission.add_argument("--tagger", metavar="NAME", help="entry whose jets were attacked: its file without .json")
    submission.add_argument("--author", metavar="TEXT", help="who attacked them")
    cli.add_code_option(parser)
    add_fields(parser, _SAMPLE, unset=True)
    add_fields(parser, LEADERBOARD, unset=True)
    cli.add_cap_option(parser)


def main(options: argparse.Namespace) -> None:
    """Enter, submit or show."""
    _check(options)
    sample, grid = collect(_SAMPLE, options), requested(LEADERBOARD, options, caps=(options.relative_cap,))
    cli.load_tensorflow()

    from kerastag import runs

    if options.evaluate:
        numbers = {} if options.replicates is None else {"replicates": options.replicates}
        wanted = runs.Measurements(
            diagnose=options.diagnose,
            certify=options.certify,
            variations=options.variations,
            seeds=options.other_seeds or (),
            **numbers,
        )
        words = runs.Words(options.name, options.authors, options.link)
        where = {"attacked_on": options.attacked_on, "overwrite": options.overwrite}
        runs.enter(options.evaluate, sample, options.entries, grid, words, wanted, **where)
    elif options.submit:
        runs.submit(options.submit, options.tagger, options.author, sample, options.entries)
    else:
        runs.leaderboard(options.entries)


def _check(options: argparse.Namespace) -> None:
    """Refuse options that would not be looked at.

    Raises:
        UserError: if there is one, or one is missing.
    """
    of_evaluate = [_flag(name) for name in _OF_EVALUATE if getattr(options, name) is not None] + given(LEADERBOARD, options)
    of_evaluate += [_flag(name) for name in ("diagnose", "overwrite") if getattr(options, name)]
    of_submit = [_flag(name) for name in _OF_SUBMIT if getattr(options, name) is not None]
    if of_evaluate and not options.evaluate:
        raise UserError(f"{of_evaluate[0]} needs --evaluate TAGGER; a submission has the jets and the box of its entry.")
    if of_submit and not options.submit:
        raise UserError(f"{of_submit[0]} needs --submit FILE.")
    if options.submit and len(of_submit) < len(_OF_SUBMIT):
        raise UserError("--submit needs --tagger NAME, whose jets were attacked, and --author TEXT, who did.")
    if (of_data := given(Sample(), options)) and not (options.evaluate or options.submit):
        raise UserError(f"{of_data[0]} needs --evaluate TAGGER or --submit FILE.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
