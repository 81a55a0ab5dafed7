"""The command `mlbench`: a word for each thing it does, and without a word what run.py does."""

import importlib
import re
import sys
from typing import NoReturn

from mlbench.errors import INTERRUPTED, complain, did_you_mean, hear_sigterm

# Each a module in here.
COMMANDS = ("run", "reproduce", "report", "search", "fetch", "bench", "predict", "score", "export", "serve")


def main() -> None:
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if not re.fullmatch(r"\w+", first):  # no word of its own, but an override or an option of `run`
        first = "run"
    elif first in COMMANDS:
        del sys.argv[1]
    else:
        near = did_you_mean(first, COMMANDS)
        complain(f"{first}: no such command; there are {', '.join(COMMANDS)}{near}")
        sys.exit(2)
    begin(first)


def begin(command: str) -> NoReturn:
    """What takes seconds to import may be interrupted, too."""
    hear_sigterm()
    try:
        program = importlib.import_module(f"mlbench.commands.{command}")
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    sys.exit(program.main())
