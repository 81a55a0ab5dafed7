"""What goes wrong on a person's side, said in one sentence, and the nearest right name."""

import difflib
from collections.abc import Iterable

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
