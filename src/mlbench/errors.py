"""What goes wrong on a person's side, said in one sentence, and the nearest right name."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """One line: what was asked, what is wrong with it, what to do. Shown without a stack trace."""


class DataMissing(UserError):
    """A data set's files are nowhere to be had."""


def did_you_mean(given: str, valid: Iterable[str]) -> str:
    """'; did you mean X?' when a valid name is near what was given, else nothing."""
    near = difflib.get_close_matches(given.lower(), {name.lower(): name for name in valid}, n=1, cutoff=0.5)
    return f"; did you mean {next(v for v in valid if v.lower() == near[0])}?" if near else ""
