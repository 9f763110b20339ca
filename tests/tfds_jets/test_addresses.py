"""Files that a list of addresses names: fetched once, checked, said if they cannot be."""

import hashlib

import fsspec
import numpy as np
import pytest
import uproot

from kerastag import outputs
from kerastag.errors import UserError
from tests.conftest import run_command
from tfds_jets import addresses
from tfds_jets.reading import find_files


@pytest.fixture
def remote(tmp_path):
    """Addresses of two files of the same name in a store of fsspec's, with their SHA-256."""
    digests = {}
    for number in range(2):
        with uproot.recreate(tmp_path / "made.root") as root:
            root.mktree("jets", {"pt": "float32"})
            root["jets"].extend({"pt": np.arange(5, dtype=np.float32) + number})
        content = (tmp_path / "made.root").read_bytes()
        address = f"memory://store{number}/jets.root"
        with fsspec.open(address, "wb") as file:
            file.write(content)
        digests[address] = hashlib.sha256(content).hexdigest()
    (tmp_path / "made.root").unlink()
    return digests


def test_are_fetched_once_and_whole(remote, tmp_path):
    lines = [f"{address}\t{digest.upper()} " for address, digest in remote.items()]
    (tmp_path / addresses.LIST).write_text("\r\n".join(["\ufeff# two files", "", *lines]), encoding="utf-8")
    files = find_files(tmp_path)
    assert sorted(file.sha256 for file in files) == sorted(remote.values())
    assert all(file.path.parent == tmp_path and file.path.name.endswith("_jets.root") for file in files)
    fsspec.filesystem("memory").rm("/store0", recursive=True)
    fsspec.filesystem("memory").rm("/store1", recursive=True)
    assert find_files(tmp_path) == files


def test_their_folder_can_be_inspected(remote, tmp_path):
    (tmp_path / addresses.LIST).write_text("\n".join(remote))
    done = run_command("inspect", tmp_path)
    assert done.code == 0 and "tree 'jets', 5 entries" in done.out, done.err
    done = run_command("inspect", "root://host//store/jets.root")
    assert done.code == 2 and "write its address to addresses.txt" in done.err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("memory://store0/jets.root " + 64 * "0", "is not the file that was expected: its SHA-256 is"),
        ("memory://store0/jets.root 1234", "Line 1 of .* has no SHA-256 behind the address, but '1234'"),
        ("memory://store0/none.root", "There is no file at 'memory://store0/none.root'"),
        ("https://[::1/jets.root", "cannot be (read here|fetched)"),
        ("memory://store0/jets.txt", "is no address of a .root"),
        ("jets.root", "is no address of a .root"),
        ("nowhere://store0/jets.root", "cannot be fetched: Protocol not known: nowhere"),
    ],
)
def test_what_cannot_be_fetched_leaves_nothing(remote, tmp_path, line, sentence):
    (tmp_path / addresses.LIST).write_text(line)
    with pytest.raises(UserError, match=sentence):
        find_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {addresses.LIST, ".lock"}


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec_xrootd", None)
    (tmp_path / addresses.LIST).write_text("root://host//store/jets.root")
    with pytest.raises(UserError, match="cannot be read here: Install fsspec-xrootd"):
        find_files(tmp_path)


def test_a_changed_copy_is_noticed(remote, tmp_path):
    (address, digest), _ = remote.items()
    (tmp_path / addresses.LIST).write_text(f"{address} {digest}")
    (file,) = find_files(tmp_path)
    file.path.write_bytes(file.path.read_bytes() + b"more")
    with pytest.raises(UserError, match=r"is not what .* says, by its SHA-256; delete it to fetch"):
        find_files(tmp_path)


def test_what_a_killed_process_has_left_is_no_file_of_jets(remote, tmp_path):
    (tmp_path / addresses.LIST).write_text("\n".join(remote))
    (tmp_path / ".writing_left").mkdir()
    (tmp_path / ".writing_left" / "half.root").write_bytes(b"root")
    assert len(find_files(tmp_path)) == 2
    assert not (tmp_path / ".writing_left").exists()


def test_one_process_fetches_at_a_time(remote, tmp_path):
    (tmp_path / addresses.LIST).write_text("\n".join(remote))
    with outputs.locked(tmp_path, "wait"), pytest.raises(UserError, match=r"writes into .* now; wait for it"):
        find_files(tmp_path)
