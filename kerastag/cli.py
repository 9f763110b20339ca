"""What all scripts share: exit codes and quiet start-up."""

import os
import sys
from collections.abc import Callable

from kerastag.errors import UserError


def run(main: Callable[[], None]) -> None:
    """Call `main` and turn its outcome into an exit code.

    0: done; 2: the user's mistake, one line on stderr; 130: interrupted. Anything else is a defect of ours: a traceback and 1.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
