"""The critical-difference diagram of Demšar (JMLR 7, 2006) as SVG: mean ranks on a line, best at the left.

The SVG sets no colour and no size: it is as wide as the element around it and has the colour of text there.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from html import escape

from mlbench.tables.comparison import LEVEL, Comparison
from mlbench.tables.spec import stem
from mlbench.tables.table import Table, View

WIDTH = 440  # user units, more where names are long; at 320 pixels the text is then 9 of them high
AXIS = 180  # at least
RANK = 14  # of the axis, for each method of many
LETTER = 7.8  # in the widest of the usual typefaces
LONGEST = 17  # letters of a name; more are cut
EDGE = 8
LINE = 21  # from one name to the next
BAR = 9  # from one bar of methods that do not differ to the next
TOP = 62  # where the axis lies, below its numbers and the critical difference


def files(table: Table) -> dict[str, str]:
    """Every diagram of a table, to lie beside its Markdown, in a grey that is read on white and on black."""
    return {
        file_name(table, view, comparison): critical_difference(comparison).replace(
            "<svg ", '<svg color="#767676" ', 1
        )
        for view in table.views
        for comparison in view.comparisons
    }


def file_name(table: Table, view: View, comparison: Comparison) -> str:
    parts = (stem(table.name), comparison.metric + view.ending, comparison.setting)
    return re.sub(r"[^\w.-]+", "_", "-".join(filter(None, parts))) + ".svg"


def critical_difference(comparison: Comparison) -> str:
    """Methods that a bar joins differ by less than the critical difference. The same bytes every time."""
    ordered = sorted(comparison.mean_ranks.items(), key=lambda item: (item[1], item[0]))
    joined = groups([rank for _, rank in ordered], comparison.critical_difference)
    half = math.ceil(len(ordered) / 2)
    left, right = (_margin(name for name, _ in names) for names in (ordered[:half], ordered[half:]))
    width = max(WIDTH, left + max(AXIS, RANK * (len(ordered) - 1)) + right)
    unit = (width - left - right) / (len(ordered) - 1)  # of a rank
    bars = [(ordered[first][1], ordered[last][1]) for first, last in joined]
    levels = _levels(bars, apart=12 / unit)
    depth = TOP + 12 + BAR * (max(levels, default=-1) + 1)
    height = depth + LINE * half + 4

    def x(rank: float) -> float:
        return left + unit * (rank - 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="100%" '
        f'role="img" fill="none" stroke="currentColor" stroke-width="1" font-size="13" '
        f'font-family="ui-sans-serif, system-ui, sans-serif">',
        f"<title>{escape(_in_words(comparison, ordered, joined))}</title>",
        *_critical(x, comparison.critical_difference, width - EDGE),
        *_axis(x, len(ordered)),
        *(
            _line(
                (x(best) - 3, TOP + 12 + BAR * level),
                (x(worst) + 3, TOP + 12 + BAR * level),
                ' stroke-width="4" class="group"',
            )
            for (best, worst), level in zip(bars, levels)
        ),
    ]
    for index, (name, rank) in enumerate(ordered):
        if index < half:
            lines += _method(name, rank, x(rank), depth + LINE * index + 8, left, "end")
        else:
            y = depth + LINE * (len(ordered) - 1 - index) + 8
            lines += _method(name, rank, x(rank), y, width - right, "start")
    return "\n".join([*lines, "</svg>"])


def _margin(names: Iterable[str]) -> float:
    """Room for the longest of the names and its rank."""
    return EDGE + LETTER * (max(len(_short(name)) for name in names) + 7)


def groups(ranks: list[float], critical: float) -> list[tuple[int, int]]:
    """First and last index of every longest stretch of sorted ranks within the critical difference."""
    stretches: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(index for index, other in enumerate(ranks) if index >= first and other - rank < critical)
        if last > first and (not stretches or last > stretches[-1][1]):
            stretches.append((first, last))
    return stretches


def _levels(bars: list[tuple[float, float]], apart: float) -> list[int]:
    """The level of each bar, counted from the top: the highest with a gap to the bars that lie there."""
    ends: list[float] = []  # of the last bar on each level
    levels = []
    for best, worst in bars:
        level = next((level for level, end in enumerate(ends) if end + apart < best), len(ends))
        ends[level : level + 1] = [worst]
        levels.append(level)
    return levels


def _critical(x: Callable[[float], float], critical: float, right: float) -> Iterator[str]:
    """The critical difference, drawn from the best rank on."""
    start, end, y = x(1), min(x(1 + critical), right), 24
    yield _line((start, y), (end, y), ' stroke-width="1.5" class="critical"')
    yield from (_line((at, y - 4), (at, y + 4), ' stroke-width="1.5"') for at in (start, end))
    yield letters(start, y - 10, "start", f"CD = {critical:.2f}")


def _axis(x: Callable[[float], float], count: int) -> Iterator[str]:
    yield _line((x(1), TOP), (x(count), TOP))
    step = math.ceil(count / 12)
    for half in range(2, 2 * count + 1):
        whole = half % 2 == 0
        if whole or step == 1:
            yield _line((x(half / 2), TOP), (x(half / 2), TOP - (7 if whole else 4)))
        if whole and (half // 2 - 1) % step == 0:
            yield letters(x(half / 2), TOP - 11, "middle", str(half // 2))


def _method(name: str, rank: float, x: float, y: float, edge: float, anchor: str) -> Iterator[str]:
    """A leader from the axis down and out to the name."""
    yield f'<path d="M{x:.1f} {TOP}V{y:.1f}H{edge:.1f}" stroke-opacity=".7"/>'
    number = f'<tspan fill-opacity=".65">{rank:.2f}</tspan>'
    shown = escape(_short(name))
    inside, at = (f"{shown} {number}", edge - 5) if anchor == "end" else (f"{number} {shown}", edge + 5)
    yield letters(at, y + 4.5, anchor, f"<title>{escape(name)}</title>{inside}")


def _line(start: tuple[float, float], end: tuple[float, float], more: str = "") -> str:
    return f'<path d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"{more}/>'


def letters(x: float, y: float, anchor: str, text: str) -> str:
    attributes = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {attributes} fill="currentColor" stroke="none">{text}</text>'


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _in_words(comparison: Comparison, ordered: list[tuple[str, float]], joined: list[tuple[int, int]]) -> str:
    """The diagram in words."""
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in ordered)
    bars = "; ".join(", ".join(name for name, _ in ordered[first : last + 1]) for first, last in joined)
    return (
        f"{comparison.metric}: mean ranks {ranks}. Critical difference {comparison.critical_difference:.2f} "
        f"at {LEVEL:g}. {f'No difference was found within: {bars}.' if bars else 'All methods differ.'}"
    )
