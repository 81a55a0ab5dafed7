"""Errors that a person can mend, said in one sentence with the nearest valid name; traces."""

import difflib
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST = 2000  # characters of a message; longer ones are shortened
LONGEST_NAME = 100  # longer words are no mistyped names, and difflib would take seconds to compare them


class UserError(Exception):
    """One line: what was asked, what is wrong with it, what to do. Shown without a stack trace."""

    def __init__(self, sentence: str):
        super().__init__(one_line(sentence))


class DoesNotFit(UserError):
    """A data set offers less than the split or the method asks for; elsewhere either may well work."""


class DataMissing(UserError):
    """A data set's files are nowhere to be had."""


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """'; did you mean X?' when a valid name is near what was given, else nothing."""
    if len(word) > LONGEST_NAME:
        return ""
    names = {name.lower(): name for name in valid if len(name) <= LONGEST_NAME}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean {names[near[0]]}?" if near else ""


def unknown_key(key: str, valid: list[str], near: str = "") -> str:
    """The sentence for a key that does not exist: the keys that do, and `near` or the nearest of them."""
    parent, _, name = key.rpartition(".")
    known = ", ".join(sorted(valid)) or "none"
    near = near or did_you_mean(name, valid)
    return f"{key}: no such key; {parent or 'the top level'} has: {known}{near}"


def one_line(text: str) -> str:
    """`text` without line ends and control characters, and shortened: files and libraries say anything."""
    text = shortened(" ".join(text.splitlines()))
    return shortened("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text))


def shortened(text: str) -> str:
    """The beginning and the end of a text of more than LONGEST characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST * 3 // 4]} … {text[-LONGEST // 5 :]}"


def trace(error: BaseException) -> str:
    """The stack trace of an error: the entries of a person's own code alone if there are any, else all.

    MLBENCH_DEBUG=1 shows all. The entries are found in the text, since another process sends only text.
    """
    text = "".join(traceback.format_exception(error))
    entries = list(re.finditer(r'^  File "(.*?)", line .*\n(?:    .*\n)*', text, re.MULTILINE))
    personal = [entry[0] for entry in entries if not of_a_library(entry[1])]
    if not personal or debugging():
        return text
    heading = "mlbench: in your own code, of whose trace MLBENCH_DEBUG=1 shows the rest:"
    return "".join([f"{heading}\n", *personal, text[entries[-1].end() :].rstrip(), "\n"])


def of_a_library(file: str) -> bool:
    """Whether a source file belongs to Python, to an installed package or to mlbench."""
    folders = [sysconfig.get_path("stdlib"), str(Path(__file__).parent)]
    inside = any(file.startswith(f"{folder}{os.sep}") for folder in folders)
    return inside or file.startswith("<") or bool({"site-packages", "dist-packages"} & {*Path(file).parts})


def debugging() -> bool:
    return os.environ.get("MLBENCH_DEBUG") == "1"


def expected(error: Exception) -> bool:
    """A person's to mend; anything else is ours, and shown with its stack trace."""
    return isinstance(error, UserError | OSError)


def sentence(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'writing'}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


def complain(text: str | Exception) -> None:
    print(f"mlbench: {text}", file=sys.stderr)


def tell(error: Exception) -> None:
    """Why a run failed that others do not wait for; with the trace of what nobody expected."""
    if not expected(error):
        print(trace(error), end="", file=sys.stderr)
    complain(sentence(error))
