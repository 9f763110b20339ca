"""Under what taggers are evaluated: clean jets, or an attack or distortion of a size."""

import dataclasses
import itertools
from collections.abc import Iterator

from kerastag.attacks.base import Attack
from kerastag.attacks.threat_model import ThreatModel
from kerastag.catalogue import ATTACKS, Entry, make_own, own
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.request import PHYSICS, AttackGrid, Physics


@dataclasses.dataclass(frozen=True)
class Condition:
    """What jets go through before a tagger sees them.

    Attributes:
        attack: Name in the catalogue of attacks, or "module:Class" of the user's own; None for clean jets.
        epsilon: Size of the attack, in units of the scale.
        cap: Largest change relative to each value; None for none.
        objective: What an attack increases, as of `Attack`; "margin", for each discriminator its own margin; or
            "module:function" of the user's own.
        scale: Name in the catalogue of scales.
        only: Names or patterns of the features that may move; none for all.
        physics: Which rules it obeys.

    Raises:
        UserError: if it has a scale and a budget.
    """

    attack: str | None = None
    epsilon: float = 0.0
    cap: float | None = None
    objective: str = "cross_entropy"
    scale: str = "sigma"
    only: tuple[str, ...] = ()
    physics: Physics = PHYSICS

    def __post_init__(self) -> None:
        if self.physics.budget is not None and self.scale != "sigma":
            raise UserError(f"The budget '{self.physics.budget}' is in physical units; leave --scale out.")

    @property
    def _entry(self) -> Entry | None:
        return None if self.attack is None else ATTACKS.find(self.attack)

    @property
    def is_clean(self) -> bool:
        """Whether jets stay as they are."""
        return self.attack is None

    @property
    def is_attack(self) -> bool:
        """Whether it looks at the tagger, as a distortion does not."""
        return self._entry is not None and self._entry.looks

    @property
    def sized(self) -> bool:
        """Whether it has a box whose size is ε."""
        return self._entry is not None and self._entry.sized and self._entry.looks

    @property
    def box_label(self) -> str:
        """Name of its box: the label without the attack."""
        return self.label.removeprefix(self.title).strip()

    @property
    def title(self) -> str:
        """Name for tables and legends, without size and cap."""
        if self.attack is None or self._entry is None:
            return "clean"
        name = self._entry.titled(self.attack)
        return name if self.objective == "cross_entropy" or not self._entry.looks else f"{name} on {self.objective}"

    @property
    def label(self) -> str:
        """Name with everything that differs from the usual."""
        features = f" only {', '.join(self.only)}" if self.only else ""
        physics = f" {self.physics.label}" if self.physics.label else ""
        if self._entry is None or not self._entry.sized:
            # A track is lost or made up whatever the box is; values are exchanged in what may move.
            return self.title if self._entry is None or self._entry.looks else f"{self.title}{physics}{features}"
        cap = "" if self.cap is None else f" cap {100 * self.cap:g}%"
        unit = "" if self.scale == "sigma" or self.physics.budget else f" {self.scale}"
        return f"{self.title} ε={self.epsilon:g}{unit}{physics}{cap}{features}"

    def aimed_at(self, discriminator: str) -> "Condition":
        """The attack for a column of a table: on the margin of this discriminator, if the objective is "margin"."""
        return dataclasses.replace(self, objective=discriminator) if self.objective == "margin" else self

    def threat_model(self, dataset: JetDataset) -> ThreatModel:
        """The box around the jets of a data set.

        Raises:
            UserError: if ε or the cap is out of range, or a pattern matches no feature.
        """
        scale = dataset.scale(self.scale)
        return ThreatModel.from_schema(dataset.schema, scale, self.epsilon, self.cap, only=self.only, physics=self.physics)

    def build(self, dataset: JetDataset, seed: int = 0) -> Attack | None:
        """The attack on the jets of a data set; None for clean jets.

        Args:
            dataset: Data set of the jets.
            seed: Seed of random starts and of noise.

        Raises:
            UserError: if there is no such attack or objective, and as `threat_model`.
        """
        return None if self.is_clean else self.build_attack(dataset, seed)

    def build_attack(self, dataset: JetDataset, seed: int = 0, threat_model: ThreatModel | None = None) -> Attack:
        """The attack of a condition that is not that of clean jets, within another box if one is given; the rest as `build`."""
        threat_model = threat_model or self.threat_model(dataset)
        objective = own(self.objective, "objective") if ":" in self.objective else self.objective
        if ":" in str(self.attack):
            return make_own(str(self.attack), "attack", Attack, threat_model, objective=objective, seed=seed)
        return ATTACKS.build(str(self.attack), threat_model, objective=objective, seed=seed, dataset=dataset)


CLEAN = Condition()


def conditions(grid: AttackGrid) -> list[Condition]:
    """Clean jets, then each attack for each cap and ε."""
    return [CLEAN, *_attacked(grid)]


def _attacked(grid: AttackGrid) -> Iterator[Condition]:
    for cap in grid.caps:
        for epsilon in grid.epsilons:
            for objective, attack in itertools.product(grid.objectives, grid.attacks):
                # A distortion looks at no objective, and a lost track has no size, so once is enough.
                entry, first = ATTACKS.find(attack), (grid.caps[0], grid.epsilons[0])
                once = entry.looks or objective == grid.objectives[0]
                if once and (entry.sized or (cap, epsilon) == first):
                    yield Condition(attack, epsilon, cap, objective, grid.scale, grid.only, grid.physics)
