import dataclasses
import hashlib
import re

import pytest
import requests

from kerastag import legacy
from kerastag.errors import UserError
from kerastag.legacy import weights

CONTENT = b"weights" * 100
TAGGER = dataclasses.replace(
    legacy.get("DeepCSV"), path="folder/toy.json", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write_weights(folder, content=CONTENT):
    path = folder / TAGGER.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def replace_requests(monkeypatch, content=CONTENT, error=None):
    """Let requests answer without a network; returns the list of requested addresses."""
    urls = []

    class Response:
        headers = {"content-length": str(len(content))}

        def raise_for_status(self):
            pass

        def iter_content(self, chunk_size):
            yield content

        def close(self):
            pass

    def get(url, **_):
        urls.append(url)
        if error:
            raise error
        return Response()

    monkeypatch.setattr(requests, "get", get)
    return urls


def test_folder_then_environment_then_cache(monkeypatch, tmp_path):
    urls = replace_requests(monkeypatch)
    first, second = write_weights(tmp_path / "a"), write_weights(tmp_path / "b")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "b"))
    assert weights.find(TAGGER, tmp_path / "a") == first
    assert weights.find(TAGGER) == second
    monkeypatch.delenv(weights.FOLDER_VARIABLE)
    assert not urls
    downloaded = weights.find(TAGGER)
    assert downloaded.read_bytes() == CONTENT
    assert str(downloaded).startswith(str(tmp_path / "cache"))
    assert urls == ["https://raw.githubusercontent.com/cms-data/RecoBTag-Combined/77957cb/folder/toy.json"]
    assert weights.find(TAGGER) == downloaded
    assert len(urls) == 1, "a file in the cache was downloaded again"


def test_message_without_a_network_has_address_and_path(monkeypatch):
    replace_requests(monkeypatch, error=requests.ConnectionError("no route\nto host"))
    with pytest.raises(
        UserError, match=r"cannot be downloaded; get https://raw.*/folder/toy\.json and put it at '.*toy\.json'"
    ):
        weights.find(TAGGER)


def test_wrong_download_is_refused_and_removed(monkeypatch, tmp_path):
    replace_requests(monkeypatch, CONTENT[:-1])
    with pytest.raises(UserError, match="is not the file of DeepCSV any more"):
        weights.find(TAGGER)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("content", "message"),
    [(CONTENT[:-1], "is truncated: it has 699 of 700 bytes"), (b"x" * len(CONTENT), "is not the file of DeepCSV")],
)
def test_wrong_file_is_refused_before_it_is_read(tmp_path, content, message):
    write_weights(tmp_path, content)
    with pytest.raises(UserError, match=rf"{message}.*get https://.*put it at"):
        weights.find(TAGGER, tmp_path)


def test_missing_file_and_unknown_tagger_are_refused(tmp_path):
    with pytest.raises(UserError, match=rf"not in '{tmp_path}'; get https://"):
        weights.find(TAGGER, tmp_path)
    with pytest.raises(UserError, match="no legacy tagger 'DeepCVS'; the nearest are 'DeepCSV'"):
        legacy.load("DeepCVS")


def test_file_may_have_another_path_in_its_source():
    record = dataclasses.replace(TAGGER, source="https://a.b/c", source_path="d/e.onnx")
    assert record.url == "https://a.b/c/d/e.onnx"
    assert legacy.get("RobustParTAK4", "ngm").path == "RobustParTAK4/ngm.onnx"


def test_registry_is_complete():
    for tagger in legacy.list():
        assert legacy.get(tagger.name) is tagger
        assert len(tagger.sha256) == 64
        assert tagger.url.startswith("https://") and re.search("/[0-9a-f]{7,40}/", tagger.url)  # a pinned commit
        assert tagger.schema.features
        assert 2 <= len(tagger.classes) <= 6
        assert tagger.size > 0
        assert tagger.reference
