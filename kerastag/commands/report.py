"""The robustness report: one page with every figure and number of taggers under attack, with uncertainties."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import ReportOptions, Sample, requested

EPILOG = """\
examples:
  %(prog)s nominal=saved_models/jet_flavor_nominal adversarial=saved_models/jet_flavor_adversarial --output report
  %(prog)s nominal=study/nominal-seed{0,1,2} adversarial=study/trained_at_0.01-seed{0,1,2} --output report
  %(prog)s saved_models/deepcsv_nominal saved_models/deepcsv_adversarial DeepCSV --config deepcsv --output report_deepcsv
  %(prog)s RobustParTAK4 RobustParTAK4-ngm --config particle_transformer_ak4 --manual-dir candidates --split all \\
      --scale core --epsilon 0.05 --max-jets 1000 --output report_pair
  %(prog)s nominal=architectures/mlp-nominal-seed{0,1,2} adversarial=architectures/mlp-adversarial-seed{0,1,2} \\
      --study architectures --output report

The fourth is the report on CMS's pair, trained nominally and adversarially. Its jets are made by kerastag simulate
--candidates --output candidates/jets.root. The last takes in what study --models has written, and answers whether more
structure is more vulnerable. The first tagger is the one that others are compared with; a name that is given several times
stands for seeds of one training. A report that was interrupted goes on where it stopped when it is started again: what was
computed from the same taggers, jets and settings is used as it is. Two taggers on the sample that comes along take a quarter
of an hour of one core.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add taggers, jets, what the report shows, and output."""
    cli.add_tagger_argument(parser)
    add_fields(parser, Sample())
    add_fields(parser, ReportOptions(), unset=True)
    parser.add_argument("--scan", type=Path, metavar="DIR", help="folder of scan_inputs, to be taken in")
    parser.add_argument("--systematics", type=Path, metavar="DIR", help="folder of systematics, to be taken in")
    parser.add_argument("--study", type=Path, metavar="DIR", help="folder of study --models, to be taken in")
    cli.add_output_options(parser)


def main(options: argparse.Namespace) -> None:
    """Make the report."""
    cli.check_output(options, "report", "report.html")
    sample, report_options = collect(Sample(), options), requested(ReportOptions(), options)
    cli.load_tensorflow()

    from kerastag import runs

    runs.report(options.taggers, sample, options.output, report_options, options.scan, options.systematics, options.study)
