"""What goes wrong on a person's side, said in one sentence, and the nearest right name."""

import difflib
import os
import re
import signal
import sysconfig
import threading
import traceback
from collections.abc import Iterable
from pathlib import Path

LONGEST = 2000  # characters that anybody reads
NAME = 100  # a longer one is not mistyped, and would take long to compare


class UserError(Exception):
    """One line: what was asked, what is wrong with it, what to do. Shown without a stack trace."""

    def __init__(self, sentence: str):
        super().__init__(one_line(sentence))


class DoesNotFit(UserError):
    """A data set offers less than the split or the method asks for; elsewhere either may well work."""


class DataMissing(UserError):
    """A data set's files are nowhere to be had."""


def did_you_mean(given: str, valid: Iterable[str]) -> str:
    """'; did you mean X?' when a valid name is near what was given, else nothing."""
    names = {name.lower(): name for name in valid if len(name) <= NAME} if len(given) <= NAME else {}
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean {names[near[0]]}?" if near else ""


def one_line(text: str) -> str:
    """What a file or a library says may hold ends of lines, what a terminal obeys, or megabytes."""
    text = shortened(" ".join(text.splitlines()))
    return shortened("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text))


def shortened(text: str) -> str:
    """Its beginning and its end where it is too long to be read."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST * 3 // 4]} … {text[-LONGEST // 5 :]}"


def trace(error: BaseException) -> str:
    """How it came about. Where a person's own code stands in it, that alone; MLBENCH_DEBUG=1 shows the rest.

    Read from the text, in which what happened in another process is, too.
    """
    text = "".join(traceback.format_exception(error))
    entries = list(re.finditer(r'^  File "(.*?)", line .*\n(?:    .*\n)*', text, re.MULTILINE))
    own = [entry[0] for entry in entries if not of_a_library(entry[1])]
    if not own or os.environ.get("MLBENCH_DEBUG") == "1":
        return text
    said = "mlbench: in your own code, of whose trace MLBENCH_DEBUG=1 shows the rest:"
    return "".join([f"{said}\n", *own, text[entries[-1].end() :].rstrip(), "\n"])


def of_a_library(file: str) -> bool:
    """Python's own, an installed one, or this."""
    folders = [sysconfig.get_path("stdlib"), str(Path(__file__).parent)]
    inside = any(file.startswith(f"{folder}{os.sep}") for folder in folders)
    return inside or file.startswith("<") or bool({"site-packages", "dist-packages"} & {*Path(file).parts})


INTERRUPTED = "mlbench: interrupted; the same command goes on from the last checkpoint"


def hear_sigterm() -> None:
    """From now on SIGTERM is what Ctrl-C is, a KeyboardInterrupt, unless somebody has another use for it."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
