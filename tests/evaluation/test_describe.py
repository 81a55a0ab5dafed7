"""docs/metrics.md is what the docstrings say, and they say something of every metric."""

from pathlib import Path

from mlbench.evaluation import describe
from mlbench.evaluation.embedding import PROBES
from mlbench.evaluation.suite import ALL

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_printed_from_the_code():
    again = "python -m mlbench.evaluation.describe > docs/metrics.md"
    assert PAGE.read_text() == describe.page(), f"the docstrings have changed: {again}"


def test_every_metric_has_a_row_with_its_direction_and_definition():
    rows = [line.strip("| ").split(" | ") for line in describe.page().splitlines() if line.startswith("| `")]
    known = ALL | PROBES
    assert [row[0].strip("`") for row in rows] == list(known)
    assert all(row[1] == known[row[0].strip("`")].better and len(row[2]) > 10 for row in rows)
