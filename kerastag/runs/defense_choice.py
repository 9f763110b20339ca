"""Which defence to choose: what each withstands, what is certain, how it bears mismodelling, and what it costs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from kerastag import plots, tables
from kerastag.attacks import Condition
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.calibration import expected_calibration_error
from kerastag.evaluation.certified import Certifier
from kerastag.evaluation.taggers import TREES, Tagger
from kerastag.files import read_json, write_json
from kerastag.jets import Jets
from kerastag.request import EPSILON, PHYSICS, Method, Physics
from kerastag.results import Seeds, plain
from kerastag.runs.varied_samples import VariedSamples, area_of

# Of a training the quantities by name, and of rows the same over seeds.
Quantities = dict[str, float]
CLEAN, ATTACKED, CERTIFIED = "clean", "strongest attack", "certified, untied"
ATTACKED_UNTIED, MEAN, WORST = "strongest attack, untied", "mean change", "worst change"
CALIBRATION, TIME = "calibration error", "time / nominal"
_COLUMNS = (CLEAN, ATTACKED, ATTACKED_UNTIED, CERTIFIED, MEAN, WORST, CALIBRATION, TIME)
# What is better when it is larger; the rest is better when it is small.
_LARGER = (CLEAN, ATTACKED, ATTACKED_UNTIED, CERTIFIED)
RESULT = "choice.json"


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is measured of each tagger beside its areas under attack.

    Attributes:
        dataset: Data set of the jets.
        jets: Jets that are attacked.
        physics: Which rules attacks obey.
        method: How certificates are made, in the box without ties; None for none.
        varied: The test jets under simulated variations, all that files have; None for none.
        scale: Unit of ε.
    """

    dataset: JetDataset
    jets: Jets
    physics: Physics = PHYSICS
    method: Method | None = None
    varied: VariedSamples | None = None
    scale: str = "sigma"

    @property
    def _made_of(self) -> dict:
        """What the quantities depend on beside the tagger."""
        return plain(
            {
                "fingerprint": self.dataset.fingerprint,
                "jets": len(self.jets),
                "attack": self._attack,
                "method": self.method,
                "variations": None if self.varied is None else self.varied.digests,
            }
        )

    @property
    def _attack(self) -> Condition:
        """The attack beside certificates, in the same box."""
        untied = dataclasses.replace(self.physics, untied=True)
        aim = self.dataset.schema.main.name
        return Condition("apgd-20", EPSILON, objective=aim, scale=self.scale, physics=untied)

    def kept(self, file: Path, of: Mapping[str, str], make: Callable[[], Tagger]) -> Quantities:
        """Quantities of a tagger, read back if they were measured `of` the same."""
        made_of = self._made_of | dict(of)
        if file.is_file() and (stored := read_json(file, {"made_of": dict, "quantities": dict}))["made_of"] == made_of:
            return stored["quantities"]
        quantities = self.measure(make())
        if self.method is None or CERTIFIED in quantities:  # a rule for a layer may come later
            write_json(file, {"made_of": made_of, "quantities": quantities})
        return quantities

    def measure(self, tagger: Tagger) -> Quantities:
        """Quantities of a tagger."""
        jets = self.jets
        quantities: Quantities = {}
        if self.method is not None and tagger.name != TREES:
            quantities |= self._certified(tagger, self.method)
        if self.varied is not None:
            changes = np.abs(list(self.varied.changes(tagger.logits, self.dataset.schema.main).values()))
            quantities |= {MEAN: float(changes.mean()), WORST: float(changes.max())}
        probabilities = softmax(tagger.logits(jets.features).astype(np.float64), axis=1)
        correct = probabilities.argmax(axis=1) == jets.label
        error = expected_calibration_error(probabilities.max(axis=1), correct, jets.weights)
        return quantities | {CALIBRATION: error}

    def _certified(self, tagger: Tagger, method: Method) -> Quantities:
        """Areas in the box without ties, under attack and certified; nothing where there is no certificate."""
        jets, main = self.jets, self.dataset.schema.main
        attack = self._attack.build_attack(self.dataset)
        try:
            worst = Certifier(tagger.attacked, main, method)(jets, attack.threat_model)
        except UserError as error:
            print(f"{tagger.name} has no certificate. {error}")
            return {}
        attacked = area_of(jets, tagger.logits(tagger.under(attack, jets)), main)
        return {ATTACKED_UNTIED: attacked, CERTIFIED: area_of(jets, worst, main)}


