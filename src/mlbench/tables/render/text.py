"""How a number of a table is written, the same in every format."""

from mlbench.results.repeats import Average
from mlbench.tables.cells import Cell
from mlbench.tables.comparison import FEW, Comparison
from mlbench.tables.measured import better
from mlbench.tables.published import Published
from mlbench.tables.spec import Results

ARROWS = {"low": ("↓", "lower is better"), "high": ("↑", "higher is better")}
MARKS = {"agrees": "=", "better": "▲", "worse": "▼", "not compared": "·", "not run": "–"}
LEGEND = (
    "= agrees: the difference is within two standard errors, or .01; ▲ ours is better; ▼ ours is worse; "
    "· nothing to compare with"
)


def metrics(spec: Results) -> str:
    """What is ours behind the paper's names."""
    said = []
    for name, measured in spec.metrics.items():
        more = [f"our {measured.ours}"] if measured.ours != name else []
        more += [measured.note] if measured.note else []
        said.append(
            " ".join([name, ARROWS[better(measured.ours)][0], *([f"({'; '.join(more)})"] if more else [])])
        )
    return "; ".join(said)


def ours(value: Average, decimals: int) -> str:
    """0.451 ± 0.010; without ± when there is one run."""
    spread = "" if value.std is None else f" ± {value.std:.{decimals}f}"
    return f"{value.mean:.{decimals}f}{spread}"


def theirs(cell: Published | None, unknown: str = "–") -> str:
    """The printed digits. A deviation that cannot be right stands in brackets."""
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
    """How many runs there are, where some are missing; the deviation may then be over something else."""
    if not cell.ours or not cell.missing:
        return ""
    said = f"n={len(cell.ours.values)}"
    if cell.folds:
        said += f" of {cell.planned * cell.folds}"
        said += "; ± over folds" if cell.planned > 1 and cell.ours.over == "folds" else ""
    return f" ({said})"


def deviations(spec: Results) -> str:
    """What the deviations are over."""
    if not spec.folds:
        return "over seeds"
    folds = f"{spec.folds} folds"
    return f"over the {folds}" if spec.seeds == 1 else f"over the seeds' means of {folds} each"


def few(comparison: Comparison) -> str:
    """What to think of a test over hardly any data sets; empty where there are enough."""
    if len(comparison.datasets) >= FEW:
        return ""
    return (
        f"Fewer than {FEW} data sets: Friedman's p is an approximation that is poor here, and that no "
        "difference is found says little."
    )


def rank(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def below(p: float, decimals: int) -> str:
    """A probability; one that would be written as 0 as what it is below."""
    least = 10**-decimals
    return f"{p:.{decimals}f}" if p >= least else f"< {least:.{decimals}f}"


def words(name: str) -> str:
    return name.replace("_", " ")
