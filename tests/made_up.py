"""Records and tables that no training made, for what reads them."""

import hashlib
import json
from functools import cache
from pathlib import Path

from mlbench.compose import configure
from mlbench.config import Config
from mlbench.results import store
from mlbench.results.record import Record
from mlbench.runs.run import Run
from mlbench.tables.plan import Case
from mlbench.tables.spec import Results, checked
from mlbench.tables.table import Table, fill

METRICS = ("hamming_loss", "f1_macro")
SPEC = {
    "title": "A made-up table",
    "axes": {"dataset": ["emotions", "scene"], "method": ["bl", "tc", "ant"]},
    "metrics": {name: {"ours": name} for name in METRICS},
    "seeds": 2,
    "layout": {"blocks": "dataset", "rows": "method", "columns": "metric"},
    "decimals": 3,
}
EPOCHS = "".join(
    json.dumps({"stage": stage, "epoch": epoch, "loss": 1 / epoch}) + "\n"
    for stage in ("teacher", "student")
    for epoch in range(1, 201)
)


@cache
def any_config() -> Config:
    return configure(["method=prior"])


def made_up_spec(**changes) -> Results:
    return checked(SPEC | changes, "made-up")


def made_up_record(key: str, dataset: str, method: str, seed: int, **changes) -> Record:
    """`hamming_loss` and `f1_macro` of methods and seeds are all different."""
    choices = {"dataset": dataset, "method": method, "backbone": "linear", "loss": "bce"}
    choices |= {"split": "holdout", "threshold": "fixed", "train": "default", "logger": "local"}
    low = 0.1 + 0.01 * (sum(map(ord, method + dataset)) % 29) + 0.001 * seed
    values = {"hamming_loss": low, "f1_macro": 1 - low}
    content = {
        "key": key,
        "choices": choices,
        "seed": seed,
        "rule": "last",
        "metrics": {"last": values | {f"{name}_shared_first": value / 2 for name, value in values.items()}},
        "per_label": {
            "label": ["calm", "loud"],
            "f1": [0.5 + 0.1 * seed, 0.25],
            "ap": [0.5, 0.5],
            "auc": [0.5, 0.5],
            "support": [10, 3],
        },
        "thresholds": {"last": 0.5},
        "selected": {},
        "facts": {},
        "parts": {"train": 70, "test": 30},
        "data": {"name": dataset, "files": {"all": "0123456789abcdef"}},
        "config": {
            "dataset": {"_target_": "a.Files", "name": dataset},
            "method": {"_target_": f"a.{method}"},
            "split": {"_target_": "a.Holdout", "test": 0.3},
            "threshold": {"_target_": "a.Fixed", "value": 0.5},
            "train": {"epochs": 3, "threads": 1},
            "seed": seed,
            "paths": {"outputs": "/somewhere/outputs", "cache": "/somewhere/cache"},
        },
        "seconds": {"train": 2.0, "scoring": 0.5 + seed},
        "peak_memory_bytes": 300 * 2**20,
        "started": "2026-01-02T03:04:00+00:00",
        "finished": f"2026-01-02T03:05:0{seed % 10}+00:00",
        "versions": {"mlbench": "0.1.0", "torch": "2.0"},
        "machine": {"processor": "x86_64", "cores": 2, "gpu": None},
        "revision": "0123456789abcdef",
    }
    return Record(**content | changes)


def made_up_run(outputs: Path, dataset: str, method: str, seed: int) -> Run:
    key = hashlib.sha256(f"{dataset} {method} {seed}".encode()).hexdigest()[:16]
    said = [f"dataset={dataset}", f"method={method}", "method.labels=[0,1]"]
    said += [f"paths.outputs={outputs}", "train.progress=false", f"seed={seed}"]
    config = any_config().model_copy(update={"seed": seed})
    return Run(seed, config, tuple(said), key, store.folder(outputs, dataset, method, key))


def made_up_cases(spec: Results, outputs: Path) -> list[Case]:
    return [
        Case(
            dataset,
            setting,
            method,
            tuple(made_up_run(outputs, dataset, method, seed) for seed in range(spec.seeds)),
            spec.axes["method"][method].not_run,
        )
        for dataset in spec.names("dataset")
        for setting in spec.names("setting")
        for method in spec.names("method")
    ]


def finish(case: Case, run: Run, history: str = EPOCHS, **changes) -> None:
    """Leaves what a finished run leaves."""
    run.folder.mkdir(parents=True)
    record = made_up_record(run.key, case.dataset, case.method, run.seed, **changes)
    record.write(run.folder / "record.json")
    (run.folder / "history.jsonl").write_text(history)


def made_up_table(outputs: Path, spec: Results | None = None, history: str = EPOCHS, **changes) -> Table:
    """All runs of a table, finished."""
    spec = spec or made_up_spec()
    cases = made_up_cases(spec, outputs)
    for case in cases:
        for run in case.runs:
            finish(case, run, history, **changes)
    return fill("made-up", spec, cases)


def made_up_folds():
    """Two seeds of two folds on emotions; one run on scene."""
    metrics = {"last": {"f1_macro": 0.3}}
    records = {"one/record.json": made_up_record("", "scene", "erm", 0, metrics=metrics)}
    for seed, fold in ((0, 0), (0, 1), (1, 0), (1, 1)):
        metrics = {"last": {"f1_macro": 0.5 + seed / 100 + fold / 10}}
        record = made_up_record("", "emotions", "erm", seed, metrics=metrics)
        record.config["split"] = {"_target_": "a.KFold", "folds": 2, "fold": fold}
        records[f"{seed} {fold}/record.json"] = record
    return records
