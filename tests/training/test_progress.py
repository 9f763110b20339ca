"""Lines of a training on the terminal."""

import keras
import numpy as np

from kerastag.training.progress import COLUMNS, EpochLines, line

LOGS = {"loss": 0.64271, "val_BvL_auc": 0.94609, "val_CvL_auc": 0.77, "val_cross_entropy": 0.6, "val_BvL_auc_fgsm": 0.93662}


def test_a_line_holds_the_main_areas_and_fits():
    assert line("Epoch  5/30", 12.34, LOGS, "BvL") == "Epoch  5/30  12.3 s  loss 0.6427  BvL 0.9461  fgsm 0.9366"
    many = LOGS | {f"val_BvL_auc_fgsm_{size:g}": 0.9 for size in np.linspace(0.01, 0.2, 20)}
    assert 80 < len(line("Epoch  5/30", 12.34, many, "BvL")) <= COLUMNS
    assert line("Epoch 1/2", 0.5, {"loss": 1.0}, "BvL") == "Epoch 1/2   0.5 s  loss 1.0000"


def test_a_training_prints_a_line_an_epoch(capsys):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.zeros((8, 2)), np.zeros(8), epochs=3, batch_size=2, callbacks=[EpochLines("BvL")], verbose=0)
    lines = capsys.readouterr().out.splitlines()
    assert [text[:9] for text in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert all("loss 0.0000" in text for text in lines)
