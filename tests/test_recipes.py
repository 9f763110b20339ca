import argparse

import keras
import numpy as np
import pytest

from kerastag import options
from kerastag.errors import UserError
from kerastag.recipes import RECIPES, Settings, read_toml
from kerastag.request import COMPARISON, PAPER, PHYSICS, PHYSICS_OPTIONS, requested
from kerastag.training.assembly import make_optimizer


def test_options_override_recipe():
    settings = Settings.resolve({"recipe": "paper", "epochs": 3, "defense": "trades", "epsilon": 1, "weights": None})
    assert settings.hyperparameters.epochs == 3
    assert settings.hyperparameters.weights == "uniform"
    assert settings.hyperparameters.loss == "double_softmax_focal"
    assert settings.epsilon == 1.0 and settings.defense == "trades"


def test_a_batch_size_that_is_asked_for_does_not_shrink():
    assert RECIPES["default"].fixed_steps > 0
    assert Settings.resolve({"batch_size": 300}).hyperparameters.fixed_steps == 0
    stored = Settings.resolve({}).to_dict()
    assert Settings.resolve(stored).hyperparameters == RECIPES["default"]


def test_flat_dictionary_and_back():
    settings = Settings.resolve({"recipe": "paper", "epochs": 3, "relative_cap": 0.2})
    assert Settings.resolve(settings.to_dict()) == settings


@pytest.mark.parametrize(
    "options",
    [
        {"epsilonn": 0.1},
        {"recipe": "best"},
        {"epochs": 0},
        {"epochs": "many"},
        {"defense": "cw"},
        {"defense": "pgd-0"},
        {"patience": 3},
        {"ema": 1.5},
        {"every": 0},
        {"every": 2},
        {"ramp_epochs": 2, "defense": "input-gradient"},
        {"attack_mode": "training", "defense": "trades"},
        {"beta": 2.0, "defense": "fgsm"},
        {"rho": 0.1, "defense": "fgsm"},
        {"rho": -0.1, "defense": "sam"},
        {"weights": "fine"},
        {"random_epsilon": 1},
        {"only": "track"},
        {"learning_rate": True},
        {"epsilon": 1e300},
        {"epsilon": 1e-300},
        {"monitor": [0.01, 1e39]},
    ],
)
def test_mistakes_are_named(options):
    with pytest.raises(
        UserError, match=f"'{next(iter(options.values()))}'|'{next(iter(options))}'|--{next(iter(options))} (must be|is too)"
    ):
        Settings.resolve(options)


def test_toml_files(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('recipe = "paper"\nbatch-size = 10\ndefense = "fgsm"\nonly = ["track_*"]\n')
    settings = Settings.resolve(read_toml(path))
    assert settings.hyperparameters.batch_size == 10 and settings.defense == "fgsm" and settings.only == ("track_*",)
    path.write_text("epochs = = 3")
    with pytest.raises(UserError, match=r"run\.toml' is not valid TOML"):
        read_toml(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_toml(tmp_path / "none.toml")


def test_paper_rate_falls_with_the_epoch():
    rate = make_optimizer(RECIPES["paper"], steps_per_epoch=10)._learning_rate
    for epoch in (0, 1, 30, 200):
        for step in (0, 9):
            assert float(rate(epoch * 10 + step)) == pytest.approx(1e-4 / (1 + epoch / 30), rel=1e-5)


def test_what_the_recipe_says_of_adam_epsilon():
    """Keras at step 1 with gradient g moves by lr·g/(|g| + ε/sqrt(1 - β₂)): ε counts 32 times."""
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = keras.optimizers.Adam(1.0, epsilon=1e-8)
    optimizer.build([variable])
    gradient = 1e-6
    optimizer.apply([np.full(1, gradient, np.float32)])
    assert float(-variable[0]) == pytest.approx(gradient / (gradient + 1e-8 / np.sqrt(1 - 0.999)), rel=1e-3)


@pytest.mark.parametrize(
    ("given", "sizes"), [([], (0.01, 0.05)), (["--budget", "x"], (1.0,)), (["--budget", "x", "--epsilon", "0.01"], (0.01,))]
)
def test_a_budget_counts_once_unless_a_multiple_is_given(given, sizes):
    parser = argparse.ArgumentParser()
    options.add_options(parser, COMPARISON, unset=True)
    assert requested(COMPARISON, parser.parse_args(given)).epsilons == sizes
    assert Settings.resolve({"budget": "x"}).epsilon == 1.0 and Settings.resolve({"budget": "x", "epsilon": 2}).epsilon == 2.0


def test_runs_of_older_versions_had_the_papers_box():
    old = {name: value for name, value in Settings().to_dict().items() if name not in PHYSICS_OPTIONS}
    assert Settings.stored(old).physics == PAPER and Settings.stored(Settings().to_dict()).physics == PHYSICS


def test_a_model_that_does_not_exist_is_said_before_the_data_are_read():
    with pytest.raises(UserError, match="There is no model 'particle_net_light'; choose one of mlp, "):
        Settings.resolve({"model": "particle_net_light"})
    assert Settings.resolve({"model": "mine:network"}).hyperparameters.model == "mine:network"
