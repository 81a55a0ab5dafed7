"""The command `mlbench`: a word for each thing it does, and without a word what run.py does."""

import importlib
import re
import sys
from typing import NoReturn

from mlbench.errors import INTERRUPTED, complain, did_you_mean, hear_sigterm

# Each a module in here.
COMMANDS = (
    *("run", "reproduce", "report", "search", "fetch", "bench", "predict", "score", "export", "serve"),
    "board",
)
ROLES = ("dataset", "method", "backbone", "loss", "split", "threshold", "seed")


def main() -> None:
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if not re.fullmatch(r"\w+", first):  # no word of its own, but an override or an option of `run`
        first = "run"
    elif first in COMMANDS:
        del sys.argv[1]
    else:
        complain(f"{first}: no such command; {advice(first, sys.argv[2:])}")
        sys.exit(2)
    begin(first)


def advice(word: str, following: list[str]) -> str:
    """What was most likely meant: `method erm` is method=erm."""
    if word in ROLES and following and re.fullmatch(r"\w+", following[0]):
        return f"write {word}={following[0]}"
    return f"there are {', '.join(COMMANDS)}{did_you_mean(word, COMMANDS)}"


def begin(command: str) -> NoReturn:
    """What takes seconds to import may be interrupted, too."""
    hear_sigterm()
    try:
        program = importlib.import_module(f"mlbench.commands.{command}")
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    sys.exit(program.main())
