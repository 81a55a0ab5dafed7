"""Whether a change left the numbers alone: twelve configurations, recorded before it and after, compared.

python tests/guard.py record FOLDER [--only NAME ...]
python tests/guard.py compare BEFORE AFTER

`record` runs the command line of the checkout that this file lies in, as a person types it, and writes what
every run measured to FOLDER/NAME.json. `compare` says what differs between two such folders, and by how much;
its exit status is 1 if anything does. The same bytes are promised on the same machine only. This file knows
nothing of the code but its command line and the files of a run: a copy of it measures an old checkout.
"""

import argparse
import json
import math
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(
    ["lightning", "torchmetrics", "sklearn.linear_model", "sklearn.datasets", "hydra"]
)

BEST = ["train.epochs=6", "split.validation=0.2", "selection.rule=best", "threshold=per_label"]
TAUGHT = ["method.teachers.epochs=3", "train.epochs=4"]
CONFIGURATIONS = {
    "erm-linear": ["backbone=linear", *BEST],
    "erm-mlp": [*BEST, "backbone.dropout=0.2"],
    "ant": ["method=ant", *TAUGHT],
    "cfl": ["method=cfl", *TAUGHT],
    "aka": ["method=aka", *TAUGHT],
    "br": ["method=br", "method.options={max_iter: 50}"],
    "mlknn": ["method=mlknn"],
    "seeds": ["-m", "seed=0,1,2,3", *BEST],
    "rates": ["-m", "train.optimizer.lr=0.0003,0.001,0.003", *BEST, "selection.every=2"],
    "accumulate": ["train.accumulate=2", "train.gradient_clip=0.5", "train.batch_size=30", "train.epochs=5"],
    "devices": ["train.devices=2", "train.epochs=3", "split.validation=0.2"],
    "interrupted": [
        *BEST,
        "train/scheduler=cosine_restarts",
        "train.scheduler.T_0=4",
        "backbone.dropout=0.5",
    ],
}
ACCIDENTS = {
    "interrupted": [signal.SIGKILL, signal.SIGINT]
}  # at the first checkpoint, at the first one after
COMPARED = "scores", "metrics", "per_label", "thresholds", "selected", "history"
PATIENCE = 300  # seconds that a command may take


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--only", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    comparing = actions.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    asked = parser.parse_args()
    if asked.action == "record":
        return record(asked.folder, asked.only)
    return compare(asked.before, asked.after)


