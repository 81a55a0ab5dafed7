"""The command `mlbench`: a word for each thing it does, and without a word what run.py does."""

import importlib
import sys

from mlbench.interrupt import INTERRUPTED, hear_sigterm

# Nothing else is imported up here: until the signals are heard, one ends the command without a word.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Each a module in here.
COMMANDS = (
    *("run", "reproduce", "report", "search", "fetch", "bench", "predict", "score", "export", "serve"),
    *("board", "status", "gc"),
)
ROLES = ("dataset", "method", "backbone", "loss", "split", "threshold", "seed")


def main() -> None:
    hear_sigterm()
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if not is_word(first):  # not the name of a command, but an override or an option of `run`
        first = "run"
    elif first in COMMANDS:
        del sys.argv[1]
    else:
        print(f"mlbench: {first}: no such command; {advice(first, sys.argv[2:])}", file=sys.stderr)
        sys.exit(2)
    begin(first)


def is_word(text: str) -> bool:
    """Whether the text is letters, digits and underscores alone, as the name of a command is."""
    return text.replace("_", "a").isalnum()


def advice(word: str, following: list[str]) -> str:
    """The word that a person most likely meant: `method erm` is method=erm."""
    from mlbench.errors import did_you_mean

    if word in ROLES and following and is_word(following[0]):
        return f"write {word}={following[0]}"
    return f"there are {', '.join(COMMANDS)}{did_you_mean(word, COMMANDS)}"


def begin(command: str) -> "NoReturn":
    """What takes seconds to import may be interrupted, too."""
    hear_sigterm()
    try:
        sys.exit(importlib.import_module(f"mlbench.commands.{command}").main())
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
