"""The floor plan in kerastag/README.md: every import goes downwards."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the bottom up. Rooms of one floor do not know each other.
FLOORS = (
    ("errors", "jets", "statistics"),
    ("results",),
    ("environment", "files", "flavours", "pages", "tables"),
    ("backend", "catalogue", "checksums", "outputs", "schema"),
    ("histograms", "losses", "metrics", "options", "results_page"),
    ("request",),
    ("cli", "recipes", "tfds_jets"),
    ("data", "layers"),
    ("attacks", "bounds", "models"),
    ("evaluation", "legacy", "training"),
    ("plots", "saving"),
    ("leaderboard", "report", "simulation", "speed"),
    ("runs",),
    ("commands",),
    ("__main__", "docs"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# TensorFlow takes seconds to import; what commands parse their options with does without.
LIGHT = {room for rooms in FLOORS[:7] for room in rooms} - {"backend", "losses", "tfds_jets"} | {"commands", "docs"}


def rooms_of(module: str) -> str | None:
    """The room of a module of ours: the first name below `kerastag`, or `tfds_jets`."""
    package, _, rest = module.partition(".")
    if package == "tfds_jets":
        return package
    return rest.partition(".")[0] or None if package == "kerastag" else None


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module in ("kerastag", "tfds_jets"):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)


FILES = [*sorted((ROOT / "kerastag").rglob("*.py")), *sorted((ROOT / "tfds_jets").glob("*.py"))]


def room_of_file(path: Path) -> str | None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return rooms_of(".".join(parts).removesuffix(".__init__"))


def test_every_room_has_its_floor():
    rooms = {room_of_file(path) for path in FILES} - {None}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards(path):
    room = room_of_file(path)
    upwards = [
        f"line {line}: {name}"
        for line, name in imports(path)
        if (other := rooms_of(name)) in FLOOR and room in FLOOR and other != room and FLOOR[other] >= FLOOR[room]
    ]
    assert not upwards


@pytest.mark.parametrize("path", [path for path in FILES if room_of_file(path) in LIGHT], ids=lambda path: path.stem)
def test_light_rooms_import_no_tensorflow(path):
    at_import = [name for node in ast.parse(path.read_text()).body for name in _names(node)]
    assert not {name.partition(".")[0] for name in at_import} & {"tensorflow", "keras", "tensorflow_datasets"}


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) else []


def test_kerastag_meets_tfds_jets_at_one_seam():
    """`kerastag.data` opens the data set; the simulation reads its files to validate them."""
    users = {room_of_file(path) for path in FILES for _, name in imports(path) if rooms_of(name) == "tfds_jets"} - {"tfds_jets"}
    assert users == {"data", "simulation", "commands"}
