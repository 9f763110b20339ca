"""What TensorBoard is told of a training."""

from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import plugin_data_pb2

from kerastag.recipes import Settings
from kerastag.training import board


def test_trainings_are_compared_by_defence_size_and_seed(tmp_path):
    settings = Settings.resolve({"defense": "pgd-7", "epsilon": 0.02, "seed": 3, "data_dir": "/of/one/machine"})
    callback = board.hyperparameters(settings, tmp_path)
    callback.set_model(None)
    callback.on_train_begin()
    callback.on_train_end()
    content = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    metadata = content.SummaryMetadata(".", "_hparams_/session_start_info").plugin_data.content
    shown = plugin_data_pb2.HParamsPluginData.FromString(metadata).session_start_info.hparams
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in shown.items()}
    assert {name: values[name] for name in ("defense", "epsilon", "seed")} == {"defense": "pgd-7", "epsilon": 0.02, "seed": 3}
    assert "data_dir" not in values
