"""Plots as SVG without a size of their own, in the colours of the page; a saved copy has them in light."""

import math
from collections.abc import Callable, Sequence
from html import escape

from mlbench.tables.render.diagram import LETTER, letters

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 16, 44
ACCENT, QUIET = "var(--accent)", "var(--soft)"
SERIES = (ACCENT, "var(--worse)", "var(--agrees)", QUIET)
DASHES = ("", "6 3", "2 3", "8 3 2 3")


def drawing(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'style="min-width:{min(width, 560):.0f}px" width="100%" role="img" fill="none" '
            'stroke="currentColor" font-size="12" font-family="ui-sans-serif, system-ui, sans-serif">',
            f"<title>{escape(title)}</title>",
            *parts,
            "</svg>",
        ]
    )


def pareto(
    names: Sequence[str], seconds: Sequence[float], scores: Sequence[float], front: Sequence[int], title: str
) -> str:
    """Time in powers of ten, score from 0 to 1. Points of the front are filled, joined and named first."""
    low, high = _decades(seconds)
    width = WIDTH - LEFT - RIGHT

    def x(value: float) -> float:
        return LEFT + width * (math.log10(value) - low) / (high - low)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value

    parts = [*_time_axis(low, high, x), *_score_axis(y)]
    if len(front) > 1:
        line = "L".join(f"{x(seconds[at]):.1f} {y(scores[at]):.1f}" for at in front)
        parts.append(f'<path d="M{line}" stroke="{ACCENT}" stroke-opacity=".55"/>')
    taken: list[tuple[float, float, float, float]] = []
    for at in range(len(names)):
        at_x, at_y = x(seconds[at]), y(scores[at])
        taken.append((at_x - 5, at_y - 5, at_x + 5, at_y + 5))
    for at in [*front, *(at for at in range(len(names)) if at not in front)]:
        at_x, at_y = x(seconds[at]), y(scores[at])
        ink = ACCENT if at in front else QUIET
        parts.append(
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="3.6" stroke="{ink}" stroke-width="1.4" '
            f'fill="{ACCENT if at in front else "var(--paper)"}"><title>{escape(names[at])}: '
            f"{seconds[at]:.3g} s, {scores[at]:.3f}</title></circle>"
        )
        if position := _room(names[at], at_x, at_y, taken):
            parts.append(
                letters(*position, escape(names[at])).replace('fill="currentColor"', f'fill="{ink}"', 1)
            )
    return drawing(WIDTH, HEIGHT, title, parts)


def _room(
    name: str, x: float, y: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, str] | None:
    """A position for a name beside its point that covers nothing, or None; its box is added to `taken`."""
    length = len(name) * LETTER * 0.88
    for at_x, at_y, anchor in (
        (x + 7, y + 4, "start"),
        (x - 7, y + 4, "end"),
        (x + 4, y - 7, "start"),
        (x - 4, y - 7, "end"),
        (x + 4, y + 15, "start"),
    ):
        start = at_x if anchor == "start" else at_x - length
        box = (start, at_y - 10, start + length, at_y + 3)
        inside = box[0] > LEFT and box[2] < WIDTH and box[1] > 0 and box[3] < HEIGHT - BOTTOM
        if inside and not any(_over(box, other) for other in taken):
            taken.append(box)
            return at_x, at_y, anchor
    return None


def _over(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _decades(seconds: Sequence[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(seconds)))
    return low, max(math.ceil(math.log10(max(seconds))), low + 1)


def _time_axis(low: int, high: int, x: Callable[[float], float]) -> list[str]:
    base = HEIGHT - BOTTOM
    parts = [f'<path d="M{LEFT} {base}H{WIDTH - RIGHT}" stroke="{QUIET}"/>']
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<path d="M{at:.1f} {TOP}V{base}" stroke="var(--line)"/>')
        parts.append(letters(at, base + 16, "middle", _tick(10.0**power)))
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*parts, letters(middle, HEIGHT - 8, "middle", "seconds to train, geometric mean")]


