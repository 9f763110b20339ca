import keras
import pytest

from kerastag.layers.memory import jets_at_once


@pytest.mark.parametrize(("width", "jets"), [(8, 8192), (2**20, 2**31 // (24 * (2**20 + 3 + 10)))])
def test_a_network_of_large_outputs_takes_fewer_jets(width, jets):
    inputs = keras.Input((10,))
    hidden = keras.layers.Dense(1)(inputs)
    wide = keras.layers.UpSampling1D(width)(keras.layers.Reshape((1, 1))(hidden))
    pooled = keras.layers.GlobalAveragePooling1D()(wide)
    network = keras.Model(inputs, pooled)
    assert jets_at_once(network) == jets
    again = keras.Input((10,))
    around = keras.Model(again, network(again))
    assert jets_at_once(around) == pytest.approx(jets, rel=1e-4)


def test_a_network_that_keras_knows_nothing_of_counts_as_small():
    class Own(keras.Model):
        def call(self, x):
            return x

    assert jets_at_once(Own()) == 8192
