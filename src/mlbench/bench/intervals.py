"""Bootstrap intervals of every metric, beside a loop that measures the rows of each resample."""

from collections.abc import Iterator

import torch

from mlbench.bench.timing import Row, timed
from mlbench.evaluation.intervals import Part, bootstrap
from mlbench.evaluation.intervals import intervals as intervals_of
from mlbench.evaluation.resampled import left_out
from mlbench.evaluation.suite import METRICS, evaluate


def intervals(
    repeats: int = 5, instances: int = 10_000, labels: int = 100, draws: int = 2000, looped: int = 5
) -> Iterator[Row]:
    """Bootstrap intervals of all metrics on one core, beside a loop over the rows of each resample.

    The loop measures `looped` resamples, and its time is multiplied.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(instances, labels, generator=generator) < min(3 / labels, 0.5)
    scores = (torch.randn(instances, labels, generator=generator) + 2 * targets.float() - 2).sigmoid()
    sets = scores > 0.5
    names = [name for name in METRICS if name not in left_out(METRICS)]
    of_sets = [name for name in names if METRICS[name].needs == "label_sets"]
    parts = [Part(sets, of_sets), Part(scores, [name for name in names if name not in of_sets])]

    def loop() -> None:
        for counts in torch.cat([*bootstrap(instances, looped, 0)]):
            rows = torch.arange(instances).repeat_interleave(counts)
            evaluate(scores[rows], sets[rows], targets[rows], names)

    ours, other = [], []
    for _ in range(repeats):
        ours.append(timed(lambda: intervals_of(parts, targets, draws)))
        other.append(timed(loop) * draws / looped)
    torch.set_num_threads(threads)
    yield Row(f"{draws:,} × {instances:,} × {labels}", "a loop", ours, other, {"metrics": len(names)})
