"""Reading a data set from its files, and again from the cache: time and memory of fresh processes."""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from mlbench.bench.timing import Row, python
from mlbench.compose import configure
from mlbench.config import options, target
from mlbench.data.catalogue import described, state
from mlbench.data.sources import VARIABLE, default_cache
from mlbench.results.record import peak_memory

FEATURES, LABELS, NONZEROS = 1000, 20, 50  # of the generated file; nonzeros of a row

Measured = dict[str, float]


def load(
    repeats: int = 5, instances: int = 20_000, datasets: tuple[str, ...] = ("tmc2007", "imdb")
) -> Iterator[Row]:
    """A generated LIBSVM file beside scikit-learn's reader; of `datasets` those that are here, from cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.txt"
        path.write_text(libsvm_text(instances))
        turns = [
            (process("ours", "dataset=libsvm", f"dataset.path={path}"), process("scikit_learn", str(path)))
            for _ in range(repeats)
        ]
    ours, theirs = ([turn[side] for turn in turns] for side in (0, 1))
    notes = memory(ours) | {"other_peak_megabytes": memory(theirs)["peak_megabytes"]}
    yield Row(f"LIBSVM, {instances:,} rows: parse", "scikit-learn", seconds(ours), seconds(theirs), notes)
    entries = dict(described())
    for name in datasets:
        if name in entries and state(entries[name], default_cache()) == "here":
            runs = [process("ours", f"dataset={name}") for _ in range(repeats)]
            yield Row(
                f"{name}: read its cache", "parse it", seconds(runs, "again"), seconds(runs), memory(runs)
            )


def seconds(runs: list[Measured], reading: str = "first") -> list[float]:
    return [run[reading] for run in runs]


def memory(runs: list[Measured]) -> Measured:
    """Median over the runs."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0] if key.endswith("megabytes")}


def process(side: str, *arguments: str) -> Measured:
    """One measurement in a process of its own, with an empty cache of its own."""
    roots = [os.environ.get(VARIABLE), str(default_cache() / "downloads")]
    with tempfile.TemporaryDirectory() as cache:
        around = os.environ | {VARIABLE: os.pathsep.join(filter(None, roots)), "MLBENCH_CACHE": cache}
        return json.loads(python("-m", "mlbench.bench.load", side, *arguments, env=around))


def ours(*overrides: str) -> Measured:
    """Seconds of the first and of the second reading; the peak of memory, and the memory of the arrays."""
    config = configure(list(overrides))
    dataset = target(config.dataset)(**options(config.dataset))
    taken = peak_memory()
    started = perf_counter()
    loaded = dataset.load(config.paths.cache)
    first, peak = perf_counter() - started, peak_memory() - taken
    started = perf_counter()
    dataset.load(config.paths.cache)
    again = perf_counter() - started
    features, targets = loaded.instances.features, loaded.instances.targets
    arrays = (
        [features] if isinstance(features, np.ndarray) else [features.data, features.indices, features.indptr]
    )
    kept = sum(array.nbytes for array in [*arrays, targets])
    return {"first": first, "again": again, "peak_megabytes": peak / 1e6, "held_megabytes": kept / 1e6}


def scikit_learn(path: str) -> Measured:
    from sklearn.datasets import load_svmlight_file
    from sklearn.preprocessing import MultiLabelBinarizer

    taken = peak_memory()
    started = perf_counter()
    _, words = load_svmlight_file(path, multilabel=True)
    MultiLabelBinarizer().fit_transform(words)
    return {"first": perf_counter() - started, "peak_megabytes": (peak_memory() - taken) / 1e6}


def libsvm_text(instances: int) -> str:
    """Rows `labels feature:value ...`, features counted from 1."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(instances):
        labels = np.flatnonzero(generator.random(LABELS) < 2 / LABELS)
        columns = np.sort(generator.choice(FEATURES, NONZEROS, replace=False)) + 1
        values = generator.random(NONZEROS)
        pairs = " ".join(f"{column}:{value:.4f}" for column, value in zip(columns, values))
        rows.append(f"{','.join(map(str, labels))} {pairs}\n")
    return "".join(rows)


def main(side: str, *arguments: str) -> Any:
    return {"ours": ours, "scikit_learn": scikit_learn}[side](*arguments)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
