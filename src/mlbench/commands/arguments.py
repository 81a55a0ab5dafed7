"""What the commands beside `run` share: options of the form key=value, errors in one line."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mlbench import __version__
from mlbench.errors import UserError, complain, debugging, did_you_mean, sentence
from mlbench.interrupt import hear_sigterm
from mlbench.spelling import foreign


def answered(
    run: Callable[[list[str]], int | None], arguments: list[str] | None = None, usage: str = ""
) -> int:
    """The exit status: 0, 2 where there is something for a person to mend, 130 after an interrupt. A command
    whose usage is no fixed text prints it itself.
    """
    hear_sigterm()
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(f"mlbench {__version__}")
        return 0
    try:
        if usage and {"-h", "--help"} & set(arguments):
            show_help(usage)
            return 0
        return run(arguments) or 0
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it stopped")
        return 130
    except BrokenPipeError:
        return nobody_reads()
    except (UserError, OSError) as error:
        if debugging() or (isinstance(error, OSError) and not error.strerror):
            raise
        complain(sentence(error))
        return 2


def show_help(text: str) -> None:
    try:
        print(as_typed(text.rstrip("\n")), flush=True)
    except BrokenPipeError:
        nobody_reads()


def nobody_reads() -> int:
    """The exit status once a reader such as `| head` has closed the pipe: the rest is dropped in silence."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def as_typed(text: str) -> str:
    """`mlbench report` for `python scripts/report.py` where that or `python -m mlbench report` was typed."""
    if Path(sys.argv[0]).stem not in ("mlbench", "__main__"):
        return text
    text = re.sub(r"python scripts/(\w+)\.py", r"mlbench \1", text)
    return text.replace("python run.py", "mlbench")


def pairs(arguments: Sequence[str], first: str = "", keys: Iterable[str] = ()) -> dict[str, str]:
    """The options: values by key. `first` is the key to which a word without a key is likely to belong."""
    options: dict[str, str] = {}
    for index, argument in enumerate(arguments):
        key, sign, value = argument.partition("=")
        if argument.startswith("-"):
            raise UserError(
                foreign(argument, list(arguments[index + 1 :]), keys or [first], ("--help", "--version"))
            )
        if not sign and argument in keys:
            raise UserError(f"{argument}: a value is missing; write {argument}=...")
        if not sign and first:
            raise UserError(f"{argument}: write {first}={argument}; --help lists the keys")
        if not sign:
            raise UserError(f"{argument}: write key=value; --help lists the keys")
        if options.setdefault(key, value) != value:
            raise UserError(f"{key}={options[key]} and {argument}: {key} is given twice; leave one out")
    return options


def check_keys(keys: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in keys:
        if key not in known:
            near = did_you_mean(key, known)
            are = "are" if len(known) > 1 else "is"
            raise UserError(f"{key}: no such key; there {are} {', '.join(known)}{near}")


def is_true(options: Mapping[str, str], key: str) -> bool:
    if (value := options.get(key, "false")) not in ("true", "false"):
        raise UserError(f"{key}={value}: choose true or false")
    return value == "true"


def outputs_of(options: Mapping[str, str], there: bool = False) -> Path:
    """The folder of the runs; `there` refuses one that does not exist."""
    outputs = Path(options.get("paths.outputs", "outputs")).expanduser()
    if there and not outputs.is_dir():
        raise UserError(f"paths.outputs={outputs}: there is no such folder")
    return outputs
