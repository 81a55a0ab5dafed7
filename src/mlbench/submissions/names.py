"""The names under which predictions of other programs are kept."""

import re

from mlbench.compose import choices
from mlbench.errors import UserError

NAME = re.compile(r"\w[\w.+-]*")


def check_name(name: str, key: str = "as") -> str:
    """Refuses what is no name of one word, and the name of a method of ours; `key` is what a person typed."""
    if not NAME.fullmatch(name):
        raise UserError(f"{key}={name}: give one word, of letters, digits and .+-_")
    if name in choices("method"):
        other = f"{name}-{'theirs' if key == 'as' else 'mine'}"
        raise UserError(f"{key}={name}: a method of mlbench is called so; choose another name, as {other}")
    return name
