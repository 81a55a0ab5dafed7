"""`mlbench predict` on a long file, beside a process that only reads it, and one that only multiplies."""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from mlbench.bench.timing import Row, python
from mlbench.data.new_rows import CELLS
from mlbench.errors import UserError, did_you_mean
from mlbench.results.record import peak_memory

DISTINCT = 10_000  # rows of a file, which are repeated
SUFFIXES = ("csv", "parquet")

Measured = dict[str, float]


def predict(
    repeats: int = 5,
    instances: int = 200_000,
    features: int = 300,
    labels: int = 20,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> Iterator[Row]:
    """Scores of the default network of a file's rows, beside reading the file a piece at a time.

    Seconds without those of the process' start; memory of the whole process.
    """
    for suffix in suffixes:
        if suffix not in SUFFIXES:
            near = did_you_mean(suffix, SUFFIXES)
            raise UserError(f"suffixes={suffix}: choose {', '.join(SUFFIXES)}{near}")
    with tempfile.TemporaryDirectory() as folder:
        run = trained(Path(folder), features, labels)
        for suffix in suffixes:
            path = Path(folder) / f"rows.{suffix}"
            WRITERS[suffix](path, instances, features)
            out = str(path.with_name(f"predicted.{suffix}"))
            turns = [
                (process("ours", str(run), str(path), out), process("reads", str(path)))
                for _ in range(repeats)
            ]
            ours, others = ([turn[side] for turn in turns] for side in (0, 1))
            products = process("products", str(run), str(instances), str(features))
            seconds = [turn["seconds"] for turn in ours]
            notes = {
                "rows_a_second": round(instances / statistics.median(seconds)),
                "megabytes": path.stat().st_size / 1e6,
                "peak_megabytes": max(turn["peak"] for turn in ours) / 1e6,
                "products_seconds": products["seconds"],
            }
            name = f"{suffix}, {instances:,} × {features}"
            yield Row(name, "reading alone", seconds, [turn["seconds"] for turn in others], notes)
            path.unlink()


def columns_of(features: int) -> list[str]:
    return [f"x{number}" for number in range(features)]


def made_up(rows: int, features: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, features)).astype(np.float32).round(4)


def trained(folder: Path, features: int, labels: int) -> Path:
    """The folder of a run that has seen a few rows."""
    import pandas as pd

    rows = made_up(100, features)
    table = pd.DataFrame(rows, columns=columns_of(features))
    names = [f"label{number}" for number in range(labels)]
    of_labels = pd.DataFrame(rows[:, np.arange(labels) % features] > 0, columns=names).astype(int)
    pd.concat([table, of_labels], axis=1).to_csv(folder / "train.csv", index=False)
    data = ["dataset=csv", f"dataset.path={folder}/train.csv", f"dataset.labels=[{','.join(names)}]"]
    words = [*data, "dataset.scaling=zscore", "train.epochs=1", f"paths.outputs={folder}/outputs"]
    said = python("-m", "mlbench", *words, f"paths.cache={folder}/cache", cwd=folder)
    return Path(said.split()[-1]).parent


def write_csv(path: Path, instances: int, features: int) -> None:
    import pandas as pd

    table = pd.DataFrame(made_up(min(DISTINCT, instances), features), columns=columns_of(features))
    lines = table.to_csv(index=False, float_format="%.4f").splitlines(keepends=True)
    with path.open("w") as file:
        file.write(lines[0])
        for first in range(0, instances, DISTINCT):
            file.writelines(lines[1 : 1 + instances - first])


def write_parquet(path: Path, instances: int, features: int) -> None:
    """In one group of rows, as pyarrow writes up to a million."""
    import pyarrow
    from pyarrow import parquet

    rows = np.resize(made_up(min(DISTINCT, instances), features).T, (features, instances))
    table = pyarrow.table(dict(zip(columns_of(features), rows)))
    parquet.write_table(table, path)


WRITERS: dict[str, Callable[[Path, int, int], None]] = {"csv": write_csv, "parquet": write_parquet}


def process(side: str, *arguments: str) -> Measured:
    """One measurement in a process of its own."""
    return json.loads(python("-m", "mlbench.bench.predict", side, *arguments).splitlines()[-1])


def ours(run: str, path: str, out: str) -> None:
    from mlbench.commands import predict

    if predict.main([f"run={run}", f"path={path}", f"out={out}"]):
        raise RuntimeError(f"no predictions of {path}")


def reads(path: str) -> None:
    """As pandas and pyarrow do, as many rows at once as we."""
    import pandas as pd
    from pyarrow import parquet

    if path.endswith(".parquet"):
        file = parquet.ParquetFile(path)
        for batch in file.iter_batches(batch_size=CELLS // len(file.schema.names)):
            batch.to_pandas()
    else:
        columns = len(pd.read_csv(path, nrows=0).columns)
        for _ in pd.read_csv(path, chunksize=CELLS // columns):
            pass


def products(run: str, instances: str, features: str) -> None:
    """The scores of rows in memory, a piece at a time."""
    from mlbench.predict import Trained

    trained = Trained.of_run(Path(run))
    rows, left = made_up(CELLS // int(features), int(features)), int(instances)
    while left > 0:
        trained.scores(rows[:left])
        left -= len(rows)


def warm() -> None:
    """Imports what all sides need."""
    import pandas as pd  # noqa: F401
    from pyarrow import parquet  # noqa: F401

    import mlbench.predict  # noqa: F401


def main(side: str, *arguments: str) -> Any:
    warm()
    started = perf_counter()
    {"ours": ours, "reads": reads, "products": products}[side](*arguments)
    return {"seconds": perf_counter() - started, "peak": peak_memory()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
