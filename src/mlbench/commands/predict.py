"""The command line that predicts: a trained run, or several, and a file of new rows."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.commands.arguments import answered, check_keys, pairs
from mlbench.commands.lines import shown
from mlbench.errors import UserError, complain, did_you_mean
from mlbench.files import whole
from mlbench.spelling import spelled

if TYPE_CHECKING:
    from mlbench.predict import Predicted

USAGE = f"""{spelled("predict")} run=outputs/scene/erm/0123456789abcdef path=new.csv [out=predictions.csv]
  reads rows with the columns that the run was trained on, by name and in any order, and writes predictions

  run       a run's folder or its model.pt; [a,b,c] gives the mean of their scores, and of their cuts
  path      .csv, .tsv, .jsonl (also .gz, .bz2, .xz), .parquet, .npz, .arff, .svm, .libsvm; - is a table
            from the standard input;
            with texts or names of images .jsonl, .csv, .tsv, .parquet, which may hold images, too;
            of a run on several modalities '{{audio: a.csv, text: t.npz}}', joined by id or by their order
  out       .csv, .npz, .parquet; without it a table goes to the standard output
  give      scores (a column a label), sets (zeros and ones), labels (one column that lists them), all
  id        the column that names the rows; without it they are counted from 0
  separator between the columns of path; without it as the header line shows
  decimal   before a number's fraction, . or , ; without it as in the run's own table
  images    where a run takes images: their folder, tar or zip; without it the folder of path
  trust     modules of your own that the run's files may name, [my.module]

