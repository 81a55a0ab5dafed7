"""The names under which predictions of other programs are kept."""

import re

from mlbench.compose import choices
from mlbench.errors import UserError

NAME = re.compile(r"\w[\w.+-]*")


def check_name(name: str) -> str:
    """Refuses what is no name of one word, and the name of a method of ours."""
    if not NAME.fullmatch(name):
        raise UserError(f"as={name}: give one word, of letters, digits and .+-_")
    if name in choices("method"):
        raise UserError(f"as={name}: a method of mlbench is called so; choose another name, as {name}-theirs")
    return name
