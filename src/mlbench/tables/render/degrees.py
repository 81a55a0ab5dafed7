"""The degrees of recovered label distributions against how frequent the labels are: SVG, CSV and Markdown."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from scipy import stats

from mlbench.tables.degrees import EQUAL, Degree
from mlbench.tables.formats import comma_separated, markdown_table
from mlbench.tables.render.diagram import letters
from mlbench.tables.spec import stem

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, BOTTOM = 46, 432, 258
LINE = 18  # of the legend
SIZE = 4  # of a mark, from its centre
MARKS = {  # in the order in which methods take them, EQUAL the first; drawn around 0
    "dot": "M-{h} 0a{h} {h} 0 1 0 {s} 0a{h} {h} 0 1 0 -{s} 0z",
    "circle": "M-{s} 0a{s} {s} 0 1 0 {d} 0a{s} {s} 0 1 0 -{d} 0",
    "square": "M-{s} -{s}h{d}v{d}h-{d}z",
    "triangle": "M0 -{s}L{s} {s}H-{s}z",
    "cross": "M-{s} -{s}L{s} {s}M-{s} {s}L{s} -{s}",
    "plus": "M-{s} 0H{s}M0 -{s}V{s}",
    "diamond": "M0 -{s}L{s} 0L0 {s}L-{s} 0z",
}
GREY = "#767676"  # is read on white and on black


def files(name: str, degrees: Sequence[Degree]) -> dict[str, str]:
    """A diagram for each data set and setting, and all points as CSV, to lie beside a table's Markdown."""
    if not degrees:
        return {}
    drawn = {file_name(name, problem): diagram(problem, points) for problem, points in by_problem(degrees)}
    return drawn | {"degrees.csv": csv(degrees)}


def by_problem(degrees: Sequence[Degree]) -> Iterator[tuple[str, list[Degree]]]:
    for problem, points in itertools.groupby(degrees, lambda point: " ".join(filter(None, point.where[:2]))):
        yield problem, [*points]


def file_name(name: str, problem: str) -> str:
    return re.sub(r"[^\w.-]+", "_", "-".join([stem(name), "degrees", problem])) + ".svg"


def csv(degrees: Iterable[Degree]) -> str:
    head = ["dataset", "setting", "method", "label", "frequency", "degree", "runs"]
    rows = ([*point.where, point.label, point.frequency, point.degree, point.runs] for point in degrees)
    return comma_separated([head, *rows])


def markdown(name: str, degrees: Sequence[Degree]) -> Iterator[str]:
    """The diagrams, and for each method how far its degrees follow the labels' frequency."""
    if not degrees:
        return
    yield from ["", "## Recovered degrees", ""]
    yield (
        "How much of an instance a label describes, on average over the training rows that have it, against "
        f"the label's share of the rows; {EQUAL}: each of a row's labels as much as the others. "
        "`degrees.csv` has the points. The table has Spearman's ρ of the two over the labels."
    )
    yield ""
    problems = dict(by_problem(degrees))
    methods = dict.fromkeys(point.where[2] for point in degrees)
    rows = ([method, *(correlation(points, method) for points in problems.values())] for method in methods)
    yield from markdown_table(["", *problems], rows)
    for problem in problems:
        yield from ["", f"![{problem}: degree against frequency]({file_name(name, problem)})"]


def correlation(points: Iterable[Degree], method: str) -> str:
    """Spearman's ρ of degree and frequency, of five labels or more that are not all alike in one of them."""
    pairs = [(point.frequency, point.degree) for point in points if point.where[2] == method]
    if len(pairs) < 5 or any(len({*values}) < 2 for values in zip(*pairs)):
        return ""
    tested: Any = stats.spearmanr(pairs)
    return f"{tested.statistic:.2f}"


def diagram(problem: str, points: Sequence[Degree]) -> str:
    """One mark a label and method. The frequency's axis is logarithmic. The same bytes every time."""
    methods = [*dict.fromkeys(point.where[2] for point in points)]
    rows = math.ceil(len(methods) / 3)
    top = 14 + LINE * rows
    shares = shares_from(*(bound(point.frequency for point in points) for bound in (min, max)))
    highest = max(point.degree for point in points)
    step = next(size for size in (0.01, 0.02, 0.05, 0.1, 0.2) if highest / size <= 6)
    ticks = [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]

    def x(frequency: float) -> float:
        whole = math.log(shares[-1] / shares[0])
        return LEFT + (RIGHT - LEFT) * math.log(frequency / shares[0]) / whole

    def y(degree: float) -> float:
        return BOTTOM - (BOTTOM - top) * degree / ticks[-1]

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" color="{GREY}" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" '
        f'role="img" fill="none" stroke="currentColor" stroke-width="1.2" font-size="12" '
        f'font-family="ui-sans-serif, system-ui, sans-serif">',
        f"<title>{escape(problem)}: mean degree of a label against its frequency</title>",
        f'<path d="M{LEFT} {top}V{BOTTOM}H{RIGHT}"/>',
    ]
    for tick in ticks:
        lines.append(letters(LEFT - 8, y(tick) + 4, "end", f"{tick:.2f}"))
        lines.append(f'<path d="M{LEFT} {y(tick):.1f}h-4"/>')
    for share in shares:
        lines.append(letters(x(share), BOTTOM + 18, "middle", f"{share:g}"))
        lines.append(f'<path d="M{x(share):.1f} {BOTTOM}v4"/>')
    lines.append(letters((LEFT + RIGHT) / 2, BOTTOM + 36, "middle", "share of the rows that have the label"))
    marks = dict(zip(methods, itertools.cycle(MARKS)))
    for number, method in enumerate(methods):
        at = LEFT + 8 + (RIGHT - LEFT) / 3 * (number % 3), 10 + LINE * (number // 3)
        lines += [mark(*at, marks[method]), letters(at[0] + 10, at[1] + 4, "start", escape(method))]
    for point in points:
        tooltip = f"{point.where[2]}, {point.label}: {point.degree:.3f} at {point.frequency:.3g}"
        lines.append(mark(x(point.frequency), y(point.degree), marks[point.where[2]], tooltip))
    return "\n".join([*lines, "</svg>"])


def mark(x: float, y: float, shape: str, tooltip: str = "") -> str:
    title = f"<title>{escape(tooltip)}</title>" if tooltip else ""
    path = MARKS[shape].format(h=SIZE / 2, s=SIZE, d=2 * SIZE)
    fill = ' fill="currentColor"' if shape == "dot" else ""
    return f'<path d="{path}"{fill} transform="translate({x:.1f} {y:.1f})">{title}</path>'


def shares_from(lowest: float, highest: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from one not above `lowest` to one not below `highest`."""
    steps = [float(f"{digit}e{power}") for power in range(-7, 1) for digit in (1, 2, 5)]
    first = max([step for step in steps if step <= lowest], default=steps[0])
    last = min(step for step in steps if step >= highest and step > first)
    between = [step for step in steps if first <= step <= last]
    return (
        between
        if len(between) < 9
        else [step for step in between if f"{step:e}"[0] == "1" or step in (first, last)]
    )
