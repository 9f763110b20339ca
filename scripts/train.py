"""Train a jet tagger, nominally or on attacked jets, and evaluate it clean and attacked."""

import argparse
import json
import sys
from pathlib import Path

try:
    from kerastag.cli import load_tensorflow, run
    from kerastag.recipes import DEFENSES, RECIPES, Settings, read_toml
    from kerastag.schema import DEFAULT, SCHEMAS
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
examples:
  train.py                                                                nominal training on simulated jets
  train.py --adversarial                                                  on jets attacked with FGSM, ε = 0.01
  train.py --config deepntuple --manual-dir ROOT_FILES                    on CMS ntuples of your own
  train.py --defense pgd-7 --epsilon 0.05 --relative-cap 0.2              a stronger attack, within 20 % of each value
  train.py --output runs/mine --resume                                    go on where a killed run stopped

The data set is built with TFDS if it is not there. The run directory then holds the tagger (tagger.keras and saved_model/),
history.csv, metrics.json, figures/ and everything needed to resume. Settings in a TOML file have the names of the options.
"""


def parser() -> argparse.ArgumentParser:
    """The command line; options that are not given are None, so that files and recipes can speak."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument_group("data").add_argument
    add("--config", metavar="NAME", help=f"data set: {', '.join(SCHEMAS)} (default: {DEFAULT})")
    add(
        "--manual-dir",
        metavar="DIR",
        help="folder of ROOT files to build the data set from (default: the sample that comes along)",
    )
    add("--data-dir", metavar="DIR", help="folder where TFDS keeps data sets (default: ~/tensorflow_datasets)")
    add = made.add_argument_group("attack and defence").add_argument
    add("--defense", metavar="NAME", help="; ".join(f"{name}: {what}" for name, what in DEFENSES.items()) + "; pgd-N: N steps")
    add("--adversarial", dest="defense", action="store_const", const="fgsm", help="the same as --defense fgsm")
    add("--epsilon", type=float, metavar="E", help="size of the attack in units of --scale (default: 0.01)")
    add("--scale", choices=("sigma", "core"), help="σ of the feature, or of its core, 20 to 80 %% (default: sigma)")
    add("--relative-cap", type=float, metavar="SHARE", help="largest change relative to each value (default: none)")
    add("--only", nargs="+", metavar="NAME", help="features that attacks may move, with * (default: all)")
    add("--attack", metavar="NAME", help="attack at each epoch: fgsm (default), pgd-N, apgd-N, ngm, noise, …")
    add("--attack-objective", metavar="NAME", help="what attacks increase (default: cross_entropy)")
    add("--attack-mode", choices=("inference", "training"), help="mode of the attacked network (default: inference)")
    add("--monitor", type=float, nargs="+", metavar="E", help="further sizes of the attack to evaluate at each epoch")
    add("--every", type=int, metavar="N", help="attack every N-th batch alone")
    add("--warmup-epochs", type=int, metavar="N", help="epochs without an attack")
    add("--ramp-epochs", type=int, metavar="N", help="epochs in which ε rises behind them")
    add("--random-epsilon", action="store_true", default=None, help="each batch draws its ε between 0 and the full one")
    add("--beta", type=float, metavar="B", help="weight of the second term of TRADES (default: 3)")
    add = made.add_argument_group("training").add_argument
    add("--recipe", choices=tuple(RECIPES), help="hyper-parameters (default: default)")
    add(
        "--model",
        metavar="NAME",
        help="mlp (default), deep_sets (for few jets), paper_mlp, or your own module:function(schema, statistics)",
    )
    add("--inputs", nargs="+", metavar="GROUP", help="groups that the tagger sees, such as: jet track:2 (default: all)")
    add("--epochs", type=int, metavar="N")
    add("--batch-size", type=int, metavar="N")
    add("--learning-rate", type=float, metavar="RATE")
    add("--weights", choices=("none", "uniform", "variable"), help="(pT, η) weights and their binning")
    add("--select", metavar="LOG", help="'last' epoch (default), or the best by a log: val_BvL_auc, val_BvL_auc_fgsm, …")
    add("--patience", type=int, metavar="N", help="stop after N epochs in which --select found nothing better")
    add("--ema", type=float, metavar="MOMENTUM", help="average the weights over steps, such as 0.999")
    add("--seed", type=int, metavar="N", help="of weights, dropout, order and attack (default: 0)")
    add("--jit", choices=("auto", "on", "off"), help="XLA (default: auto, on a GPU only)")
    add = made.add_argument_group("run").add_argument
    add("--output", type=Path, metavar="DIR", help="run directory (default: runs/<config>-<defence>)")
    add("--resume", action="store_true", help="continue the run in --output")
    add("--settings", type=Path, metavar="FILE", help="TOML file of settings; options override it")
    return made


def main() -> None:
    """Parse, train, report."""
    options = vars(parser().parse_args())
    output, resume, file = (options.pop(name) for name in ("output", "resume", "settings"))
    given = (read_toml(file) if file else {}) | {name: value for name, value in options.items() if value is not None}
    settings = Settings.resolve(given)
    output = output or Path("runs") / f"{settings.config}-{settings.defense}"
    if resume and (output / "config.json").is_file():
        settings = Settings.resolve(json.loads((output / "config.json").read_text())["settings"] | given)

    load_tensorflow()

    from kerastag.runs import train as experiment

    experiment.run(settings, output, resume)


if __name__ == "__main__":
    run(main)