Where path has a column for each label, too, the predictions are measured against it."""
KEYS = ("run", "path", "out", "give", "id", "separator", "decimal", "images", "trust")
GIVE = ("scores", "sets", "labels", "all")
OUT = (".csv", ".npz", ".parquet")
GROUP = 500_000  # least count of numbers in a row group of a Parquet file


def main(arguments: list[str] | None = None) -> int:
    return answered(run, arguments, USAGE)


def run(arguments: list[str]) -> None:
    options = pairs(arguments, KEYS[0], KEYS)
    check_keys(options, KEYS)
    for key in ("run", "path"):
        if not options.get(key):
            raise UserError(f"{key} is needed and not given; --help shows how")
    give, out = options.get("give", "scores"), options.get("out")
    if give not in GIVE:
        raise UserError(f"give={give}: should be one of {', '.join(GIVE)}{did_you_mean(give, GIVE)}")
    if out and Path(out).suffix not in OUT:
        raise UserError(f"out={out}: should end in one of {', '.join(OUT)}")

    from mlbench.predict import Trained, predictions
    from mlbench.trust import trust

    trust(names_in(options.get("trust", "[]")))
    runs = [Trained.of_run(Path(path)) for path in names_in(options["run"])]
    labels = runs[0].schema.labels
    needs_sets = give != "scores"
    if options.get("decimal", ".") not in (".", ","):
        raise UserError(f"decimal={options['decimal']}: . or , stands before a fraction")
    id, separator, decimal, images = (options.get(key) for key in ("id", "separator", "decimal", "images"))
    path = files_in(options["path"]) or options["path"]
    pieces = predictions(runs, path, id, separator, decimal, needs_sets, images)
    kept: list[Predicted] = []
    with writer(out, labels, give) as write:
        for piece in pieces:
            write(piece)
            if piece.targets is not None:
                kept.append(piece)
    for each in runs:
        if needs_sets and each.cut_on == "test":
            complain(f"{each.path}: its cuts were fitted on the scores of its test part, not on these")
    if kept:
        print(measures(kept), file=sys.stdout if out else sys.stderr)
    if out:
        print(out)


def names_in(written: str) -> list[str]:
    """One name, or those in brackets."""
    if not (written.startswith("[") and written.endswith("]")):
        return [written]
    return [name.strip() for name in written[1:-1].split(",") if name.strip()]


def files_in(written: str) -> dict[str, str] | None:
    """The files of several modalities, {audio: a.csv, text: t.npz}; None where path is one file."""
    if not written.startswith("{") or Path(written).expanduser().is_file():
        return None
    from mlbench.words import mapped

    if not (files := mapped(written)):
        raise UserError(
            f"path={written}: files of several modalities are written {{audio: a.csv, text: t.npz}}"
        )
    return files


def measures(kept: "list[Predicted]") -> str:
    """The metrics of all pieces, which have targets, as one line."""
    import torch

    from mlbench.predict import measured

    scores = torch.cat([each.scores for each in kept])
    targets = torch.cat([each.targets for each in kept if each.targets is not None])
    cut = [each.sets for each in kept if each.sets is not None]
    sets = torch.cat(cut) if cut else None
    return " ".join(f"{name}={value:.4f}" for name, value in shown(measured(scores, sets, targets)).items())


@contextlib.contextmanager
def writer(out: str | None, labels: tuple[str, ...], give: str) -> Iterator[Any]:
    """Writes a piece after the other; a file is there whole, or not at all."""
    suffix = Path(out).suffix if out else ".csv"
    if suffix == ".npz":
        with archive(Path(str(out)), labels, give) as write:
            yield write
    elif suffix == ".parquet":
        with parquet(Path(str(out)), labels, give) as write:
            yield write
    else:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(whole(Path(out))) if out else sys.stdout.buffer
            first = True

            def write(piece: "Predicted") -> None:
                nonlocal first
                rows = frame(piece, labels, give)
                if first:
                    file.write(rows[:0].to_csv(index=False, lineterminator="\n").encode())
                    first = False
                file.write(lines(rows))

            yield write
            file.flush()


def lines(rows: Any) -> bytes:
    """A data frame as text; pyarrow takes a sixth of pandas' time for it, and knows no quotes where only some
    cells need them.
    """
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError:
        return rows.to_csv(index=False, header=False, lineterminator="\n").encode()
    text, bare = io.BytesIO(), csv.WriteOptions(include_header=False, quoting_style="none")
    try:
        csv.write_csv(pyarrow.Table.from_pandas(rows, preserve_index=False), text, bare)
    except pyarrow.ArrowInvalid:
        return rows.to_csv(index=False, header=False, lineterminator="\n").encode()
    return text.getvalue()


@contextlib.contextmanager
def archive(out: Path, labels: tuple[str, ...], give: str) -> Iterator[Any]:
    """`ids`, `labels`, `scores` and, where asked for, `sets`."""
    import numpy as np

    collected: list[Predicted] = []
    yield collected.append
    arrays: dict[str, Any] = {"ids": np.concatenate([each.ids for each in collected]).astype(str)}
    arrays["labels"] = np.array(labels)
    if give in ("scores", "all"):
        arrays["scores"] = np.concatenate([each.scores.numpy() for each in collected])
    if give != "scores":
        arrays["sets"] = np.concatenate([each.sets.numpy() for each in collected if each.sets is not None])
    with whole(out) as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def parquet(out: Path, labels: tuple[str, ...], give: str) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise UserError(
            f"out={out}: Parquet needs pyarrow, which is missing: pip install 'multilabel-bench[parquet]'"
        ) from None
    with whole(out) as file, contextlib.ExitStack() as stack:
        opened: list[ParquetWriter] = []
        held: list[pyarrow.Table] = []  # for groups of rows of a size that readers like

        def write_held() -> None:
            if not opened:
                opened.append(stack.enter_context(ParquetWriter(file, held[0].schema)))
            opened[0].write_table(pyarrow.concat_tables(held))
            held.clear()

        def write(piece: "Predicted") -> None:
            held.append(pyarrow.Table.from_pandas(frame(piece, labels, give), preserve_index=False))
            if sum(table.num_rows for table in held) * len(labels) > GROUP:
                write_held()

        yield write
        if held:
            write_held()


def frame(piece: "Predicted", labels: tuple[str, ...], give: str) -> Any:
    import pandas as pd

    columns: dict[str, Any] = {"id": piece.ids}
    if give in ("scores", "all"):
        columns |= {label: piece.scores[:, column].numpy() for column, label in enumerate(labels)}
    if give == "sets":
        assert piece.sets is not None, "refused before"
        columns |= {label: piece.sets[:, column].int().numpy() for column, label in enumerate(labels)}
    if give in ("labels", "all"):
        assert piece.sets is not None, "refused before"
        columns["labels"] = [
            ";".join(label for label, chosen in zip(labels, row) if chosen) for row in piece.sets.tolist()
        ]
    return pd.DataFrame(columns)
