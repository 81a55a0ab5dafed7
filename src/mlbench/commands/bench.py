"""The command line of the benchmarks: suites by name, a table to read, a JSON file to keep."""

import inspect
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mlbench.bench.chain import chain
from mlbench.bench.contrastive import contrastive
from mlbench.bench.encoders import encoders
from mlbench.bench.enhancement import enhancement
from mlbench.bench.graph import graph
from mlbench.bench.intervals import intervals
from mlbench.bench.load import load
from mlbench.bench.many import many
from mlbench.bench.metrics import metrics
from mlbench.bench.multimodal import multimodal
from mlbench.bench.page import page
from mlbench.bench.predict import predict
from mlbench.bench.records import records
from mlbench.bench.start import start
from mlbench.bench.step import step
from mlbench.bench.timing import Row
from mlbench.commands.arguments import answered, as_typed, check_keys, pairs
from mlbench.errors import UserError, did_you_mean
from mlbench.files import write
from mlbench.results.record import machine, revision, versions, write_json
from mlbench.spelling import spelled

Suite = Callable[..., Iterator[Row]]

SUITES: dict[str, Suite] = {
    suite.__name__: suite
    for suite in (
        step,
        chain,
        many,
        enhancement,
        contrastive,
        multimodal,
        encoders,
        graph,
        metrics,
        intervals,
        load,
        predict,
        start,
        records,
    )
}
ACCELERATORS = ("cpu", "gpu")
COLUMNS = ("", "beside", "ours", "other", "ratio", "least", "largest")


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments)


def run(arguments: list[str]) -> None:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(as_typed(usage()))
        return
    options = pairs(arguments, "suite", ("suite", "page", "paths.outputs"))
    outputs = Path(options.pop("paths.outputs", "outputs")).expanduser()
    shown_on = options.pop("page", None)
    if shown_on and not options:  # a page of the measurements that are kept
        write_page(Path(shown_on), outputs)
        return
    name = options.pop("suite", "all")
    if name != "all" and name not in SUITES:
        raise UserError(f"suite={name}: choose {', '.join(SUITES)} or all{did_you_mean(name, SUITES)}")
    here = [suite for suite in SUITES.values() if suite is not graph or torch.cuda.is_available()]
    chosen = here if name == "all" else [SUITES[name]]
    known = {key: option for suite in chosen for key, option in inspect.signature(suite).parameters.items()}
    check_keys(options, ["suite", "page", "paths.outputs", *known])
    settings = {key: typed(key, value, known[key].default) for key, value in options.items()}
    for suite in chosen:
        of = "-gpu" if settings.get("accelerator") == "gpu" else ""
        report(suite, settings, outputs / "bench" / f"{suite.__name__}{of}.json")
    if shown_on:
        write_page(Path(shown_on), outputs)


def write_page(path: Path, outputs: Path) -> None:
    about = {name: inspect.getdoc(suite) or "" for name, suite in SUITES.items()}
    print(write(path, page(outputs / "bench", about)))


def usage() -> str:
    lines = [f"{spelled('bench')} suite=NAME|all key=value ...   writes outputs/bench/NAME.json"]
    lines += [
        "page=docs/performance.md   writes what was last measured as a page, after measuring if asked to"
    ]
    for name, suite in SUITES.items():
        defaults = [
            f"{key}={shown(option.default)}" for key, option in inspect.signature(suite).parameters.items()
        ]
        lines.append(f"\nsuite={name} {' '.join(defaults)}\n  {inspect.getdoc(suite)}")
    return "\n".join(lines)


def shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def typed(key: str, value: str, default: Any) -> Any:
    """`value` in the type of the default."""
    if isinstance(default, tuple):
        return tuple(value.split(","))
    if isinstance(default, str):
        if value not in ACCELERATORS:
            raise UserError(f"{key}={value}: choose {' or '.join(ACCELERATORS)}")
        return value
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"{key}={value}: a whole number, 1 or more")
    return int(value)


def report(suite: Suite, settings: dict[str, Any], path: Path) -> None:
    """Prints each row when it is measured, and keeps all in the file."""
    options = inspect.signature(suite).parameters
    settings = {key: settings.get(key, option.default) for key, option in options.items()}
    name = suite.__name__
    print(f"{name}: {', '.join(f'{key}={shown(value)}' for key, value in settings.items())}")
    print(line(*COLUMNS), flush=True)
    rows = []
    for row in suite(**settings):
        rows.append(content := row.content())
        ours, other, ratio = (content[key] for key in ("ours", "other", "ratio"))
        numbers = [f"{ours['median']:.3f} s", f"{other['median']:.3f} s"]
        numbers += [f"{ratio[key]:.2f}" for key in ("median", "min", "max")]
        print(line(row.name, row.against, *numbers))
        if row.notes:
            print("  " + ", ".join(map(note, row.notes, row.notes.values())))
        sys.stdout.flush()
    about = {"suite": name, "settings": settings, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(
        path, about | {"machine": machine(), "versions": versions(), "revision": revision(), "rows": rows}
    )
    print(path)


def note(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {f'{value:.4g}' if isinstance(value, float) else value}"


def line(name: str, against: str, *numbers: str) -> str:
    return f"{name:34}  {against:26}" + "".join(number.rjust(10) for number in numbers)
