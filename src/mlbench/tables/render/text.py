"""Writes the numbers and words of a table, the same in every format."""

from collections.abc import Iterator

from mlbench.results.repeats import Average
from mlbench.tables.cells import Cell
from mlbench.tables.comparison import FEW, Comparison
from mlbench.tables.measured import better
from mlbench.tables.published import Published
from mlbench.tables.spec import Results
from mlbench.tables.table import Table, View

ARROWS = {"low": ("↓", "lower is better"), "high": ("↑", "higher is better")}
MARKS = {"agrees": "=", "better": "▲", "worse": "▼", "not compared": "·", "not run": "–"}
LEGEND = (
    "= agrees: the difference is within two standard errors, or .01; ▲ ours is better; ▼ ours is worse; "
    "· nothing to compare with"
)


CHOICE = ("chosen: seeds", "of", "validation", "as good", "without")
CHOSEN = (
    "For every seed (and fold) the options whose run is best on the validation part, in its best epoch; "
    "of equals the first in the order of the grid. “As good” counts those equals, “without” the runs that "
    "failed or left the metric undefined."
)


def metrics(spec: Results) -> str:
    """The paper's names of metrics with direction, our name and note."""
    texts = []
    for name, measured in spec.metrics.items():
        ours = f"our {measured.ours}" if measured.ours != name else ""
        more = "; ".join(filter(None, (ours, measured.note)))
        texts.append(f"{name} {ARROWS[better(measured.ours)][0]}" + (f" ({more})" if more else ""))
    return "; ".join(texts)


def ours(value: Average, decimals: int) -> str:
    """0.451 ± 0.010; without ± when there is one run."""
    spread = "" if value.std is None else f" ± {value.std:.{decimals}f}"
    return f"{value.mean:.{decimals}f}{spread}"


def theirs(cell: Published | None, unknown: str = "–") -> str:
    """The printed digits; a deviation that cannot be right is in brackets."""
    if cell is None or cell.mean is None:
        return unknown
    number = f"{cell.mean:.{cell.decimals}f}"
    if cell.std is None:
        return number
    spread = f"± {cell.std:.{cell.std_decimals}f}"
    return f"{number} ({spread})" if cell.doubtful_std else f"{number} {spread}"


def missing(cell: Cell) -> str:
    """not run: data"""
    reason = cell.reason.partition(";")[0]
    return f"not run: {reason if len(reason) <= 40 else 'see below'}"


def missing_note(cell: Cell) -> str:
    """The number of runs where some are missing, and what the deviation is taken over if that changes it."""
    if not cell.ours or not cell.missing:
        return ""
    text = f"n={len(cell.ours.values)}"
    if cell.folds:
        text += f" of {cell.planned * cell.folds}"
        text += "; ± over folds" if cell.planned > 1 and cell.ours.over == "folds" else ""
    return f" ({text})"


def chosen(table: Table) -> Iterator[list[str]]:
    """A row a case: which options were chosen for which seeds and, seed by seed, their validation value and
    the number of points as good.
    """
    for where, choices in table.choices.items():
        if not choices:
            continue
        by_options: dict[str, list[str]] = {}
        for (seed, fold), choice in choices.items():
            by_options.setdefault(choice.options, []).append(f"{seed}{'' if fold is None else f'/{fold}'}")
        chosen_options = "; ".join(f"{words}: {', '.join(repeats)}" for words, repeats in by_options.items())
        each = [*choices.values()]
        values = ", ".join(f"{choice.value:.4f}" for choice in each)
        equal, without = (
            ", ".join(str(number) for number in numbers)
            for numbers in ([choice.equal for choice in each], [choice.without for choice in each])
        )
        name = " ".join(filter(None, where))
        yield [name, chosen_options, str(each[0].points), values, equal, without]


def about(view: View, quote: str = "") -> str:
    """How the metrics and the selection of a view differ from the first view's."""
    sentences = [f"Metrics whose names end in {quote}{view.suffix}{quote}."] if view.suffix else []
    sentences += [f"Selection: {view.rule}."] if view.rule else []
    return " ".join(sentences)


def deviations(spec: Results) -> str:
    """What the deviations are taken over."""
    if not spec.folds:
        return "over seeds"
    folds = f"{spec.folds} folds"
    return f"over the {folds}" if spec.seeds == 1 else f"over the seeds' means of {folds} each"


def few(comparison: Comparison) -> str:
    """A warning about a test over fewer than FEW data sets; empty where there are enough."""
    if len(comparison.datasets) >= FEW:
        return ""
    return (
        f"Fewer than {FEW} data sets: Friedman's p is an approximation that is poor here, and that no "
        "difference is found says little."
    )


def rank(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def below(p: float, decimals: int) -> str:
    """A probability in decimals; < 0.001 where it would be written as 0.000."""
    least = 10**-decimals
    return f"{p:.{decimals}f}" if p >= least else f"< {least:.{decimals}f}"


def words(name: str) -> str:
    return name.replace("_", " ")
