"""Tables in Parquet and Arrow files: their columns, their rows, and cells that hold images."""

import bisect
import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.data.files import reason, refuse_more_than_room
from mlbench.errors import UserError

if TYPE_CHECKING:
    import pyarrow

AT_ONCE = 256  # rows that are read at once; of images fewer, as each takes much more
IMAGES_AT_ONCE = 16
ROW = ", row "  # between the name of a file and a row's number, from 0
FILE = b"ARROW1"  # first bytes of an Arrow file with a list of its parts; one without is a stream of them


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever pyarrow makes of damaged or foreign bytes becomes one line."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UserError(
            f"{path}: Parquet and Arrow files need pyarrow, which is missing: "
            f"pip install 'multilabel-bench[parquet]'"
        ) from None
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # pyarrow has errors of its own, and raises those of what lies below
        kind = "Parquet" if is_parquet(path) else "Arrow"
        raise UserError(f"{path} is no whole {kind} file: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return next(iter(reason(error).strip().splitlines()), type(error).__name__)


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def parquet_file(path: Path) -> Any:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(path)


def arrow_file(path: Path) -> Any:
    """A reader of an Arrow file, whose content is mapped and not read."""
    import pyarrow

    source = pyarrow.memory_map(str(path))
    with path.open("rb") as file:
        is_file = file.read(len(FILE)) == FILE
    return pyarrow.ipc.open_file(source) if is_file else pyarrow.ipc.open_stream(source)


def schema_of(path: Path) -> "pyarrow.Schema":
    with reading(path):
        schema = parquet_file(path).schema_arrow if is_parquet(path) else arrow_file(path).schema
        for kind in schema.types:
            holds_images(kind)  # which reads the names in a struct: one that is no text fails here
        twins = [name for name in schema.names if schema.names.count(name) > 1]
        if twins:
            raise UserError(f"{path} has several columns {twins[0]!r}: give each a name of its own")
        return schema


def features_of(schema: "pyarrow.Schema") -> dict[str, Any]:
    """What the library `datasets` wrote of the columns into the schema, by name; {} where it did not."""
    with contextlib.suppress(Exception):  # any program may write anything there
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return features if isinstance(features, dict) else {}
    return {}


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file, of these columns alone."""
    taken, size = 0, path.stat().st_size
    with reading(path):
        if not columns:
            yield from ({} for _ in range(row_count(path)))
            return
        for batch in map(decoded, batches(path, columns)):
            taken += batch.nbytes
            refuse_more_than_room(path, size, taken, f"{len(columns)} columns of so many rows")
            yield from batch.to_pylist()


def batches(path: Path, columns: Sequence[str]) -> "Iterator[pyarrow.RecordBatch]":
    if is_parquet(path):
        parts = parquet_file(path).iter_batches(batch_size=AT_ONCE, columns=[*columns])
    else:
        parts = (batch.select([*columns]) for batch in arrow_parts(path))
    for batch in parts:
        batch.validate(full=True)  # offsets that lead out of a column would be followed
        yield batch


def decoded(batch: "pyarrow.RecordBatch") -> "pyarrow.RecordBatch":
    """The batch with each column of a dictionary as its values: the memory that its rows will take."""
    import pyarrow

    plain = [
        column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pyarrow.record_batch(plain, names=batch.schema.names)


def arrow_parts(path: Path) -> "Iterator[pyarrow.RecordBatch]":
    opened = arrow_file(path)
    if hasattr(opened, "get_batch"):
        return (opened.get_batch(number) for number in range(opened.num_record_batches))
    return iter(opened)


def row_count(path: Path) -> int:
    if is_parquet(path):
        return parquet_file(path).metadata.num_rows
    return sum(part.num_rows for part in arrow_parts(path))


class Cells:
    """The cells of a column one by one. Who asks for rows in their order reads a file once."""

    def __init__(self, path: Path, column: str):
        self.path, self.column = path, column
        self.held: Any = ()  # the cells that were read last, from row `first` on
        self.first = 0
        self.starts: list[int] = []  # of a Parquet file: the first row of each group, and the number of rows
        self.parts: Iterator[Any] = iter(())

    def at(self, row: int) -> Any:
        with reading(self.path):
            if not self.first <= row < self.first + len(self.held):
                self._go_to(row)
            return self.held[row - self.first].as_py()

    def _go_to(self, row: int) -> None:
        if is_parquet(self.path):
            self._open_at(row)
        elif not len(self.held):
            self.held, self.first = self._mapped(), 0
        while row >= self.first + len(self.held):
            self.first += len(self.held)
            self.held = next(self.parts, None)
            if self.held is None:
                self.held = ()
                raise EOFError(f"it has no row {row}")

    def _open_at(self, row: int) -> None:
        """Begins with the group that has the row, unless the file is being read there already."""
        file = parquet_file(self.path)
        if not self.starts:
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self.starts = [0, *itertools.accumulate(sizes)]
        group = bisect.bisect_right(self.starts, row) - 1
        there = self.first + len(self.held)
        if len(self.held) and self.starts[group] <= there <= row:
            return
        left = {"columns": [self.column], "row_groups": [*range(group, file.num_row_groups)]}
        parts = file.iter_batches(batch_size=IMAGES_AT_ONCE, **left)
        self.parts = (part.column(0) for part in parts)
        self.held, self.first = (), self.starts[group]

    def _mapped(self) -> Any:
        import pyarrow

        columns = [batch.select([self.column]) for batch in arrow_parts(self.path)]
        for part in columns:
            part.validate(full=True)
        return pyarrow.chunked_array([part.column(0) for part in columns])


def holds_images(kind: "pyarrow.DataType") -> bool:
    """Whether cells of this type can be images: bytes, or an object that has bytes."""
    import pyarrow.types as types

    if types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return "bytes" in names and holds_images(kind.field("bytes").type)
    return types.is_binary(kind) or types.is_large_binary(kind)


def image_bytes(cell: Any) -> bytes:
    """The image of a cell: its bytes, or those of an object {bytes, path}."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes) or not data:
        path = cell.get("path") if isinstance(cell, dict) else None
        elsewhere = f", only the path {path}: an image is read out of the file alone" if path else ""
        raise ValueError(f"it holds no bytes{elsewhere}")
    return data