def write_choice(results: Mapping[str, Sequence[Quantities]], speeds: Mapping[str, float], title: str, output: Path) -> str:
    """Write numbers and figure, and return table and sentences.

    Args:
        results: Of each row the quantities of its trainings.
        speeds: Jets/s of a training step, by row.
        title: What was measured.
        output: Folder.
    """
    rows = {name: _over_seeds(of_seeds) for name, of_seeds in results.items()}
    if "nominal" in speeds:
        for name in rows.keys() & speeds.keys():
            rows[name][TIME] = Seeds((speeds["nominal"] / speeds[name],))
    names = [name for name in _COLUMNS if any(name in row for row in rows.values())]
    cells = [
        [name, str(len(results[name])), *(_cell(quantity, row.get(quantity)) for quantity in names)]
        for name, row in rows.items()
    ]
    sentences = [said for quantity in (ATTACKED, CERTIFIED, WORST) if (said := best(rows, quantity))]
    text = "\n\n".join([title, tables.markdown(["defence", "seeds", *names], cells), *sentences]) + "\n"
    write_json(output / "choice.json", {"rows": rows})
    figure = plots.defenses([{"defence": name, **row} for name, row in rows.items()], names, ATTACKED, title)
    plots.save(figure[0], output / "choice.png", output / "choice.pdf")
    return text


def _over_seeds(of_seeds: Sequence[Quantities]) -> dict[str, Seeds]:
    return {name: Seeds(tuple(one[name] for one in of_seeds)) for name in of_seeds[0]}


def _cell(quantity: str, value: Seeds | None) -> str:
    if value is None:
        return ""
    return f"{value.mean:.1f}" if quantity == TIME else str(value)


def best(rows: Mapping[str, Mapping[str, Seeds]], quantity: str) -> str | None:
    """A sentence: which row is best in a quantity, and which is the cheapest within errors of it.

    Errors are those of the mean over seeds; a row of one seed has none, and is left out where others have several. Boosted
    trees are left out: they meet no attack of their own. What was not timed cannot be the cheapest.
    """
    of_networks = {name: row for name, row in rows.items() if name != TREES and quantity in row}
    several = {name: row for name, row in of_networks.items() if len(row[quantity].values) > 1}
    found = several or of_networks
    if not found:
        return None
    sign = 1 if quantity in _LARGER else -1
    first = max(found, key=lambda name: sign * found[name][quantity].mean)
    if not several:
        return f"Best by *{quantity}*: {first} ({found[first][quantity]}), of one seed each, so without errors."

    def within(name: str) -> bool:
        ours, theirs = found[first][quantity], found[name][quantity]
        return abs(ours.mean - theirs.mean) <= 2 * np.hypot(_error(ours), _error(theirs))

    timed = [name for name in found if TIME in found[name] and within(name)]
    cheapest = min(timed, key=lambda name: found[name][TIME].mean, default=first)
    rest = "no cheaper one is" if cheapest == first else f"{cheapest} ({found[cheapest][quantity]}) is the cheapest"
    only = "" if len(found) == len(of_networks) else " Rows of one seed are left out."
    return f"Best by *{quantity}*: {first} ({found[first][quantity]}); {rest} within two standard errors of it.{only}"


def _error(seeds: Seeds) -> float:
    """Error of the mean over seeds; 0 for a single one."""
    return 0.0 if seeds.spread is None else seeds.spread / len(seeds.values) ** 0.5