def _tick(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 1 else f"{seconds:g}"


def _score_axis(y: Callable[[float], float]) -> list[str]:
    parts = []
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="var(--line)"/>')
        parts.append(letters(LEFT - 8, at + 4, "end", f"{tenth / 10:g}"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = letters(0, 0, "middle", "normalised score")
    return [*parts, f'<g transform="translate(14 {middle:.0f}) rotate(-90)">{turned}</g>']


def intervals(
    names: Sequence[str], values: Sequence[float], low: Sequence[float], high: Sequence[float], title: str
) -> str:
    """A line a name, from the first on: its value and its interval, on one axis."""
    left, row = 12 + LETTER * max(map(len, names)), 18
    base = 8 + row * len(names)
    step = _step(max(high) - min(low))
    first, last = step * math.floor(min(low) / step), step * math.ceil(max(high) / step)

    def x(value: float) -> float:
        return left + (WIDTH - left - 24) * (value - first) / max(last - first, 1)

    parts = []
    for tick in range(int(first), int(last) + 1, step):
        parts.append(f'<path d="M{x(tick):.1f} 4V{base}" stroke="var(--line)"/>')
        parts.append(letters(x(tick), base + 16, "middle", f"{tick:,}"))
    for at, name in enumerate(names):
        y = 8 + row * (at + 0.5)
        parts.append(letters(left - 8, y + 4, "end", escape(name)))
        parts.append(
            f'<path d="M{x(low[at]):.1f} {y}H{x(high[at]):.1f}" stroke="{QUIET}" stroke-width="1.6"/>'
        )
        parts.append(f'<circle cx="{x(values[at]):.1f}" cy="{y}" r="3.6" fill="{ACCENT}" stroke="none"/>')
    return drawing(WIDTH, base + 24, title, parts)


def _step(span: float) -> int:
    """The distance of two ticks with which the axis has ten at most."""
    return next(step for step in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**9) if span / step <= 10)


def lines(places: Sequence[str], series: dict[str, Sequence[float | None]], title: str, axis: str) -> str:
    """Values from 0 to 1 at named places; a series has a colour and a dash of its own."""
    width = WIDTH - LEFT - RIGHT

    def x(index: int) -> float:
        return LEFT + width * (index + 0.5) / len(places)

    def y(value: float) -> float:
        return 260 - 40 - (260 - TOP - 40) * value

    parts = [f'<path d="M{LEFT} {y(t / 4):.1f}H{WIDTH - RIGHT}" stroke="var(--line)"/>' for t in range(5)]
    parts += [letters(LEFT - 8, y(t / 4) + 4, "end", f"{t / 4:g}") for t in range(5)]
    parts += [letters(x(at), 237, "middle", escape(name)) for at, name in enumerate(places)]
    parts.append(letters((LEFT + WIDTH - RIGHT) / 2, 254, "middle", escape(axis)))
    ends: list[float] = []
    for number, (name, values) in enumerate(series.items()):
        ink, dash = SERIES[number % 4], DASHES[number % 4]
        points = [(x(at), y(value)) for at, value in enumerate(values) if value is not None]
        if not points:
            continue
        path = "L".join(f"{at_x:.1f} {at_y:.1f}" for at_x, at_y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path d="M{path}" stroke="{ink}" stroke-width="1.8"{dashed}/>')
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" fill="{ink}" stroke="none"/>' for a, b in points
        ]
        at_y = points[-1][1]
        while any(abs(at_y - other) < 14 for other in ends):
            at_y += 2
        ends.append(at_y)
        text = letters(points[-1][0] + 10, at_y + 4, "start", escape(name))
        parts.append(text.replace('fill="currentColor"', f'fill="{ink}"', 1))
    return drawing(WIDTH, 260, title, parts)


def frequencies(counts: Sequence[int], title: str) -> str:
    """Positives of each label, from the most frequent on, in powers of ten."""
    ordered = sorted(counts, reverse=True)
    top = max(1, math.ceil(math.log10(max(ordered[0] if ordered else 1, 10))))
    width, base = WIDTH - LEFT - 20, 200
    each = width / max(len(ordered), 1)

    def y(value: float) -> float:
        return base - (base - TOP) * math.log10(max(value, 1)) / top

    parts = []
    for power in range(top + 1):
        parts.append(f'<path d="M{LEFT} {y(10**power):.1f}H{WIDTH - 20}" stroke="var(--line)"/>')
        parts.append(letters(LEFT - 8, y(10**power) + 4, "end", f"{10**power:,}"))
    gap = min(2.0, each * 0.2)
    bars = "".join(
        f"M{LEFT + each * at:.1f} {base}V{y(count):.1f}h{each - gap:.1f}V{base}z"
        for at, count in enumerate(ordered)
        if count > 0
    )
    parts.append(f'<path d="{bars}" fill="{ACCENT}" fill-opacity=".75" stroke="none"/>')
    parts.append(
        letters((LEFT + WIDTH - 20) / 2, base + 20, "middle", f"{len(ordered)} labels, most frequent first")
    )
    return drawing(WIDTH, base + 30, title, parts)
