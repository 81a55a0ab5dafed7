"""Lines of a board's files that are kept because their runs lie on another machine.

A cell is a method in a variant on a data set. The runs that are here decide over their cell; a cell of which
no run is here keeps what the files had. Two methods are compared by scores: where those of one are elsewhere,
the line of the pair is kept as long as the cells of both have the runs, by key, that they had.
"""

from pathlib import Path
from typing import Any

from mlbench.board import columns, content
from mlbench.errors import UserError

Row = dict[str, Any]
Cell = tuple[str, str, str]  # data set, method, variant
OF_TRUTH = ("frequencies", "cooccurrence")  # what is known of a data set only where something has been run


def board_before(folder: Path) -> content.Board:
    if not (folder / columns.RECORDS_FILE).exists():
        raise UserError(f"keep=true: {folder} has no board to keep lines of")
    return content.read(folder)


def cell_of(row: Row) -> Cell:
    return row["dataset"], row["method"], row["variant"]


def cells_begun(records: list[Row]) -> set[Cell]:
    """The cells with a run that has finished or failed."""
    return {cell_of(row) for row in records if row["state"] != "not_run"}


def keys_of(records: list[Row]) -> dict[Cell, set[str]]:
    keys: dict[Cell, set[str]] = {}
    for row in records:
        keys.setdefault(cell_of(row), set()).add(row["key"])
    return keys


def pair_of(row: Row) -> tuple[str, str, str, str]:
    return row["dataset"], row["metric"], row["first"], row["second"]


def with_kept(before: content.Board, records: list[Row], labels: list[Row], pairs: list[Row]) -> None:
    """Appends to the lists, in place, the lines that `before` has of cells without a run on this machine."""
    begun, planned = cells_begun(records), keys_of(records)
    old = before.records.to_dict("records")
    kept = (cells_begun(old) - begun) | (keys_of(old).keys() - planned)
    records[:] = [row for row in records if cell_of(row) not in kept]
    records += [row for row in old if cell_of(row) in kept]
    labels += [row for row in before.labels.to_dict("records") if cell_of(row) in kept]
    keys, keys_before = keys_of(records), keys_of(old)
    compared = {pair_of(row) for row in pairs}
    for row in before.pairs.to_dict("records"):
        cells = [(row["dataset"], row[side], columns.VARIANTS[0]) for side in ("first", "second")]
        same = all(cell in keys and keys[cell] == keys_before.get(cell) for cell in cells)
        if same and pair_of(row) not in compared:
            pairs.append(row)


def with_kept_truths(before: content.Board, datasets: dict[str, Row]) -> None:
    """Adds to `datasets`, in place, statistics of labels that `before` has and no run here computed."""
    for name, entry in before.datasets.items():
        if name not in datasets:
            datasets[name] = entry
        elif "frequencies" in entry and "frequencies" not in datasets[name]:
            datasets[name] |= {key: entry[key] for key in OF_TRUTH}
            datasets[name]["statistics"] = entry["statistics"]


def with_kept_methods(before: content.Board, methods: dict[str, Row]) -> None:
    """Adds to `methods`, in place, those of `before` that no table here has."""
    for name, entry in before.methods.items():
        methods.setdefault(name, entry)
