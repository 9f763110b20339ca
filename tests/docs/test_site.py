"""The site has every page, and no link of it is broken: a broken one stops the build."""

import contextlib
import io
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from kerastag.docs.__main__ import main
from kerastag.docs.site import docs
from kerastag.errors import UserError
from tests.browser import DESK, PHONE

ROOT = Path(__file__).parents[2]
# Of MkDocs and its plugins.
pytestmark = pytest.mark.filterwarnings("default")


class Links(HTMLParser):
    """What a page refers to, and the anchors that it has."""

    def __init__(self, page: Path):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links |= {found[name] for name in ("href", "src") if found.get(name)}


def broken(site: Path) -> list[str]:
    """Links within a site that lead nowhere, looked up without MkDocs."""
    pages = {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}  # whose links begin at a root
    lost = []
    for page, content in pages.items():
        for link in content.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else {unquote(address.fragment)}
            if not target.is_file() or unquote(address.fragment) not in known:
                lost.append(f"{page.relative_to(site)}: {link}")
    return lost


def test_broken_links_are_found(tmp_path):
    links = '<a href="#here"></a><a href="index.html#there"></a><a href="#lost"></a>'
    (tmp_path / "page.html").write_text(f'<p id="here">{links}</p>')
    (tmp_path / "index.html").write_text('<a name="there" href="https://example.org/x"></a><img src="lost.png">')
    assert sorted(broken(tmp_path)) == ["index.html: lost.png", "page.html: #lost"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of this checkout: its folder of results."""
    pytest.importorskip("mkdocstrings")
    folder, said = tmp_path_factory.mktemp("docs") / "site", io.StringIO()
    with contextlib.redirect_stdout(said):
        main(["--output", str(folder)])
    assert said.getvalue() == f"Site: {folder / 'html' / 'index.html'}.\n"
    return folder


@pytest.mark.slow
def test_the_site_has_every_page_and_no_broken_link(site):
    html = site / "html"
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    pages = [Path(name) for name in tracked if "templates" not in name]
    missing = [
        page for page in pages if not (html / page.parent / page.name.replace("README", "index")).with_suffix(".html").is_file()
    ]
    assert pages and not missing
    assert not broken(html)
    assert "kerastag.attacks.PGD" in (html / "api" / "attacks.html").read_text()
    with pytest.raises(UserError, match=r"There are results in .* already"):
        main(["--output", str(site)])


@pytest.mark.slow
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_of_the_site_fit_the_screen_have_one_title_and_no_script_fails(viewport, site, browser):
    context, failed = browser.new_context(viewport=viewport), []
    page = context.new_page()
    page.on("pageerror", lambda error: failed.append(f"{page.url}: {error}"))
    pages = sorted((site / "html").rglob("*.html"))
    assert len(pages) > 40
    for path in pages:
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth") > viewport["width"]:
            failed.append(f"{path} moves sideways")
        if page.locator("h1").count() != 1:
            failed.append(f"{path} has {page.locator('h1').count()} titles")
    context.close()
    assert not failed


@pytest.mark.slow
def test_words_are_found_where_a_server_gives_the_site(site, browser):
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("localhost", 0), partial(quiet, directory=site / "html")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://localhost:{server.server_port}/index.html")
        page.get_by_role("textbox", name="Search").fill("covariance")
        page.locator(".md-search-result__link").first.click()
        page.wait_for_url(lambda address: not address.endswith("/index.html"))
        assert "ovariance" in page.locator("main").inner_text()
        page.close()
        server.shutdown()


@pytest.mark.slow
def test_a_broken_link_stops_the_build_and_leaves_the_site_as_it_was(tmp_path, capsys):
    pytest.importorskip("mkdocstrings")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name != "README.md":
            (checkout / path.name).symlink_to(path)
    links = ["[a](scripts/lost.py)", "[b](tfds_jets/README.md#lost)", "[c](#lost)", "[d][kerastag.lost]", "![e](lost.png)"]
    (checkout / "README.md").write_text((ROOT / "README.md").read_text() + "\n".join(links))
    (tmp_path / "site" / "html").mkdir(parents=True)
    (tmp_path / "site" / "made_by.json").write_text('{"command": "docs"}')
    (tmp_path / "site" / "html" / "index.html").write_text("as it was")
    with pytest.raises(UserError, match="The site has broken links"):
        docs(checkout, tmp_path / "site")
    said = capsys.readouterr().err
    assert all(word in said for word in ("scripts/lost.py", "tfds_jets/README.md#lost", "#lost", "kerastag.lost", "lost.png"))
    assert len(said.splitlines()) == len(links)
    assert (tmp_path / "site" / "html" / "index.html").read_text() == "as it was"


def test_a_wheel_says_that_a_checkout_is_needed(tmp_path):
    with pytest.raises(UserError, match="is no checkout of kerastag"):
        docs(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_missing_extra_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mkdocstrings", None)
    with pytest.raises(UserError, match=r"The site needs mkdocstrings; install the extra with: pip install -e '\.\[docs\]'"):
        docs(ROOT, tmp_path / "site")
    assert not (tmp_path / "site").exists()
