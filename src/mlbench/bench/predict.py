"""`mlbench predict` on a long file, beside a process that only reads it, and one that only multiplies."""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mlbench.bench.timing import Row, python
from mlbench.data.new_rows import CELLS
from mlbench.errors import UserError, did_you_mean

DISTINCT = 10_000  # rows of a file, which are repeated
SUFFIXES = ("csv", "parquet")

Measured = dict[str, float]

CODE = """import json, sys, time
from pathlib import Path
import numpy as np
import pandas as pd
from pyarrow import parquet
from mlbench.commands.predict import main
from mlbench.predict import Trained
from mlbench.results.record import peak_memory

began = time.perf_counter()
{work}
print("\\n" + json.dumps({{"seconds": time.perf_counter() - began, "peak": peak_memory()}}))
"""
OURS = "assert not main(sys.argv[1:])"
READS = {
    "csv": "for _ in pd.read_csv(sys.argv[1], chunksize=int(sys.argv[2])): pass",
    "parquet": """for batch in parquet.ParquetFile(sys.argv[1]).iter_batches(int(sys.argv[2])):
    batch.to_pandas()""",
}
PRODUCTS = """trained, at_once, left, features = Trained.of_run(Path(sys.argv[1])), *map(int, sys.argv[2:])
rows = np.random.default_rng(0).normal(size=(at_once, features)).astype(np.float32)
while left > 0:
    trained.scores(rows[:left])
    left -= at_once"""


def predict(
    repeats: int = 5,
    instances: int = 200_000,
    features: int = 300,
    labels: int = 20,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> Iterator[Row]:
    """Scores of a file's rows by the default network, beside reading the file in as many pieces.

    Seconds without imports, memory with all that was imported. The scores of as many rows that are in memory
    take the products' seconds.
    """
    for suffix in suffixes:
        if suffix not in SUFFIXES:
            near = did_you_mean(suffix, SUFFIXES)
            raise UserError(f"suffixes={suffix}: choose {', '.join(SUFFIXES)}{near}")
    with tempfile.TemporaryDirectory() as folder:
        run, at_once = trained(Path(folder), features, labels), max(CELLS // features, 1)
        for suffix in suffixes:
            path = Path(folder) / f"rows.{suffix}"
            WRITERS[suffix](path, instances, features)
            words = [f"run={run}", f"path={path}", f"out={path.with_name('predicted.parquet')}"]
            turns = [
                (process(OURS, *words), process(READS[suffix], str(path), str(at_once)))
                for _ in range(repeats)
            ]
            ours, others = ([turn[side] for turn in turns] for side in (0, 1))
            products = process(PRODUCTS, str(run), str(at_once), str(instances), str(features))
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
    output = python("-m", "mlbench", *words, f"paths.cache={folder}/cache", cwd=folder)
    return Path(output.split()[-1]).parent


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


def process(work: str, *arguments: str) -> Measured:
    """One measurement in a process of its own."""
    return json.loads(python("-c", CODE.format(work=work), *arguments).splitlines()[-1])
