"""`.keras` files that run code, reach other files, or fill memory and disk, among them Keras' five public holes."""

import inspect
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import kerastag
from kerastag import FGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.saving.archive import CODE_OR_FILES


@pytest.fixture
def file(tmp_path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs)).save(tmp_path / "good.keras")
    return tmp_path / "good.keras"


def rewritten(file, config=None, weights=None, compression=zipfile.ZIP_STORED, **members):
    """The file with its config, its weights or other members changed in place."""
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if config:
        changed = json.loads(content["config.json"])
        content["config.json"] = json.dumps(config(changed)).encode()
    if weights:
        (file.parent / "weights").write_bytes(content["model.weights.h5"])
        with h5py.File(file.parent / "weights", "r+") as opened:
            weights(opened)
        content["model.weights.h5"] = (file.parent / "weights").read_bytes()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in (content | members).items():
            archive.writestr(name, data)


def with_layer(layer):
    """A change of the config: this layer in place of the network's."""

    def change(config):
        config["config"]["layers"][1] |= layer
        return config

    return change


def with_setting(**settings):
    """A change of the config: these settings of the network's layer."""

    def change(config):
        config["config"]["layers"][1]["config"] |= settings
        return config

    return change


def function(module, name):
    """A function as Keras writes it, in the place of an activation."""

    def change(config):
        config["config"]["layers"][1]["config"]["activation"] = {
            "module": module,
            "class_name": "function",
            "config": name,
            "registered_name": "function",
        }
        return config

    return change


def test_a_file_and_the_same_deflated_are_loaded(file):
    x = np.array([[1.0, 2.0]], np.float32)
    logits = kerastag.load(file)(x)
    rewritten(file, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(kerastag.load(file)(x), logits)


@pytest.fixture(params=("int8", "int4"))
def quantized(request, tmp_path):
    """A network with its weights in fewer bits."""
    inputs = keras.Input((16,))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(8, "relu")(inputs)))
    with pytest.warns(UserWarning, match="Layer InputLayer does not have a `quantize` method"):
        model.quantize(request.param)
    model.save(tmp_path / "quantized.keras")
    return model, tmp_path / "quantized.keras"


def test_quantized_weights_are_loaded_and_attacked(quantized):
    model, file = quantized
    x = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
    loaded = kerastag.load(file)
    np.testing.assert_array_equal(loaded(x), model(x))
    y = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
    threat_model = ThreatModel(0.1, np.ones(16, np.float32), np.zeros(16, bool), np.zeros(16, np.float32))
    moved = abs(np.asarray(FGSM(threat_model)(loaded, x, y)) - x).max(axis=1) > 0.09
    assert moved.mean() > 0.5  # where no unit is active, no gradient moves a jet


def test_a_quantized_network_larger_than_its_weights(quantized):
    _, file = quantized

    def change(config):
        config["config"]["layers"][-1]["config"]["units"] = 10**12
        return config

    rewritten(file, change)
    with pytest.raises(UserError, match=r"its network has [0-9,]{17,} weights, but"):
        kerastag.load(file)


@pytest.mark.parametrize("name", ("GPTQConfig", "AWQConfig", "Float8QuantizationConfig", "get", "deserialize", "pack_int4"))
def test_what_else_is_in_the_module_of_quantizers_is_refused(file, name):
    rewritten(file, with_setting(quantization_config={"module": "keras.quantizers", "class_name": name, "config": {}}))
    with pytest.raises(UserError, match=f"is refused: it holds keras.quantizers.{name}"):
        kerastag.load(file)


def test_cve_2024_3660_code_in_a_lambda_layer(tmp_path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "evil.keras")
    with pytest.raises(UserError, match=r"evil\.keras' is refused: it holds keras.layers.Lambda"):
        kerastag.load(tmp_path / "evil.keras")


@pytest.mark.parametrize(
    ("module", "name"),
    (
        ("os", "system"),  # CVE-2025-1550: any module was imported
        ("keras.utils", "get_file"),  # CVE-2025-8747: Keras' own functions were called, here a download
        ("keras.config", "enable_unsafe_deserialization"),  # CVE-2025-9906: a config could switch safe mode off
        ("keras.saving", "load_model"),
        ("numpy", "fromfile"),
        ("keras_hub.utils", "get_file"),
    ),
)
def test_functions_that_are_no_part_of_a_network(file, module, name):
    rewritten(file, function(module, name))
    with pytest.raises(UserError, match=f"is refused: it holds {module}.{name}"):
        kerastag.load(file)


def test_cve_2025_9905_hdf5_under_the_name_of_an_archive(tmp_path):
    with h5py.File(tmp_path / "evil.keras", "w") as opened:
        opened.attrs["model_config"] = "{}"
    with pytest.raises(UserError, match=r"is not a \.keras file"):
        kerastag.load(tmp_path / "evil.keras")


