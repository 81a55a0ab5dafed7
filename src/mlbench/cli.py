"""The command line: Hydra in, one record out. torch is imported only once the configuration is checked."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from mlbench import __version__
from mlbench.compose import config_dir, explain, names, settled
from mlbench.errors import INTERRUPTED, UserError, hear_sigterm, trace
from mlbench.files import write
from mlbench.results import repeats
from mlbench.spelling import arranged
from mlbench.words import quoted

if TYPE_CHECKING:
    from mlbench.results.record import Record

SHOWN = ("f1_micro", "f1_macro", "f1_example", "hamming_loss", "subset_accuracy", "ranking_loss", "ap_macro")


sweeps: list[Path] = []  # folders of the sweeps this process started
errors: list[Exception] = []  # what stopped the one job of this process


def main() -> None:
    """Exit status 0: done; 2: something for a person to mend, said in one line; 130: interrupted."""
    sys.argv[1:] = quoted(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors arrive here as they are instead of being printed by Hydra
    hear_sigterm()
    if "--version" in sys.argv[1:]:
        print(f"mlbench {__version__}")
        sys.exit(0)
    try:
        sys.argv[1:] = arranged(sys.argv[1:], names)
        job()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # of composing: the job keeps its own
        if debugging():
            raise
        if getattr(error, "errno", None):  # Hydra does not name what it writes into a sweep's folder
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


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def job(composed: DictConfig) -> None:
    """The only job, or one of a sweep, which notes a failure and goes on."""
    settings = HydraConfig.get()
    try:
        record, path = execute(composed, settings.runtime.choices)
    except Exception as error:
        if settings.mode == RunMode.RUN:
            errors.append(error)
            return
        if not expected(error):
            print(trace(error), end="", file=sys.stderr)
        line = {"failed": sentence(error)}
    else:
        if settings.mode == RunMode.RUN:
            show(record, path)
            return
        line = finished(record, path)
    line["overrides"] = list(settings.overrides.task)
    write(Path(settings.sweep.dir) / f"{settings.job.num}.json", json.dumps(line))
    print(summary(line), flush=True)


class Sweep(Callback):
    """Remembers where the jobs of a sweep, in whatever process they ran, left word; and, for jobs of this
    process, which others each of them may be trained with."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        sweeps.append(Path(config.hydra.sweep.dir))
        here = config.hydra.launcher._target_.endswith("BasicLauncher")
        if here and config.get("engine") == "auto":
            from mlbench import sweep

            sweep.foresee(list(config.hydra.overrides.task), asked(sys.argv[1:]))


def asked(arguments: list[str]) -> list[str]:
    """The overrides on a command line; --config-dir among them as what it means."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    known, rest = parser.parse_known_args(arguments)
    own = [f"hydra.searchpath=['file://{known.config_dir.absolute()}']"] if known.config_dir else []
    return [word for word in rest if "=" in word and not word.startswith("-")] + own


def execute(composed: DictConfig, chosen: dict[str, str | None]) -> "tuple[Record, Path]":
    from mlbench.premises import check_premises

    check_premises(settled(composed, chosen, importing=False))
    from mlbench.sweep import run  # imports torch

    return run(settled(composed, chosen))


def show(record: "Record", path: Path) -> None:
    """A small table on a terminal, one line elsewhere."""
    if not sys.stdout.isatty():
        print(summary(finished(record, path)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    choices = record.choices
    chosen = record.selected.get(record.rule, {})
    by = "".join(f" (epoch {chosen['epoch']} by {metric})" for metric in chosen if metric != "epoch")
    title = f"{choices['method']} on {choices['dataset']}: {record.parts['test']} test instances"
    caption = (
        f"split {choices['split']}, threshold {choices['threshold']}, selection {record.rule}{by}, "
        f"seed {record.seed}"
    )
    table = Table("metric", "value", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name, value in shown(record.metrics[record.rule]).items():
        table.add_row(name, f"{value:.4f}")
    console = Console(soft_wrap=True, highlight=False)
    console.print(title, table, caption, sep="\n")
    console.print(str(path))


def shown(metrics: dict[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in metrics if name.removesuffix("_oracle") in SHOWN}


def finished(record: "Record", path: Path) -> dict[str, Any]:
    place, folds, result = repeats.place(record), repeats.folds(record), repeats.result(record)
    about = {"rule": record.rule, "result": result, "place": place, "folds": folds}
    return {"record": str(path), "metrics": record.metrics[record.rule]} | about


def summary(line: dict[str, Any]) -> str:
    """One line of a run: what was asked, what was measured (under which rule, if not the usual), where."""
    if "failed" in line:
        return f"{' '.join(line['overrides'])}  failed: {line['failed']}"
    rule = [] if line["rule"] == "last" else [f"selection={line['rule']}"]
    metrics = [f"{name}={value:.4f}" for name, value in shown(line["metrics"]).items()]
    return " ".join([*line.get("overrides", []), *rule, *metrics, line["record"]])


def close_sweep(folder: Path) -> int:
    """Says the mean of every result of several runs, lists what failed; the number of failures."""
    lines = [
        json.loads(path.read_text()) for path in sorted(folder.glob("*.json"), key=lambda p: int(p.stem))
    ]
    failed = [line for line in lines if "failed" in line]
    for line in means([line for line in lines if "failed" not in line]):
        print(line)
    print(f"{len(lines) - len(failed)} of {len(lines)} runs finished")
    for line in failed:
        complain(summary(line))
    return len(failed)


def means(lines: list[dict[str, Any]]) -> Iterator[str]:
    """A line a result: what its runs have in common, and the shown metrics over all of them."""
    results: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        results.setdefault(line["result"], []).append(line)
    for of in results.values():
        runs = {tuple(line["place"]): line["metrics"] for line in of}
        if len(runs) > 1:
            folds = of[0]["folds"]
            found = {
                name: repeats.average({place: metrics.get(name) for place, metrics in runs.items()})
                for name in shown(of[0]["metrics"])
            }
            known = {name: average for name, average in found.items() if average}
            words = [word for word in of[0]["overrides"] if not word.startswith(("seed=", "split.fold="))]
            over = next((f", ± over {average.over}" for average in known.values() if folds), "")
            metrics = [f"{name}={average.mean:.4f}{_spread(average.std)}" for name, average in known.items()]
            yield " ".join([*words, f"mean of {repeats.counted(runs, folds)}{over}:", *metrics])


def _spread(std: float | None) -> str:
    return "" if std is None else f"±{std:.4f}"


def debugging() -> bool:
    return os.environ.get("MLBENCH_DEBUG") == "1"


def expected(error: Exception) -> bool:
    """A person's to mend; anything else is ours, and shown with its stack trace."""
    return isinstance(error, UserError | OSError)


def sentence(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'writing to paths.outputs'}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


def complain(text: str) -> None:
    print(f"mlbench: {text}", file=sys.stderr)
