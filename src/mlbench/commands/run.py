"""The command line: Hydra in, one record out. torch is imported only once the configuration is checked."""

import argparse
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from mlbench import __version__
from mlbench.commands.arguments import show_help
from mlbench.commands.first import carried_out
from mlbench.commands.lines import close_sweep, finished, show, summary
from mlbench.compose import config_dir, explain, names
from mlbench.errors import (
    UserError,
    complain,
    debugging,
    expected,
    sentence,
    trace,
)
from mlbench.files import write
from mlbench.interrupt import INTERRUPTED, hear_sigterm
from mlbench.loading import start
from mlbench.runs.job import execute
from mlbench.spelling import arranged
from mlbench.words import quoted

sweeps: list[Path] = []  # folders of the sweeps this process started
errors: list[Exception] = []  # what stopped the one job of this process


def main() -> None:
    """Exit status 0: done; 2: something for a person to mend, said in one line; 130: interrupted."""
    sys.exit(carried_out(alone))


def alone() -> None:
    """The command in a process that was started by itself, or in the first one of a team."""
    sys.argv[1:] = quoted(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors arrive here as they are instead of being printed by Hydra
    hear_sigterm()
    if "--version" in sys.argv[1:]:
        print(f"mlbench {__version__}")
        sys.exit(0)
    try:
        sys.argv[1:] = arranged(sys.argv[1:], names)
        if {"-h", "--help"} & {*sys.argv[1:]}:
            return told_how()
        begin(sys.argv[1:])
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # of composing: the job keeps its own
        if debugging():
            raise
        if (
            isinstance(error, OSError) and error.errno
        ):  # Hydra does not name what it writes into a sweep's folder
            error.filename = error.filename or str(sweeps[-1] if sweeps else Path.cwd())
            complain(sentence(error))
        else:
            complain(str(error) if isinstance(error, UserError) else explain(error, asked(sys.argv[1:])))
        sys.exit(2)
    for error in errors:
        if debugging():
            raise error
        if not expected(error):
            print(trace(error), end="", file=sys.stderr)
            sys.exit(1)
        complain(sentence(error))
    failed = sum(close_sweep(folder) for folder in sweeps)
    sys.exit(2 if errors or failed else 0)


def told_how() -> None:
    """Hydra's help, with the program named as it was typed."""
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        through_options()
    show_help(text.getvalue())
    sys.exit(0)


def begin(words: list[str]) -> None:
    """Hydra's own way is for options of Hydra's, and where a machine's file may choose its mode."""
    rest = [word for word in words if word not in ("-m", "--multirun")]
    local = (config_dir() / "local" / "default.yaml").is_file()
    if local or any(word.startswith(("-", "hydra.mode", "+hydra.mode")) for word in rest):
        through_options()
    else:
        start(config_dir(), job, rest, many=len(rest) < len(words))


def job(composed: DictConfig) -> None:
    """The only job, or one of a sweep, which notes a failure and goes on."""
    settings = HydraConfig.get()
    try:
        record, path = execute(composed, settings.runtime.choices, settings.overrides.task)
    except Exception as error:
        if settings.mode == RunMode.RUN:
            errors.append(error)
            return
        if not expected(error):
            print(trace(error), end="", file=sys.stderr)
        line: dict[str, Any] = {"failed": sentence(error)}
    else:
        if settings.mode == RunMode.RUN:
            show(record, path)
            return
        line = finished(record, path)
    line["overrides"] = list(settings.overrides.task)
    try:
        write(Path(settings.sweep.dir) / f"{settings.job.num}.json", json.dumps(line))
    except OSError as error:  # of an error that it sees, Hydra prints lines of its own
        complain(sentence(error))
        sys.exit(2)
    print(summary(line), flush=True)


through_options = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")(job)


class Sweep(Callback):
    """Remembers where the jobs of a sweep, in whatever process they ran, left word; and, for jobs of this
    process, which others each of them may be trained with."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        sweeps.append(Path(config.hydra.sweep.dir))
        by_hydra = not config.hydra.launcher._target_.endswith("BasicLauncher")
        in_this_process = config.launch.get("processes") == 1
        if by_hydra and not in_this_process:
            complain("launch=... and a launcher of Hydra's both say where the runs go; leave one out")
            sys.exit(2)
        if by_hydra or (in_this_process and config.get("engine") != "auto"):
            return
        from mlbench.runs import sweep  # imports torch

        try:
            sweep.foresee(list(config.hydra.overrides.task), asked(sys.argv[1:]))
        except (UserError, OSError) as error:  # Hydra would print it and go on
            complain(sentence(error))
            sys.exit(2)


def asked(arguments: list[str]) -> list[str]:
    """The overrides on a command line; --config-dir among them as what it means."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    known, rest = parser.parse_known_args(arguments)
    search_path = [f"hydra.searchpath=['file://{known.config_dir.absolute()}']"] if known.config_dir else []
    return [word for word in rest if "=" in word and not word.startswith("-")] + search_path
