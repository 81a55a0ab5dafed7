"""A command that torchrun or srun has started in several processes: the first of them carries it out."""

import sys
from collections.abc import Callable

from mlbench.errors import UserError, complain
from mlbench.team import rank_here, team, words


def carried_out(command: Callable[[], int | None]) -> int | None:
    """Carries out a command in the first process, while the others train with it; the exit status.

    A process that was started by itself is the first.
    """
    try:
        joined = team()
        if joined is not None:
            sys.argv[1:] = words(sys.argv[1:], joined.size)
    except UserError as error:
        if not rank_here():  # the others end alike
            complain(error)
        return 2
    if joined is None:
        return command()
    from mlbench.engine.joined import led  # imports torch

    return led(command)
