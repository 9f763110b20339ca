"""A page of results whose tables are those that commands have written.

A block of such a page begins with `<!-- COMMAND -->`, the command line that makes it, and ends with `<!-- end -->`. What stands
between is taken from `table.md` in the folder that the command's `--output` names, or `--entries` of a leaderboard. Whether
that was made by this very command is not checked.
"""

import re
import shlex
from pathlib import Path

from kerastag.errors import UserError
from kerastag.files import write_text

_BLOCK = re.compile(r"(<!-- (?P<command>(?:python|kerastag) .*?) -->\n).*?(<!-- end -->)", re.DOTALL)

# Options that name the folder of a command's table.
_FOLDERS = ("--output", "--entries")


def fill(page: Path, root: Path = Path()) -> None:
    """Fill a page with the tables that are there, and say which are not.

    Args:
        page: The page, Markdown.
        root: Folder in which the commands were run.

    Raises:
        UserError: if the page cannot be read or has no blocks, or none of its tables is there.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"The page '{page}' cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"The page '{page}' is no text.") from error
    commands = [match["command"] for match in _BLOCK.finditer(text)]
    tables = {command: _table(command, root) for command in commands}
    written = [command for command, table in tables.items() if table is not None]
    if not written:
        if commands:
            raise UserError(f"None of the {len(commands)} tables of '{page}' is there; run the commands that it names.")
        raise UserError(f"'{page}' has no blocks that can be filled.")
    write_text(page, _BLOCK.sub(lambda match: _filled(match, tables), text))
    for command, table in tables.items():
        print(f"{'left as it is' if table is None else 'written'}: {command}")


def _filled(match: re.Match, tables: dict[str, str | None]) -> str:
    table = tables[match["command"]]
    return match[0] if table is None else f"{match[1]}\n{table.strip()}\n\n{match[3]}"


def _table(command: str, root: Path) -> str | None:
    """What a command has written; None if it was not run here."""
    words = shlex.split(command)
    option = next((option for option in _FOLDERS if option in words[:-1]), None)
    if option is None:
        raise UserError(f"The command '{command}' has no --output, so its table cannot be found.")
    file = root / words[words.index(option) + 1] / "table.md"
    return file.read_text(encoding="utf-8") if file.is_file() else None
