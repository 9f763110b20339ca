"""What a built data set must still be when it is opened: the same bytes as when it was built; and of what it was built."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from kerastag import checksums
from kerastag.checksums import size_and_time
from kerastag.errors import UserError
from kerastag.files import check_fields


def seal(folder: Path, sources: Sequence[Path]) -> None:
    """Write down what the files of a data set are, and of which ROOT files it was made; none stand for the sample."""
    built = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    checksums.seal(folder, built=built, sources={str(path.absolute()): size_and_time(path) for path in sources})


def check(folder: Path) -> None:
    """Make sure that a data set is what was built.

    Raises:
        UserError: if a file is missing or has changed.
    """
    remedy = f"delete '{folder}', and the data set is built anew"
    if not checksums.is_sealed(folder):
        raise UserError(f"The data set in '{folder}' was not built to its end, or by another version; {remedy}.")
    checksums.check(folder, remedy, remember=True)


def origin(folder: Path) -> str:
    """Of what a data set was built and when, and whether that is still there, in words.

    Raises:
        UserError: if what was written down is damaged.
    """
    about = checksums.about(folder)
    check_fields(folder / checksums.LIST, about, {"built": str, "sources": dict})
    when, sources = f"built {about['built'][:16].replace('T', ' ')}", about["sources"]
    if not sources:
        return f"{when} from the sample that comes along"
    first = Path(min(sources))
    several = f"{len(sources)} ROOT files such as '{first}'" if len(sources) > 1 else f"'{first}'"
    gone = [path for path in sources if not Path(path).is_file()]
    changed = [path for path in sources if path not in gone and size_and_time(Path(path)) != sources[path]]
    notes = [f"{len(paths)} of them {what}" for paths, what in ((gone, "gone"), (changed, "changed")) if paths]
    return f"{when} from {several}" + (f", {' and '.join(notes)} since" if notes else "")
