"""How sure a metric is, from one set of predictions; whether two sets of predictions differ.

Instances are what is drawn: all labels of an instance go together. What was fitted is fixed: no cut is found
anew for a resample, so that an interval says how the metric varies with the test instances alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlbench.evaluation.resampled import Resampled, Values, left_out, resampled
from mlbench.evaluation.suite import evaluate, find

CHUNK = 64  # resamples at a time
SAME = 1e-9  # values nearer to each other than this are one value, as in tables


@dataclass(frozen=True)
class Part:
    """Label sets or scores (N, L), and the metrics that are measured on them; `ending` ends their names.

    `columns`, booleans (L,), are the labels that count; None: all.
    """

    outputs: Tensor
    names: Sequence[str]
    ending: str = ""
    columns: Tensor | None = None

    def values(self, targets: Tensor) -> dict[str, float]:
        as_sets = [name for name in self.names if find(name).needs == "label_sets"]
        as_scores = [name for name in self.names if name not in as_sets]
        outputs, targets = self.of_columns(self.outputs), self.of_columns(targets)
        values = evaluate(None, outputs, targets, as_sets) | evaluate(outputs, None, targets, as_scores)
        return {name + self.ending: value for name, value in values.items()}

    def of_columns(self, matrix: Tensor) -> Tensor:
        return matrix if self.columns is None else matrix[:, self.columns]

    @property
    def shown(self) -> list[str]:
        return [name + self.ending for name in self.resampled]

    @property
    def resampled(self) -> list[str]:
        without = left_out(self.names)
        return [name for name in self.names if name not in without]


@dataclass(frozen=True)
class Difference:
    """First minus second; NaN where a metric is undefined."""

    value: float
    low: float
    high: float
    bootstrap: float  # two-sided p: how often the difference of a resample lies on the other side of 0, twice
    permutation: float  # p: how often it is as large when each instance's predictions are swapped by a coin


def intervals(
    parts: Sequence[Part], targets: Tensor, draws: int, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Low and high by metric: the quantiles over so many bootstrap resamples that enclose `level` of them.

    A resample that leaves a metric undefined does not count for it.
    """
    drawn = over(_functions(parts, targets), bootstrap(len(targets), draws, seed))
    return {name: quantiles(values, level) for name, values in drawn.items()}


def differences(
    first: Sequence[Part],
    second: Sequence[Part],
    targets: Tensor,
    draws: int,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """By metric; both have the same metrics, and their rows are the same instances."""
    ours, theirs = _functions(first, targets), _functions(second, targets)
    pairs = [
        replace(one, outputs=torch.cat([one.outputs, other.outputs]))
        for one, other in zip(first, second, strict=True)
    ]
    both = _functions(pairs, torch.cat([targets, targets]))
    everyone = torch.ones(1, len(targets), dtype=torch.int64)
    observed = _minus(over(ours, [everyone]), over(theirs, [everyone]))
    resamples = (len(targets), draws, seed)
    drawn = _minus(over(ours, bootstrap(*resamples)), over(theirs, bootstrap(*resamples)))
    as_given = over(both, (torch.cat([~swap, swap], 1).long() for swap in permutations(*resamples)))
    swapped = over(both, (torch.cat([swap, ~swap], 1).long() for swap in permutations(*resamples)))
    permuted = _minus(as_given, swapped)
    exact = 2 ** len(targets) <= draws
    return {
        name: Difference(
            float(value),
            *quantiles(drawn[name], level),
            bootstrap=_two_sided(drawn[name]),
            permutation=_as_large(permuted[name], float(value), exact),
        )
        for name, value in observed.items()
    }


def drawn(
    parts: Sequence[Part], targets: Tensor, draws: int, seed: int = 0
) -> dict[str, tuple[float, Tensor]]:
    """Each metric's value, and its values in so many bootstrap resamples, which the seed alone decides."""
    functions = _functions(parts, targets)
    observed = over(functions, [torch.ones(1, len(targets), dtype=torch.int64)])
    values = over(functions, bootstrap(len(targets), draws, seed))
    return {name: (float(observed[name]), values[name]) for name in observed}


def paired(ours: tuple[float, Tensor], theirs: tuple[float, Tensor], level: float = 0.95) -> Difference:
    """The difference of a metric that was `drawn` of two sets of predictions for the same instances; without
    a test by permutation.
    """
    between = ours[1] - theirs[1]
    return Difference(
        ours[0] - theirs[0], *quantiles(between, level), bootstrap=_two_sided(between), permutation=torch.nan
    )


def bootstrap(instances: int, draws: int, seed: int) -> Iterator[Tensor]:
    """(B, N) in chunks: how often each instance is in a resample of as many, drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    for size in _chunks(draws):
        chosen = torch.randint(instances, (size, instances), generator=generator)
        yield torch.zeros_like(chosen).scatter_add_(1, chosen, torch.ones_like(chosen))


def permutations(instances: int, draws: int, seed: int) -> Iterator[Tensor]:
    """(B, N) in chunks: whether an instance's predictions are swapped; all ways, if `draws` are as many."""
    if 2**instances <= draws:
        numbers = torch.arange(2**instances).unsqueeze(1)
        yield from ((numbers >> torch.arange(instances)) % 2 == 1).split(CHUNK)
        return
    generator = torch.Generator().manual_seed(seed)
    for size in _chunks(draws):
        yield torch.rand(size, instances, generator=generator) < 0.5


def over(functions: Sequence[tuple[str, Resampled]], counts: Iterable[Tensor]) -> Values:
    """The values of all resamples, by the metric's name with its ending."""
    values = Values()
    for chunk in counts:
        more = {n + ending: v for ending, function in functions for n, v in function(chunk).items()}
        values = _joined(values, more)
    return values


def _functions(parts: Sequence[Part], targets: Tensor) -> list[tuple[str, Resampled]]:
    return [
        (part.ending, resampled(part.of_columns(part.outputs), part.of_columns(targets), part.resampled))
        for part in parts
        if part.resampled
    ]


def _joined(old: Values, new: Values) -> Values:
    return {name: torch.cat([old[name], values]) if name in old else values for name, values in new.items()}


def _minus(first: Values, second: Values) -> Values:
    return {name: first[name] - second[name] for name in first}


def quantiles(values: Tensor, level: float) -> tuple[float, float]:
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype)
    low, high = values.nanquantile(ends).tolist()
    return low, high


def _two_sided(differences: Tensor) -> float:
    defined = differences[~differences.isnan()]
    if not len(defined):
        return torch.nan
    sides = [int((defined <= SAME).sum()), int((defined >= -SAME).sum())]
    return min(1.0, 2 * (min(sides) + 1) / (len(defined) + 1))


def _as_large(differences: Tensor, observed: float, exact: bool) -> float:
    """The share of differences as large as the observed one, which counts as one of them unless `exact`."""
    defined = differences[~differences.isnan()]
    if observed != observed or not len(defined):
        return torch.nan
    large = int((defined.abs() >= abs(observed) - SAME).sum())
    return large / len(defined) if exact else (large + 1) / (len(defined) + 1)


def _chunks(draws: int) -> Iterator[int]:
    for start in range(0, draws, CHUNK):
        yield min(CHUNK, draws - start)
