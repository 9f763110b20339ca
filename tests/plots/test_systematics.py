import numpy as np

from kerastag import plots
from kerastag.results import Interval, NotDefined


def test_every_tagger_is_a_point_of_its_own_look():
    """More taggers than colours; one whose change is not defined has no point."""
    names = [f"tagger {number}" for number in range(12)]
    rows = [
        {
            "tagger": name,
            "attack": attack,
            "variations": group,
            "loss": Interval.around(0.01 * (number + 1), 0.001),
            "change": NotDefined("few jets") if number == 11 else Interval.around(0.001 * number, 0.0002),
        }
        for attack in ("FGSM", "FGSM paper's box")
        for group in ("detector", "physics")
        for number, name in enumerate(names)
    ]
    correlations = [
        {"attack": "FGSM", "variations": "detector", "correlation": Interval.around(0.5, 0.2), "p": 0.04},
        {"attack": "FGSM", "variations": "physics", "correlation": NotDefined("fewer than 4 taggers"), "p": NotDefined("")},
    ]
    figure, axes = plots.attack_against_variations(rows, correlations, "toy")
    assert axes.shape == (2, 2)
    assert "0.50 [+0.30, +0.70]" in axes[0, 0].get_title()
    assert "not defined" in axes[1, 0].get_title()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    assert labels == names[:11]
    looks = {(handle[0].get_color(), handle[0].get_marker()) for handle in handles}
    assert len(looks) == 11
    np.testing.assert_allclose(np.asarray(handles[3][0].get_data(), float), [[0.04], [0.003]])
    plots.style.plt.close(figure)
