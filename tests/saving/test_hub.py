"""The Hub's own client against a server on this machine that answers as the Hub does."""

import http.server
import json
import os
import subprocess
import sys
import threading
from hashlib import sha1
from urllib.parse import unquote, urlsplit

import pytest

from kerastag.saving import presets

pytest.importorskip("huggingface_hub")

COMMITS = {"main": "1" * 40, "v1": "2" * 40}
FOLDERS = {"1" * 40: presets.SHIPPED / "deepcsv_nominal", "2" * 40: presets.SHIPPED / "jet_flavor_nominal"}
# Prints the schema of each tagger, or the mistake.
ASK = """
import sys
from kerastag.saving import taggers
for name in sys.argv[1:]:
    try:
        print(taggers.find(name).schema.name)
    except taggers.UserError as error:
        print(error)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """A Hub with one repository, someone/taggers, and one that it cannot serve, someone/broken."""

    def do_GET(self):
        match unquote(urlsplit(self.path).path).strip("/").split("/"):
            case ["api", "models", "someone", "taggers", _, "v2"]:
                self.answer(code=404, error="RevisionNotFound")
            case ["api", "models", "someone", "taggers", "revision", revision]:
                self.answer(json.dumps({"id": "someone/taggers", "sha": COMMITS[revision]}).encode())
            case ["api", "models", "someone", "taggers", "tree", revision]:
                folder = FOLDERS[COMMITS.get(revision, revision)]
                files = [path for path in folder.rglob("*") if path.is_file()]
                entries = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()} for name, data in entries
                ]
                self.answer(json.dumps(tree).encode())
            case ["someone", "taggers", "resolve", revision, *path]:
                commit = COMMITS.get(revision, revision)
                self.answer(FOLDERS[commit].joinpath(*path).read_bytes(), commit)
            case ["api", "models", "someone", "broken", *_]:
                self.close_connection = True
            case _:
                self.answer(code=401, error="RepoNotFound")

    do_HEAD = do_GET

    def answer(self, content=b"", commit="", code=200, error=""):
        self.send_response(code)
        for header in ("Content-Length", len(content)), ("ETag", sha1(content).hexdigest()), ("X-Repo-Commit", commit):
            self.send_header(*map(str, header))
        self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def ask(port, cache, *names):
    """What is printed, by a process of its own since the client reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(cache), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", ASK, *names], env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not presets.SHIPPED.is_dir(), reason="an installed package has no saved_models")
def test_the_hubs_own_client_fetches_and_says_what_it_cannot(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever).start()
        port, taggers = server.server_port, "hf://someone/taggers"
        try:
            said = ask(port, tmp_path, taggers, f"{taggers}@v1", f"{taggers}@v2", "hf://someone/nothing", "hf://someone/broken")
        finally:
            server.shutdown()
    assert said[:2] == ["deepcsv", "jet_flavor"] and len(said) == 5
    hub = f"cannot be fetched from http://127.0.0.1:{port}"
    assert said[2] == f"'hf://someone/taggers@v2' {hub}: the repository has no such revision."
    assert said[3].startswith(f"'hf://someone/nothing' {hub}: there is no such repository, or it is not open to you; ")
    assert said[4].startswith(f"'hf://someone/broken' {hub}: ") and "isconnected" in said[4]
    fetched, unknown = ask(port, tmp_path, taggers, "hf://someone/unknown")
    assert fetched == "deepcsv" and unknown.startswith(f"'hf://someone/unknown' {hub}: no copy is in the cache, and the Hub")
