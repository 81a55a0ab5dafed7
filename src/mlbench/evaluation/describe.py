"""Prints docs/metrics.md: every metric as its docstring defines it."""

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from mlbench.evaluation import (
    curves,
    embedding,
    frequency,
    label_sets,
    likelihood,
    propensity,
    ranking,
    reliability,
    unknown,
)
from mlbench.evaluation.embedding import Probe
from mlbench.evaluation.metric import Metric
from mlbench.evaluation.suite import COUNTED, paragraphs

HEAD = """# Metrics

Which definition is behind a name, what it does with ties and with empty rows, and who computes the same.
A run measures all of them, from the scores and the label sets of its test part. A threshold rule that looks
at test labels adds `_oracle` to the names. NaN, in a record null: the data leave this metric undefined.

Metrics of the top k are those of any k that a person names, wherever a metric is named: a table has
`ndcg_at_10`, `selection.metric=` and `mlbench score ... also=[recall_at_20]` take it, `mlbench.metrics` has
it. A run measures those of 1, 3 and 5.

`python -m mlbench.evaluation.describe` prints this page from the code.
"""
MODULES = (label_sets, ranking, curves, likelihood, reliability, propensity)
COLUMNS = ("metric", "better", "definition", "conventions, and who shares them")
BAR = "\\|"  # how Markdown writes a bar within a cell


def page() -> str:
    grouped = {name: metric for name, metric in COUNTED.items() if name not in vars(propensity)}
    sections = [section(module, vars(module)) for module in MODULES]
    sections += [section(frequency, grouped), section(embedding, vars(embedding))]
    return "\n".join([HEAD, *sections, f"## Unknown labels\n\n{inspect.getdoc(unknown)}\n"])


def section(module: ModuleType, members: Mapping[str, Any]) -> str:
    """The module's docstring, then a table with a row for each metric among the members."""
    title, *shared = paragraphs(module)
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for name, member in members.items():
        if isinstance(member, Metric | Probe):
            definition, *conventions = paragraphs(member.reduce)
            rows.append((f"`{name}`", member.better, definition, " ".join(conventions)))
    table = "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |" for row in rows)
    return "\n\n".join([f"## {title.partition(':')[0].rstrip('.')}", *shared, table]) + "\n"


if __name__ == "__main__":
    print(page(), end="")
