"""Runs on disk: a folder each, which a process claims while it works; finished once the record is there."""

import contextlib
import itertools
import json
import os
import platform
import shutil
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml
from filelock import Timeout
from omegaconf._utils import get_omega_conf_dumper

from mlbench.errors import UserError, complain
from mlbench.files import write
from mlbench.locks import lock, locked
from mlbench.names import one_name
from mlbench.results import repeats
from mlbench.results.index import index_of
from mlbench.results.record import Brief, Record, write_json

if TYPE_CHECKING:
    import pandas


EMBEDDINGS = "embeddings.npz"  # in the folder of a run that was asked for them
CLAIM = "claim.json"  # there as long as a process holds the run
NO_RECORD = "{} is not a record ({}); running it again sets it aside"


class Busy(Exception):
    """Another process holds the run."""


def folder(outputs: Path, dataset: str, method: str, key: str) -> Path:
    """The folder of a run, three steps below `outputs`. The choice method=own/mine is called mine."""
    method = PurePath(method).name
    return outputs / one_name("dataset.name", dataset) / one_name("method", method) / key


@contextlib.contextmanager
def claim(run: Path, wait: bool = True) -> Iterator[None]:
    """Claims a run for this process. If another process holds the run, waits, or raises Busy without `wait`.
    A process that dies gives its claim up.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        held = lock(run / ".lock")
        try:
            held.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise Busy(f"another process works on {run}") from None
            complain(f"waiting for another process that works on {run}")
            held.acquire()
    except OSError as error:
        raise UserError(
            f"cannot write to {run} ({error.strerror}); choose another folder with paths.outputs=..."
        ) from error
    try:
        for leftover in (*run.glob("*.tmp"), *run.glob("stages/*.tmp")):  # by a process that was killed
            leftover.unlink(missing_ok=True)
        sign(run)
        yield
    finally:
        (run / CLAIM).unlink(missing_ok=True)
        held.release()


def sign(run: Path) -> None:
    """Notes in a run that this process holds who that is, for a person who asks; the lock alone counts."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError):
        write(run / CLAIM, json.dumps({"host": platform.node(), "process": os.getpid(), "since": now}))


def holder(run: Path) -> dict[str, Any]:
    """What the process noted that holds the run, or died while it did; empty without a note."""
    return _noted(run / CLAIM)


def finished(run: Path) -> Record | None:
    """The run's record, if there is a whole one; refused if the file is no record."""
    path = run / "record.json"
    try:
        return Record.read(path)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:  # a foreign file, or half of a record
        raise UserError(NO_RECORD.format(path, error)) from error


def brief(run: Path) -> Brief | None:
    """What the run's record says in brief, if there is a whole one; the index may know without opening it."""
    try:
        return index_of(run).brief(run)
    except (ValueError, RecursionError) as error:
        raise UserError(NO_RECORD.format(run / "record.json", error)) from error


def whole(run: Path) -> bool:
    """Whether the run has a record that can be read."""
    try:
        return brief(run) is not None
    except UserError:
        return False


def taken_up(run: Path, code: str | None = None) -> Record | None:
    """The run's record, if there is a whole one, with a line if it is of other code than `code`.

    A file that is no record is renamed and kept, so that the run can be made again.
    """
    try:
        record = finished(run)
        if record and outdated(record, code):
            complain(f"{run / 'record.json'}: its code has changed since; force=true runs it again")
        return record
    except UserError as error:
        names = (run / f"record.broken-{number}.json" for number in itertools.count(1))
        aside = next(path for path in names if not path.exists())
        (run / "record.json").rename(aside)
        sentence = str(error).rpartition("; ")[0]
        complain(f"{sentence}; it is now {aside.name}, and the run is made again")
        return None


def outdated(record: Brief, code: str | None) -> bool:
    """Whether a record is known to be of other code."""
    return None not in (record.code, code) and record.code != code


def begin(run: Path, config: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(config))  # of lists and dictionaries, each written where it stands
    dumper = get_omega_conf_dumper()
    text = yaml.dump(plain, Dumper=dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
    write(run / "config.yaml", text)
    (run / EMBEDDINGS).unlink(missing_ok=True)  # of a run whose record is no longer there


def finish(run: Path, record: Record, history: dict[str, list[dict[str, float]]]) -> None:
    """Writes the history of every stage, a JSON line an epoch, and last the record, which ends the run."""
    rows = [json.dumps({"stage": stage} | row) for stage, epochs in history.items() for row in epochs]
    write(run / "history.jsonl", "".join(f"{row}\n" for row in rows))
    record.write(run / "record.json")
    index_of(run).note(run, record)
    (run / "failed.json").unlink(missing_ok=True)
    for leftover in passing(run):  # of a stack that this run was once to be trained in
        leftover.unlink(missing_ok=True)


def passing(run: Path) -> list[Path]:
    """What a run leaves that no finished run needs."""
    return [*run.glob("stages/*.ckpt"), *run.glob("stages/*.progress")]


def clear(run: Path) -> None:
    """Removes what an earlier run left, its checkpoints first."""
    shutil.rmtree(run / "stages", ignore_errors=True)
    for name in ("record.json", "failed.json", "history.jsonl", "scores.npz", EMBEDDINGS):
        (run / name).unlink(missing_ok=True)


def fail(run: Path, error: BaseException) -> None:
    """Notes why a run failed; the next time it is tried again."""
    reason = {
        "reason": str(error) or type(error).__name__,
        "type": type(error).__name__,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "traceback": traceback.format_exc(),
    }
    with contextlib.suppress(OSError):  # the disk may be what failed
        write_json(run / "failed.json", reason)


def failure(run: Path) -> dict[str, str]:
    """What `fail` noted; empty if the run has not failed."""
    return {name: str(words) for name, words in _noted(run / "failed.json").items()}


def _noted(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def progress(run: Path) -> tuple[str, int, int] | None:
    """The stage that the run was last seen at, its finished epochs, and of how many."""
    notes = sorted((run / "stages").glob("*.progress"))
    for path in reversed(notes):
        match _noted(path):
            case {"epoch": int(epoch), "epochs": int(epochs)}:
                return path.stem, epoch, epochs
    return None


def claimed(run: Path) -> bool:
    """Whether another process works on the run at this moment."""
    try:
        return locked(run / ".lock")
    except OSError:  # a folder that only others may write to
        return bool(holder(run))


def records(outputs: Path) -> "pandas.DataFrame":
    """All finished runs under a folder, a row each: choices, seed, fold, key, path and the shown metrics.

    `result` is the same for runs that differ in nothing but seed and fold.
    """
    import pandas

    rows = []
    for run in folders(outputs):
        if (record := brief(run)) is None:
            continue
        record = repeats.current(record)
        about = {"rule": record.rule, "result": repeats.result(record), "seed": record.seed}
        about |= {
            "fold": repeats.fold(record),
            "key": record.key,
            "path": run / "record.json",
            "imported": record.imported,
        }
        rows.append(record.choices | about | record.metrics[record.rule])
    return pandas.DataFrame(rows)


def folders(outputs: Path) -> list[Path]:
    """The folders that lie where runs lie, whatever is in them."""
    return sorted(path for data in _within(outputs) for method in _within(data) for path in _within(method))


def _within(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if entry.is_dir()]
    return []
