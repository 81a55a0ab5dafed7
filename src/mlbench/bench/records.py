"""What is made of many records, in fresh processes: with the index, and with an index to be made again."""

import functools
import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from mlbench.bench.timing import Row, python
from mlbench.compose import configure
from mlbench.config import fingerprint, options, science, taken, target
from mlbench.errors import UserError, did_you_mean
from mlbench.evaluation.suite import ALL
from mlbench.results import store
from mlbench.results.code import code_of
from mlbench.results.record import Record, machine, versions

SEEDS = 50  # of a setting, where there are as many runs
LABELS = [f"label {number}" for number in range(20)]
SHOWN = ("subset_accuracy", "hamming_loss", "f1_micro", "f1_macro", "ranking_loss", "ap_macro")
CODE = """import json, sys, time
from mlbench.commands import {command}
from mlbench.results.record import peak_memory
status = {command}.main(sys.argv[1:])
left = {{"status": status, "bytes": peak_memory(), "processor": time.process_time()}}
print("\\n" + json.dumps(left))
"""
COMMANDS = {
    "plan": ("reproduce", "table={}/table.yaml", "dry_run=true"),
    "status": ("status",),
    "report": ("report",),
}


def records(repeats: int = 5, runs: int = 10_000, commands: tuple[str, ...] = (*COMMANDS,)) -> Iterator[Row]:
    """Made-up records of erm on multidigits: their table's plan, status, report; whole processes."""
    for command in commands:
        if command not in COMMANDS:
            near = did_you_mean(command, COMMANDS)
            raise UserError(f"commands={command}: choose {', '.join(COMMANDS)}{near}")
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), runs)
        for command in commands:
            once = functools.partial(measured, command, Path(folder))
            once()  # composes what a plan keeps, and makes the index
            known, anew, peaks, busy = [], [], [], []
            for _ in range(repeats):
                seconds, left = once()
                known.append(seconds)
                peaks.append(left["bytes"])
                busy.append(left["processor"])
                for index in Path(folder).glob("outputs/records.*"):
                    index.unlink()
                anew.append(once()[0])
            notes = {
                "peak_megabytes": statistics.median(peaks) / 1e6,
                "processor_seconds": statistics.median(busy),
            }
            yield Row(f"{command}, {made:,} records", "no index yet", known, anew, notes)


def measured(command: str, folder: Path) -> tuple[float, dict]:
    """Seconds of a process, and its report: the peak of its memory in bytes, seconds of the processor."""
    name, *words = COMMANDS[command]
    words = [word.format(folder) for word in words]
    began = perf_counter()
    output = python("-c", CODE.format(command=name), *words, f"paths.outputs={folder}/outputs", cwd=folder)
    seconds, left = perf_counter() - began, json.loads(output.splitlines()[-1])
    if left["status"]:
        raise RuntimeError(f"{name} {' '.join(words)} ended with status {left['status']}")
    return seconds, left


def make(folder: Path, runs: int) -> int:
    """Writes a table of so many runs, at most, and a record of each; returns how many."""
    seeds = min(runs, SEEDS)
    settings = [
        ["method=erm", "backbone=linear", f"train.optimizer.lr={number + 1}e-5"]
        for number in range(runs // seeds)
    ]
    table = {
        "title": "Made up",
        "axes": {"dataset": ["multidigits"], "method": {word[-1]: {"overrides": word} for word in settings}},
        "metrics": {name: {"ours": name} for name in SHOWN},
        "seeds": seeds,
        "layout": {"rows": "method", "columns": "metric"},
    }
    (folder / "table.yaml").write_text(json.dumps(table))  # which is YAML, too
    about = {"versions": versions(), "machine": machine()}
    for words in settings:
        config = configure([*words, f"paths.outputs={folder}/outputs"])
        dataset = target(config.dataset)(**options(config.dataset))
        identity, code = dataset.identity(config.paths.cache), code_of(config)
        for seed in range(seeds):
            config = config.model_copy(update={"seed": seed})
            key = fingerprint(science(config, identity))
            made = record(key, taken(config.model_dump(mode="json")), identity, code, about)
            run_folder = store.folder(config.paths.outputs, dataset.name, "erm", key)
            run_folder.mkdir(parents=True)
            (run_folder / "record.json").write_text(json.dumps(asdict(made), indent=1))
    return len(settings) * seeds


def record(key: str, config: dict, identity: dict, code: str, about: dict) -> Record:
    draw = random.Random(key)
    return Record(
        key=key,
        choices=config["choices"],
        seed=config["seed"],
        rule="last",
        metrics={"last": {name: draw.random() for name in ALL}},
        per_label={"label": LABELS} | {name: [draw.random() for _ in LABELS] for name in ("f1", "ap", "auc")},
        thresholds={"last": 0.5},
        selected={},
        facts={},
        parts={"train": 1000, "test": 800},
        data=identity | {"name": "multidigits"},
        config=config,
        seconds={"train": draw.random(), "scoring": draw.random()},
        peak_memory_bytes=300 * 2**20,
        started="2026-01-02T03:04:00+00:00",
        finished="2026-01-02T03:05:00+00:00",
        code=code,
        **about,
    )