def record(folder: Path, names: list[str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # before the process that the commands are forked from begins
    for name in names:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            run(CONFIGURATIONS[name], Path(work), ACCIDENTS.get(name, []))
            runs = dict(measured(path) for path in Path(work).glob("outputs/*/*/*/record.json"))
        (folder / f"{name}.json").write_text(json.dumps(runs, indent=1, sort_keys=True))
        print(f"{name}: {len(runs)} in {time.monotonic() - begin:.1f} s", flush=True)
    return 0


def run(arguments: list[str], work: Path, accidents: list[int]) -> None:
    """Runs the command in `work` until it is done, and each time before that gets it one of the signals."""
    paths = [f"paths.outputs={work / 'outputs'}", f"paths.cache={work / 'cache'}"]
    for accident in accidents:
        seen = checkpoints(work)
        running = start([*arguments, *paths, "train.checkpoint_seconds=0"], work)
        while running.is_alive() and checkpoints(work) <= seen:
            time.sleep(0.002)
        if not running.is_alive():
            sys.exit(f"guard: {' '.join(arguments)} left no checkpoint to interrupt it at")
        os.kill(running.pid, accident)
        running.join(PATIENCE)
    running = start([*arguments, *paths], work)
    running.join(PATIENCE)
    if running.exitcode != 0:
        sys.exit(f"guard: {' '.join(arguments)} ended with status {running.exitcode}")


def start(arguments: list[str], work: Path) -> multiprocessing.Process:
    """A process of its own, forked from one that has imported what is large; see tests/commands.py."""
    running = forks.Process(target=serve, args=([*arguments, "train.progress=false"], work))
    running.start()
    return running


def serve(arguments: list[str], work: Path) -> None:
    os.chdir(work)
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    sys.path[0] = str(ROOT / "src")
    sys.argv = [str(ROOT / "run.py"), *arguments]
    sys.stdout = (work / "out").open("w")
    runpy.run_path(sys.argv[0], run_name="__main__")


def checkpoints(work: Path) -> set[tuple[Path, int]]:
    """Those that are there now, each with the time of its last change."""
    return {(path, path.stat().st_mtime_ns) for path in work.glob("outputs/*/*/*/stages/*.ckpt")}


def measured(path: Path) -> tuple[str, dict[str, Any]]:
    """What tells a run from the others of its command, and all that it measured."""
    content = json.loads(path.read_text())
    with np.load(path.with_name("scores.npz")) as archive:
        arrays = {name: archive[name] for name in sorted(archive.files)}
    kept = {name: content[name] for name in ("key", *COMPARED) if name in content}
    kept["scores"] = {name: [str(a.dtype), a.shape, a.tobytes().hex()] for name, a in arrays.items()}
    lines = path.with_name("history.jsonl")
    kept["history"] = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    rate = content["config"].get("train", {}).get("optimizer", {}).get("lr")
    return f"seed={content['seed']} lr={rate}", kept


def compare(before: Path, after: Path) -> int:
    names = [name for name in CONFIGURATIONS if (before / f"{name}.json").exists()]
    names = [name for name in names if (after / f"{name}.json").exists()]
    if not names:
        sys.exit(f"guard: {before} and {after} have no configuration in common")
    different = False
    for name in names:
        old, new = (json.loads((folder / f"{name}.json").read_text()) for folder in (before, after))
        found = list(differences(old, new))
        different |= bool(found)
        print(f"{name}: {len(old)} the same" if not found else "\n  ".join([f"{name}:", *found]))
    left = [name for name in CONFIGURATIONS if name not in names]
    print(f"not compared: {', '.join(left)}" if left else "all compared")
    return int(different)


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for which in sorted(old.keys() ^ new.keys()):
        yield f"{which}: only {'before' if which in old else 'after'}"
    for which in sorted(old.keys() & new.keys()):
        one, other = old[which], new[which]
        if one["key"] != other["key"]:
            yield f"{which}: key {one['key']} became {other['key']}"
        for part in COMPARED:
            if one.get(part) != other.get(part):
                yield f"{which}: {part} {difference(numbers(one.get(part)), numbers(other.get(part)))}"


def numbers(content: Any, place: str = "") -> dict[str, Any]:
    """Every number, or whatever else is no collection, under its place."""
    if isinstance(content, list) and len(content) == 3 and isinstance(content[2], str):  # an array of scores
        values = np.frombuffer(bytes.fromhex(content[2]), content[0]).tolist()
        return numbers({"shape": content[1], "values": values}, place)
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return {at: v for name, value in items for at, v in numbers(value, f"{place}.{name}").items()}
    return {place: content}


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """How many numbers differ, and the largest difference with its place; what is not there on both sides."""
    changed = {at: gap(old[at], new[at]) for at in old.keys() & new.keys() if old[at] != new[at]}
    said = []
    if changed:
        at = max(changed, key=lambda place: (changed[place], place))
        said.append(f"differ in {len(changed)} of {len(old)}, at most by {changed[at]:.3g} ({at[1:]})")
    if only := sorted(old.keys() ^ new.keys()):
        said.append(f"{len(only)} are on one side only, first {only[0][1:]}")
    return "; ".join(said)


def gap(old: Any, new: Any) -> float:
    plain = all(isinstance(value, int | float) for value in (old, new))
    return abs(old - new) if plain else math.inf


if __name__ == "__main__":
    sys.exit(main())
