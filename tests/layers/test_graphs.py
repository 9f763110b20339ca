"""Graphs that run as they were traced."""

import pytest
import tensorflow as tf

from kerastag.layers import graphs


def rewritten():
    return not tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)


@pytest.mark.parametrize(("jets", "few"), [(1, True), (graphs._MANY - 1, True), (graphs._MANY, False)])
def test_graphs_for_few_jets_are_not_rewritten_and_others_are_as_before(jets, few):
    assert rewritten()
    with graphs.as_traced(jets):
        assert rewritten() != few
    assert rewritten()


def test_what_the_user_has_set_comes_back_also_after_an_error():
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        with pytest.raises(KeyError), graphs.as_traced(graphs._MANY):
            assert not rewritten()
            raise KeyError
        assert not rewritten()
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def test_results_are_the_same_to_rounding():
    table = tf.random.normal((50, 4))

    @tf.function
    def loop(x):
        return tf.while_loop(
            lambda _: True, lambda x: (tf.tanh(x @ tf.transpose(table) @ table / 50 + 1.0),), (x,), maximum_iterations=9
        )[0]

    plain = loop(table)
    with graphs.as_traced(50):
        tf.debugging.assert_near(loop(table), plain, rtol=1e-5)
