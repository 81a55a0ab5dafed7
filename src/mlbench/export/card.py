"""A run's model card, in Markdown: a pure function of what the run left."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.intervals import Part, intervals
from mlbench.evaluation.suite import METRICS, definition
from mlbench.export.graph import Graph
from mlbench.predict import Trained
from mlbench.results.record import Record

DRAWS = 2000


def card(run: Trained, record: Record, graph: Graph, scores_file: Path) -> str:
    choices, data = record.choices, record.data
    statistics = data.get("statistics", {})
    facts = {
        "name": run.dataset,
        "instances": ", ".join(f"{part} {count:,}" for part, count in record.parts.items()),
        "features": f"{statistics['features']:,}" if "features" in statistics else "",
        "labels": f"{len(run.schema.labels):,}",
        "labels an instance": f"{statistics['cardinality']:.2f}" if "cardinality" in statistics else "",
        "citation": run.citation,
        "licence": run.licence or "none stated",
    }
    named = ("method", "backbone", "loss", "split", "calibration", "threshold")
    protocol = {name: choices.get(name, "") for name in named}
    protocol |= {"cuts fitted on": run.cut_on, "selection": selected(record), "seed": str(record.seed)}
    made = record.versions | {"revision": record.revision or "", "code": record.code or "", "key": record.key}
    rows = map(row_of, measured(record, graph.sets, scores_file))
    settings = yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True).strip()
    return "\n\n".join(
        [
            f"# {choices['method']} on {run.dataset}",
            f"A multi-label classifier of {len(run.schema.labels):,} labels, trained by mlbench.",
            "## Data",
            table(("", ""), facts.items()),
            "## Protocol",
            table(("", ""), protocol.items()),
            "## On the test part",
            f"In brackets the middle 95 % of {DRAWS:,} bootstrap resamples of the test instances, with the "
            "trained model and its cuts as they are: another seed or split is not in them.",
            table(("metric", "value", "interval", "definition"), rows),
            "## Labels",
            table(*by_label(record)),
            "## How it was made",
            table(("", ""), made.items()),
            f"```yaml\n{settings}\n```\n",
        ]
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a row of two cells whose second is empty is left out."""
    lines = [head, ["---"] * len(head), *(row for row in rows if len(row) > 2 or row[1])]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def selected(record: Record) -> str:
    selection = record.selected.get(record.rule, {})
    by = "".join(f", epoch {selection['epoch']} by {metric}" for metric in selection if metric != "epoch")
    return f"{record.rule}{by}"


class Measure(NamedTuple):
    name: str
    value: float
    interval: tuple[float, float] | None
    definition: str


def measured(record: Record, sets: Callable[[Tensor], Tensor] | None, scores_file: Path) -> list[Measure]:
    """Each metric of the run with its interval, where it has one; `sets` cuts scores."""
    try:
        with np.load(scores_file) as archive:
            scores = torch.from_numpy(archive[record.rule])
            targets = torch.from_numpy(archive["targets"])
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{scores_file} cannot be read: run again with force=true") from error
    metrics = record.metrics[record.rule]
    of_scores = [name for name in METRICS if METRICS[name].needs == "scores" and name in metrics]
    parts = [Part(scores, of_scores)]
    if sets is not None:
        of_sets = [name for name in METRICS if METRICS[name].needs == "label_sets" and name in metrics]
        parts.append(Part(sets(scores).bool(), of_sets))
    known = intervals([part for part in parts if part.resampled], targets, DRAWS)
    ends = {name: interval for name, interval in known.items() if interval[0] == interval[0]}
    return [
        Measure(name, metrics[name], ends.get(name), definition(name)) for name in METRICS if name in metrics
    ]


def row_of(measure: Measure) -> tuple[str, str, str, str]:
    name, value, ends, text = measure
    return name, f"{value:.4f}", "" if ends is None else f"[{ends[0]:.4f}, {ends[1]:.4f}]", text


def by_label(record: Record) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a table of labels: each label's metrics in the record, and its cut."""
    per_label, cuts = record.per_label, record.thresholds.get(record.rule)
    count = len(per_label["label"])
    cut = cuts if isinstance(cuts, list) and len(cuts) == count else [cuts] * count
    columns = per_label | ({"cut": cut} if isinstance(cut[0], float | int) else {})
    rows = [[cell(column[row]) for column in columns.values()] for row in range(count)]
    return [*columns], rows


def cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
