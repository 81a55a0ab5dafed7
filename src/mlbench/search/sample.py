"""A random sample of a space: the same on every machine; no option's values depend on other options."""

from collections.abc import Mapping

import numpy as np

from mlbench.search.spec import Dimension
from mlbench.seeding import derive

Point = dict[str, str | bool | int | float]


def sample(space: Mapping[str, Dimension], count: int) -> list[Point]:
    """`count` points. An option is drawn evenly, or evenly in its logarithm, by a stream of its own name."""
    columns = {name: [value(dimension, u) for u in stream(name, count)] for name, dimension in space.items()}
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def stream(name: str, count: int) -> list[float]:
    """Numbers in [0, 1) from the raw bits of a generator, which numpy promises to keep."""
    raw = np.random.PCG64(derive(0, "sample", name)).random_raw(count)
    return [int(bits >> np.uint64(11)) / 2**53 for bits in raw]


def value(dimension: Dimension, u: float) -> str | bool | int | float:
    """The value at the share `u` of the dimension, in three digits: no machine rounds these otherwise."""
    if dimension.choices:
        return dimension.choices[int(u * len(dimension.choices))]
    low, high = dimension.low, dimension.high
    assert low is not None and high is not None, "Dimension has checked it"
    if dimension.log:
        drawn = low * (high / low) ** u
        return round(drawn) if dimension.whole else rounded(drawn)
    if dimension.whole or dimension.step:
        step = dimension.step or 1
        drawn = low + int(u * (int((high - low) / step + 1e-9) + 1)) * step
        return drawn if dimension.whole else rounded(drawn)
    return rounded(low + u * (high - low))


def rounded(number: float) -> float:
    return float(f"{number:.3g}")