def test_layers_with_code_or_files_are_all_known():
    """By the names of their arguments, so that a new Keras cannot add one unseen."""
    found = set()
    for name, layer in vars(keras.layers).items():
        if inspect.isclass(layer):
            arguments = " ".join(inspect.signature(layer.__init__).parameters)
            if any(word in arguments for word in ("vocabulary", "file", "path", "function", "module", "_fn")):
                found.add(name)
    assert found <= CODE_OR_FILES
    assert {"Lambda", "StringLookup", "TFSMLayer"} <= found


@pytest.mark.parametrize("name", sorted(CODE_OR_FILES))
def test_layers_with_code_or_files_are_refused(file, name):
    rewritten(file, with_layer({"class_name": name}))
    with pytest.raises(UserError, match=f"it holds keras.layers.{name}"):
        kerastag.load(file)


@pytest.mark.parametrize("name", ("Dense", "Lambda", "StringLookup"))
def test_what_does_not_say_where_it_is_from_is_refused(file, name):
    """As Keras 2 wrote it; Keras 3 would look for it by its name."""
    rewritten(file, with_layer({"module": None, "class_name": name, "registered_name": None}))
    with pytest.raises(UserError, match=f"is refused: it holds {name}"):
        kerastag.load(file)


def test_what_a_network_inside_was_compiled_with_is_looked_at(file):
    rewritten(file, with_setting(compile_config={"optimizer": {"module": "os", "class_name": "system", "config": {}}}))
    with pytest.raises(UserError, match=r"is refused: it holds os\.system"):
        kerastag.load(file)


def test_a_layer_that_is_not_registered_here_is_named(file):
    rewritten(file, with_layer({"module": "theirs", "class_name": "Gate", "registered_name": "theirs>Gate"}))
    with pytest.raises(UserError, match=r"it holds theirs\.Gate, .* not registered with Keras here"):
        kerastag.load(file)


def as_link(opened, path):
    opened[path] = h5py.ExternalLink("/etc/hostname", "/")


def as_bytes(opened, path):
    opened.create_dataset(path, (2, 3), "f4", external=[("/etc/passwd", 0, 24)])


@pytest.mark.parametrize("elsewhere", [as_link, as_bytes])
def test_weights_may_not_lie_in_another_file(file, elsewhere):
    def replace(opened):
        del opened["layers/dense/vars/0"]
        elsewhere(opened, "layers/dense/vars/0")

    rewritten(file, weights=replace)
    with pytest.raises(UserError, match="'/layers/dense/vars/0' lie elsewhere"):
        kerastag.load(file)


def test_weights_that_are_declared_but_not_stored(file):
    def declared(opened):
        del opened["layers/dense/vars/0"]
        opened.create_dataset("layers/dense/vars/0", (10**9, 10**6), "f4")

    rewritten(file, weights=declared)
    with pytest.raises(UserError, match="takes 4,000,000,000,000,000 bytes, which are not there"):
        kerastag.load(file)


def test_a_network_larger_than_its_weights(file):
    """Keras would make the network, here of 8 TB, before it looks for its weights."""
    rewritten(file, with_setting(units=10**12))
    with pytest.raises(UserError, match="its network has 3,000,000,000,000 weights, but 9 are stored"):
        kerastag.load(file)


def test_a_member_that_fills_the_disk(file):
    rewritten(file, compression=zipfile.ZIP_DEFLATED, **{"assets/zeros": bytes(10**7)})
    with pytest.raises(UserError, match=r"would unpack to 10,0[0-9,]*, more than weights do"):
        kerastag.load(file)


def test_a_member_that_is_no_part_of_the_format(file):
    rewritten(file, **{"../../evil": b""})
    with pytest.raises(UserError, match=r"'../../evil' is no part of a \.keras file"):
        kerastag.load(file)


@pytest.mark.parametrize("depth", (600, 100_000))
def test_a_config_nested_without_end(file, depth):
    rewritten(file, **{"config.json": b"[" * depth + b"]" * depth})
    with pytest.raises(UserError, match=r"nested more than 500 times|RecursionError"):
        kerastag.load(file)


@pytest.mark.parametrize("name", ("config.json", "model.weights.h5"))
def test_a_missing_or_damaged_member(file, name):
    with zipfile.ZipFile(file) as archive:
        content = {member: archive.read(member) for member in archive.namelist()}
    for data in (None, b"", b"\x00damaged"):
        with zipfile.ZipFile(file, "w") as archive:
            for member, old in content.items():
                if member != name or data is not None:
                    archive.writestr(member, data if member == name else old)
        with pytest.raises(UserError, match=r"good\.keras' cannot be loaded"):
            kerastag.load(file)


@pytest.mark.parametrize(
    "change",
    (
        lambda config: [],
        lambda config: {},
        lambda config: config | {"config": {}},
        with_setting(units="many"),
        with_setting(units=4),
    ),
    ids=("list", "empty", "no layers", "word for a number", "other shape"),
)
def test_a_config_of_the_wrong_form(file, change):
    rewritten(file, change)
    with pytest.raises(UserError, match=r"good\.keras' (cannot be loaded|is damaged)"):
        kerastag.load(file)
