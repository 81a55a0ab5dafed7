"""The board as read from its files: records, labels, pairs, descriptions of data sets and methods."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.board import columns
from mlbench.errors import UserError

Frame = Any  # a DataFrame: what pandas says of its types refuses most of what works


@dataclass(frozen=True)
class Board:
    records: Frame
    labels: Frame
    pairs: Frame
    datasets: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]

    def title(self, method: str) -> str:
        return str(self.methods.get(method, {}).get("title") or method)


def own_folder() -> Path:
    """The files of mlbench's own board: inside an installed package, or docs/board in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "board" / "files"
    return installed if installed.is_dir() else package.parents[1] / "docs" / "board"


def read(folder: Path) -> Board:
    """The board in a folder; a UserError names a file that is missing or is none of a board's."""
    return Board(
        records=_frame(folder / columns.RECORDS_FILE, columns.RECORDS),
        labels=_frame(folder / columns.LABELS_FILE, columns.LABELS),
        pairs=_frame(folder / columns.PAIRS_FILE, columns.PAIRS),
        datasets=_json(folder / columns.DATASETS_FILE),
        methods=_json(folder / columns.METHODS_FILE),
    )


def _frame(path: Path, names: tuple[str, ...]) -> Frame:
    import pandas

    _there(path)
    try:
        frame = pandas.read_parquet(path)
    except ImportError:
        raise UserError(
            f"{path}: reading it needs pyarrow; pip install 'multilabel-bench[parquet]'"
        ) from None
    except (ValueError, OSError) as error:  # pyarrow's own errors are of these kinds
        raise UserError(f"{path}: no Parquet file that can be read: {error}") from None
    missing = [name for name in names if name not in frame]
    if missing:
        raise UserError(f"{path}: the columns {', '.join(missing)} are missing; harvest the board again")
    words = {name: object for name in names if pandas.api.types.is_string_dtype(frame[name])}
    return frame[list(names)].astype(words)  # objects are quicker to go through one by one


def _json(path: Path) -> dict[str, dict[str, Any]]:
    _there(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(entries, dict) or not all(isinstance(each, dict) for each in entries.values()):
        raise UserError(f"{path}: should map each name to what is said of it")
    return entries


def _there(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: not there; the board's records are harvested first")
