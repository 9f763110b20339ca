"""Pages of the repository → a site, by MkDocs with Material and mkdocstrings, which reads sources and imports none."""

import ast
import json
import logging
import posixpath
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from kerastag import LAZY, commands, outputs
from kerastag.errors import UserError
from kerastag.files import replaced, write_text

NAME = "docs"
CHECKOUT = Path(__file__).parents[2]
_CONFIG = Path(__file__).with_name("mkdocs.yml")
_STYLE = Path(__file__).with_name("site.css")

# Where a link of a page leads within the repository, up to an anchor.
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)#\s]+")
# What a browser shows as it is; other files become pages.
_SHOWN_BY_BROWSERS = (".html", ".png")
# Rooms that nobody calls from Python.
_NOT_IN_REFERENCE = ("__init__", "__main__", "commands", NAME)
_COLUMNS = 100  # of the help of commands


def docs(checkout: Path, output: Path) -> None:
    """Build the site in `output/html`, which is replaced whole.

    Args:
        checkout: Folder of the repository.
        output: Folder of the results.

    Raises:
        UserError: if there is no checkout, the extra `docs` is not installed, or a link or an anchor is broken.
    """
    if not (checkout / "setup.cfg").is_file():
        raise UserError(f"'{checkout}' is no checkout of kerastag, whose pages the site is made of; install one with -e.")
    with outputs.claimed(output, NAME), tempfile.TemporaryDirectory() as scratch, replaced(output / "html") as site:
        _build(checkout, Path(scratch), site)
    print(f"Site: {output / 'html' / 'index.html'}.")


def _build(checkout: Path, pages: Path, site: Path) -> None:
    """Put all pages into the folder `pages` and let MkDocs make the folder `site` of them."""
    try:
        import mkdocstrings  # noqa: F401  (named by the configuration)
        from mkdocs.commands.build import build
        from mkdocs.config import load_config
        from mkdocs.exceptions import Abort
    except ImportError as error:
        raise UserError(f"The site needs {error.name}; install the extra with: pip install -e '.[docs]'.") from error
    shown = logging.StreamHandler()
    logging.getLogger("mkdocs").addHandler(shown)
    try:
        config = load_config(str(_CONFIG), docs_dir=str(pages), site_dir=str(site))
        reference = _reference(checkout)
        made = {"commands.md": _commands(), _STYLE.name: _STYLE.read_text(encoding="utf-8"), **reference}
        for name, text in made.items():
            write_text(pages / name, text)
        _add(checkout, _leaves(config.nav), made, pages)
        config.nav = [*(config.nav or ()), {"Python": list(reference)}]
        build(config)
    except Abort as error:
        raise UserError("The site has broken links, or docstrings that do not fit; they are listed above.") from error
    finally:
        logging.getLogger("mkdocs").removeHandler(shown)


def _leaves(nav: Any) -> Iterator[str]:
    """Names of pages in a menu of MkDocs: lists of names, and of objects from a title to a name or a list."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from _leaves(entry)


def _add(checkout: Path, names: Iterable[str], made: Collection[str], pages: Path) -> None:
    """Add pages of the repository by name, and all that they link to, but none of those that are `made`."""
    todo, done = list(names), set(made)
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        path, copy = checkout / name, pages / name
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8") if path.is_file() else _shown(path.with_suffix(""))
            text, linked = _with_links(checkout, name, text)
            write_text(copy, text)
            todo += linked
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _with_links(checkout: Path, name: str, text: str) -> tuple[str, list[str]]:
    """A page whose links to sources lead to the pages that show them; and names of these and of its pictures."""
    names = []

    def link(match: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(posixpath.dirname(name), match[0]))
        file = checkout / there
        if there.startswith("..") or not file.is_file() or file.suffix == ".md":
            return match[0]  # MkDocs says whether there is such a page
        suffix = "" if file.suffix in _SHOWN_BY_BROWSERS else ".md"
        names.append(there + suffix)
        return match[0] + suffix

    return _LINK.sub(link, text), names


def _shown(source: Path) -> str:
    """A source file as a page; of a notebook its cells."""
    text = source.read_text(encoding="utf-8")
    if source.suffix != ".ipynb":
        return f"# {source.name}\n\n{_block(text, source.suffix[1:])}"
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(_block(words, "python") if kind == "code" else words for kind, words in cells)


def _block(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````\n"


def _commands() -> str:
    """A page of all commands with their help."""
    blocks = (
        f"## {name}\n\n{_block(commands.make_parser(name, f'kerastag {name}', width=_COLUMNS).format_help(), 'text')}"
        for name in commands.NAMES
    )
    also = "In a checkout they are `python scripts/NAME.py` as well, and `inspect` is `scripts/inspect_jets.py`."
    return "\n".join(["# Commands\n", f"{also}\n", *blocks])


def _reference(checkout: Path) -> dict[str, str]:
    """Pages of the API, by name: the first lists the public names of `kerastag` and its rooms, which have a page each."""
    rooms = [path for path in sorted((checkout / "kerastag").iterdir()) if _is_room(path)]
    names = [f"- [`kerastag.{name}`][{module}.{name}]" for name, module in LAZY.items()]
    summaries = [f"- [`kerastag.{room.stem}`]({room.stem}.md): {_docstring(room).splitlines()[0]}" for room in rooms]
    first = ["# In Python", "What most need:", "\n".join(names), "All of it:", "\n".join(summaries)]
    return {"api/README.md": "\n\n".join(first), **{f"api/{room.stem}.md": _described(room) for room in rooms}}


def _is_room(path: Path) -> bool:
    return path.stem not in _NOT_IN_REFERENCE and (path.suffix == ".py" or (path / "__init__.py").is_file())


def _tree(room: Path) -> ast.Module:
    return ast.parse((room / "__init__.py" if room.is_dir() else room).read_text(encoding="utf-8"))


def _docstring(room: Path) -> str:
    return ast.get_docstring(_tree(room)) or ""


def _described(room: Path) -> str:
    """The page of a room: what it exports, or all modules of one that exports nothing by itself."""
    name = f"kerastag.{room.stem}"
    defined = {ast.unparse(node.targets[0]) for node in _tree(room).body if isinstance(node, ast.Assign)}
    elsewhere = [f"::: {module}.{public}" for public, module in LAZY.items() if module.startswith(f"{name}.")]
    options = {"heading_level": 1, "show_submodules": "__all__" not in defined}
    return "\n\n".join([f"---\ntitle: {name}\n---", f"::: {name}\n    options: {json.dumps(options)}", *elsewhere])
