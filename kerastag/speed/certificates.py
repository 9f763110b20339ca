"""Certificates of test jets, against the matrix products of a forward pass."""

import functools
from collections.abc import Iterator

from kerastag.attacks import Condition
from kerastag.data import JetDataset
from kerastag.evaluation.certified import Certifier
from kerastag.recipes import Settings
from kerastag.request import CERTIFICATES, EPSILON, Physics
from kerastag.speed.clock import Clock
from kerastag.speed.products import FORWARD, Products
from kerastag.speed.rows import Row
from kerastag.speed.steps import Network
from kerastag.training import fitting

# Jets that are certified in a turn, and the number of which the time is given, that of a usual test split.
_JETS, _MANY = 2_000, 20_000


def rows(dataset: JetDataset, network: Network, clock: Clock) -> Iterator[Row]:
    """Speeds of limits of the main discriminator by each method, in the physical box without ties, all measured in turns.

    Args:
        dataset: Whose first test jets are certified.
        network: Whose outputs are bounded; time does not depend on what it has learnt.
        clock: How to measure.
    """
    tagger = fitting.build_tagger(Settings.resolve({"recipe": network.recipe}), dataset)
    jets = dataset.arrays("test").take(slice(_JETS))
    box = Condition("fgsm", EPSILON, physics=Physics(untied=True)).threat_model(dataset)
    products = Products(tagger, len(jets))
    actions = {
        method: functools.partial(Certifier(tagger, dataset.schema.main, method), jets, box)
        for method in reversed(CERTIFICATES)
    }
    measured = clock.in_turns(actions | products.actions(FORWARD))
    limit = len(jets) / products.seconds(FORWARD, measured)
    for method in actions:
        speed = len(jets) / measured[method]
        yield {
            "what": f"{network.model}: {'CROWN' if method == 'crown' else 'intervals'}",
            "jets/s": speed,
            "20,000 jets, s": _MANY / speed,
            "limit, jets/s": limit,
            "time / limit": limit / speed,
            "limited by": "the matrix products of a forward pass",
        }
