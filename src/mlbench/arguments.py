"""What the commands beside `run` share: words of the form key=value, and what is wrong said in one line."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from mlbench.errors import UserError, did_you_mean, hear_sigterm


def answered(run: Callable[[list[str]], int | None], arguments: list[str] | None = None) -> int:
    """The exit status: 0, 2 where there is something for a person to mend, 130 after an interrupt."""
    hear_sigterm()
    try:
        return run(sys.argv[1:] if arguments is None else arguments) or 0
    except KeyboardInterrupt:
        print("mlbench: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        if os.environ.get("MLBENCH_DEBUG") == "1" or (isinstance(error, OSError) and not error.strerror):
            raise
        said = f"{error.filename or 'writing'}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"mlbench: {said}", file=sys.stderr)
        return 2


def spelled(command: str) -> str:
    """How a person starts a command: in a checkout by its script, elsewhere as the installed `mlbench`."""
    script = Path("run.py" if command == "run" else f"scripts/{command}.py")
    checkout = Path(__file__).parents[2]
    return f"python {script}" if (checkout / script).is_file() else f"mlbench {command}"


def pairs(arguments: Iterable[str]) -> dict[str, str]:
    given = {}
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if not sign:
            raise UserError(f"{argument}: write key=value; --help lists the keys")
        given[key] = value
    return given


def check_keys(given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            near = did_you_mean(key, known)
            are = "are" if len(known) > 1 else "is"
            raise UserError(f"{key}: no such key; there {are} {', '.join(known)}{near}")
