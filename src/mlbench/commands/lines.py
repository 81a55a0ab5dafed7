"""What a run ends with, and a sweep of runs: a table on a terminal, lines elsewhere."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.errors import complain
from mlbench.results import repeats

if TYPE_CHECKING:
    from mlbench.results.record import Record

SHOWN = ("f1_micro", "f1_macro", "f1_example", "hamming_loss", "subset_accuracy", "ranking_loss", "ap_macro")


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
    calibrated = f"calibration {choices['calibration']}, " if "calibration" in choices else ""
    caption = (
        f"split {choices['split']}, {calibrated}threshold {choices['threshold']}, "
        f"selection {record.rule}{by}, seed {record.seed}"
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
    repeat, folds, result = repeats.repeat(record), repeats.folds(record), repeats.result(record)
    about = {"rule": record.rule, "result": result, "place": repeat, "folds": folds}
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
            averages = {
                name: repeats.average({repeat: metrics.get(name) for repeat, metrics in runs.items()})
                for name in shown(of[0]["metrics"])
            }
            known = {name: average for name, average in averages.items() if average}
            words = [word for word in of[0]["overrides"] if not word.startswith(("seed=", "split.fold="))]
            over = next((f", ± over {average.over}" for average in known.values() if folds), "")
            metrics = [f"{name}={average.mean:.4f}{_spread(average.std)}" for name, average in known.items()]
            yield " ".join([*words, f"mean of {repeats.counted(runs, folds)}{over}:", *metrics])


def _spread(std: float | None) -> str:
    return "" if std is None else f"±{std:.4f}"
