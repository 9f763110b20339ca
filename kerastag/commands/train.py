"""Train a jet tagger, nominally or on attacked jets, and evaluate it clean and attacked."""

import argparse
from pathlib import Path
from typing import Any

from kerastag.catalogue import STRATEGIES
from kerastag.cli import load_tensorflow
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.recipes import FOLDERS, Recipe, Settings, read_toml, run_config

EPILOG = """\
examples:
  %(prog)s                                                    nominal training on simulated jets
  %(prog)s --adversarial                                      on jets attacked with FGSM, ε = 0.01
  %(prog)s --config deepntuple --manual-dir ROOT_FILES        on CMS ntuples of your own
  %(prog)s --schema mine.toml --manual-dir ROOT_FILES         on jets of any kind, described as kerastag inspect shows
  %(prog)s --defense pgd-7 --epsilon 0.05 --relative-cap 0.2  a stronger attack, within 20 %% of each value
  %(prog)s --defense variations --variations varied           on variations, made by the line below
  %(prog)s --output runs/mine --resume                        go on where a killed run stopped

  kerastag simulate --split train --variation nominal uncertainties --output varied

The data set is built with TFDS if it is not there. The run directory then holds the tagger (tagger.keras and saved_model/),
history.csv, metrics.json, figures/ and everything needed to resume. Settings in a TOML file have the names of the options.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; those that are not given are None, so that files and recipes can speak."""
    add_fields(parser, Settings(), unset=True)
    add_fields(parser, Recipe(), unset=True)
    parser.add_argument("--adversarial", action="store_true", default=None, help="the same as --defense fgsm")
    add = parser.add_argument_group("run").add_argument
    add("--output", type=Path, metavar="DIR", help="run directory (default: runs/<config>-<defence>)")
    add("--resume", action="store_true", help="continue the run in --output; folders of data are not taken from it")
    add("--settings", type=Path, metavar="FILE", help="TOML file of settings; options override it")
    add("--strategy", metavar="NAME", default="auto", help=f"devices: {STRATEGIES.help} (default: %(default)s)")


def main(options: argparse.Namespace) -> None:
    """Train, evaluate, export."""
    given = vars(options).copy()
    if given.pop("adversarial"):
        if given["defense"] not in (None, "fgsm"):
            raise UserError(f"--adversarial is --defense fgsm; leave it out with --defense {given['defense']}.")
        given["defense"] = "fgsm"
    output, resume, file, strategy = (given.pop(name) for name in ("output", "resume", "settings", "strategy"))
    given = (read_toml(file) if file else {}) | {name: value for name, value in given.items() if value is not None}
    jets = Path(given["schema"]).stem if "schema" in given else given.get("config", Settings.config)
    output = output or Path("runs") / f"{jets}-{given.get('defense', Settings.defense)}"
    if resume and (output / "config.json").is_file():
        given = _of_run(output, given)
    settings = Settings.resolve(given)
    STRATEGIES.find(strategy)
    load_tensorflow(look_for_gpus=False)

    from kerastag import runs
    from kerastag.training import distribution

    runs.train(settings, output, resume, distribution.find(strategy))


def _of_run(output: Path, given: dict[str, Any]) -> dict[str, Any]:
    """What a run was started with, overridden by what is given; but whose run it was does not decide what is read or called.

    Raises:
        UserError: if its model, attack, objective or defence is code that is not named here.
    """
    stored = run_config(output)["settings"].to_dict()
    for name in ("model", "attack", "attack_objective", "defense"):
        if ":" in stored[name] and name not in given:
            kind, flag = name.replace("_", " ").replace("defense", "defence"), name.replace("_", "-")
            raise UserError(
                f"The run in '{output}' has a {kind} of its own; say with --{flag} {stored[name]} that it may be called."
            )
    return {name: value for name, value in stored.items() if name not in FOLDERS} | given
