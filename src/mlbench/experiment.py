"""The spine: prepare, train, finish. One run or many go through these three; the fits of many are stacked."""

import contextlib
import functools
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlbench import embeddings
from mlbench.assemble import Pieces, assemble, check_embedding, check_loss, tell_looked_at, tell_untaken
from mlbench.config import Config, Node, encoding, fingerprint, science, taken
from mlbench.data import gaps, missing
from mlbench.data.contracts import Scaler
from mlbench.data.instances import Instances, statistics
from mlbench.data.rows import Rows
from mlbench.data.schema import Schema
from mlbench.data.splits import divided, labelled_rows
from mlbench.data.task import Modality, Task
from mlbench.encoders.encode import encoded
from mlbench.encoders.kept import described
from mlbench.engine import threads
from mlbench.engine.apart import train_apart
from mlbench.engine.fit import fit
from mlbench.engine.job import Job
from mlbench.engine.many import fit_together
from mlbench.engine.saved import write
from mlbench.engine.score import device_of, facts_of_rows, score
from mlbench.engine.stages import Stages
from mlbench.errors import UserError
from mlbench.evaluation.calibration import Calibration, told
from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.measure import Measures, measure
from mlbench.evaluation.thresholds import Threshold
from mlbench.files import whole
from mlbench.methods.base import Method
from mlbench.methods.build import packed
from mlbench.results import store
from mlbench.results.code import code_of
from mlbench.results.record import Record, forget_peak_memory, machine, peak_memory, revision, versions
from mlbench.results.repeats import science_of
from mlbench.results.tracking import Begun
from mlbench.seeding import derive, seed_everything

Ended = tuple[Record, Path] | Exception  # a run's record and its path, or what stopped it


def run(config: Config) -> tuple[Record, Path]:
    """Runs the experiment, unless it has finished before; returns the record and its path."""
    (ended,) = run_all([config])
    if isinstance(ended, Exception):
        raise ended
    return ended


def run_all(configs: Sequence[Config], wait: bool = True) -> list[Ended]:
    """Runs experiments side by side; if one fails, the others go on.

    A run whose folder another process holds ends as store.Busy; with `wait` the first run waits instead.
    """
    forget_peak_memory()
    runs = [Experiment(config) for config in configs]
    with ExitStack() as claims:
        for run in runs:
            claims.callback(run.leave)
        for number, run in enumerate(runs):
            with run.at_work():
                prepare(run, claims, wait and not number)
        train(runs)
        for run in runs:
            with run.at_work():
                finish(run)
    return [run.outcome for run in runs]


@dataclass
class Experiment:
    """One run on its way through the spine, and how it ended."""

    config: Config
    ended: Ended | None = None
    folder: Path = field(init=False)
    claimed: bool = False  # whether this process holds the folder
    key: str = ""
    code: str = ""  # hash of the run's code
    data: Node = field(default_factory=dict)  # the data set's identity and statistics
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    pieces: Pieces = field(init=False)
    task: Task = field(init=False)
    scaler: Scaler = field(init=False)
    schema: Schema = field(init=False)
    fills: gaps.Fills = field(default_factory=dict)  # what goes into cells without a value, by column
    example: list[float | str] | None = None  # a row of a file: means and most frequent words of the training
    parts: dict[str, Rows] = field(default_factory=dict)
    labelled: Rows | None = None  # the rows whose labels training may use, if the threshold is fitted on them
    method: Method = field(init=False)
    stages: Stages = field(init=False)
    jobs: list[Job] = field(default_factory=list)  # the fits that the run waits for

    @property
    def outcome(self) -> Ended:
        assert self.ended is not None, "the run has been through the spine"
        return self.ended

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Notes an error in the run's folder, and ends this run with it, but no other run."""
        try:
            yield
        except Exception as error:
            self.ended = error
            if self.claimed:
                self.pieces.tracker.stop()
                store.fail(self.folder, error)

    def leave(self) -> None:
        """Tells the tracker that an interrupt stopped the run, unless the run has ended."""
        if self.claimed and self.ended is None:
            self.pieces.tracker.stop()


def prepare(run: Experiment, claims: ExitStack, wait: bool) -> None:
    """Does all that comes before the run's first fits; ends the run if it has finished before."""
    config = run.config
    run.pieces = pieces = assemble(config)
    tell_untaken(config)
    tell_looked_at(config, pieces.threshold())
    identity = pieces.dataset.identity(config.paths.cache) | encoding(config)
    run.key = fingerprint(science(config, identity))
    folder = store.folder(config.paths.outputs, pieces.dataset.name, config.choices["method"], run.key)
    claims.enter_context(store.claim(folder, wait))
    run.folder, run.claimed = folder, True
    if config.force:
        store.clear(folder)
    run.code = code_of(config)
    if record := store.taken_up(folder, run.code):
        if config.outputs.embeddings and not (folder / store.EMBEDDINGS).exists():
            load(run, identity)
            record = embeddings.added(folder, record, run.parts, config.train)
        run.ended = record, folder / "record.json"
        return

    load(run, identity)
    check_loss(config, run.task)
    check_threshold(pieces.threshold(), run.task, run.parts)
    seed_everything(derive(config.seed, "method"))
    run.method = pieces.method(run.task)
    run.method.rows_scaled_by(run.scaler)
    if config.outputs.embeddings:
        check_embedding(run.method, config.choices["method"])

    settings = taken(config.model_dump(mode="json"))
    store.begin(folder, settings)
    method, files = settings["choices"]["method"], run.data.get("files")
    group = fingerprint(science_of(settings, settings["choices"], files, config.selection.rule))
    name = f"{run.task.name}/{method}/{config.seed}"
    pieces.tracker.start(Begun(run.key, name, settings, folder, group, method))
    run.stages = Stages(
        run.method,
        run.parts,
        config,
        identity,
        folder,
        pieces.threshold,
        pieces.tracker.log,
        Frequencies.of(run.task.positives, run.task.instances),
    )
    run.jobs = run.stages.ask()


def load(run: Experiment, identity: Node) -> None:
    """The rows of the run's parts, and the task."""
    config, pieces = run.config, run.pieces
    threads.use(config.train)
    loaded = pieces.dataset.load(config.paths.cache)
    words = loaded.instances.words
    rows = divided(pieces.split, loaded.instances.targets, loaded.official, config.seed, words)
    labelled = labelled_rows(pieces.split, rows)
    vectors = loaded.instances
    if pieces.encoders:
        device = device_of(config.train)
        train = functools.partial(train_apart, like=config.train)
        cache = config.paths.cache
        vectors = encoded(vectors, labelled, pieces.encoders, identity, cache, str(device), train)
    if getattr(pieces.dataset, "options", {}).get("missing") == "mean":
        run.fills = gaps.learned(vectors, labelled)
        vectors = gaps.filled(vectors, run.fills)
    vectors = missing.simulated(with_features(vectors, pieces.dataset), pieces.dataset, config.seed)
    run.scaler = missing.fitted_on_present(pieces.dataset.scaling, vectors, labelled)
    instances = missing.scaled(vectors, run.scaler)
    run.schema = replace(Schema.of(vectors), fills=run.fills)
    if not pieces.encoders and vectors.kind == "vector":
        run.example = run.schema.typical(missing.means(vectors, labelled))
    run.data = identity | {"statistics": statistics(vectors)}
    run.parts = {part: Rows.from_instances(instances, numbers) for part, numbers in rows.items()}
    run.task = describe(instances, labelled, pieces.dataset)
    rule = pieces.threshold()
    if rule.fitted and rule.part == "training":
        run.labelled = Rows.from_instances(instances, labelled)


def train(runs: Sequence[Experiment]) -> None:
    """Fits what the runs ask for, until no run asks any more."""
    stack = all(run.config.engine == "auto" for run in runs)
    while waiting := [run for run in runs if run.jobs and not run.ended]:
        wanted = [job for run in waiting for job in run.jobs]
        stacked = fit_together(wanted) if stack and len(wanted) > 1 else {}
        for run in waiting:
            with run.at_work():
                jobs = run.jobs
                run.stages.take(jobs, [fit(job, stacked.get(job.path)) for job in jobs])
                run.jobs = run.stages.ask()


def finish(run: Experiment) -> None:
    """Scores, measures and records; the record is written last."""
    if run.ended:
        return
    config, pieces, folder, task = run.config, run.pieces, run.folder, run.task
    models, selected = run.stages.models()
    clock = time.monotonic()
    scored = measured_under(run, models)
    measured = {rule: each.measures for rule, each in scored.items()}
    save_scores(folder / "scores.npz", scored, run.parts["test"])
    chosen = models[config.selection.rule]
    for name, tensors in chosen.findings().items():
        save_findings(folder / f"{name}.npz", tensors, run.parts["train"], task)
    nodes = {"method": config.method, "backbone": config.backbone, "loss": config.loss}
    write(folder / "model.pt", packed(chosen, nodes, task) | {"rows": way_of_rows(run, scored)})
    metrics = {rule: result.metrics for rule, result in measured.items()}
    if config.outputs.embeddings:
        metrics[config.selection.rule] |= embeddings.keep(folder, chosen, run.parts, task, config.train)
    else:
        (folder / store.EMBEDDINGS).unlink(missing_ok=True)  # of a run whose record is no longer there

    settings = taken(config.model_dump(mode="json"))
    record = Record(
        key=run.key,
        choices=settings["choices"],
        seed=config.seed,
        rule=config.selection.rule,
        metrics=metrics,
        per_label={"label": list(task.labels)} | measured[config.selection.rule].per_label,
        thresholds={rule: result.cuts for rule, result in measured.items()},
        selected=selected,
        facts=run.method.facts() | facts_of_rows(chosen, run.parts["test"], device_of(config.train)),
        parts={part: len(rows) for part, rows in run.parts.items()},
        data=run.data,
        config=settings,
        seconds=run.stages.seconds | {"scoring": time.monotonic() - clock},
        peak_memory_bytes=peak_memory(),
        started=run.started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        machine=machine(),
        revision=revision(),
        code=run.code,
        calibration=told({rule: each.calibration for rule, each in scored.items()}, task.labels),
        trained=run.stages.trained,
        cost=cost(run, chosen, scored[config.selection.rule]),
    )
    store.finish(folder, record, run.stages.history)
    pieces.tracker.finish(folder / "record.json")
    run.ended = record, folder / "record.json"


@dataclass(frozen=True)
class Scored:
    """Of one model: the scores of the test part and their measures, and what calibrated the scores."""

    scores: Tensor
    measures: Measures
    calibration: Calibration | None
    rows_a_second: float  # of this process's processor time, while it scored


def cost(run: Experiment, model: Method, scored: Scored) -> dict[str, float]:
    """What the run took on one core of its machine, however busy that was."""
    trained = sum(parameter.numel() for parameter in model.parameters())
    return {
        "train_seconds": run.stages.processor_seconds,
        "seconds_per_1000_rows": 1000 / scored.rows_a_second,
        "parameters": trained or math.nan,
    }


def measured_under(run: Experiment, models: dict[str, Method]) -> dict[str, Scored]:
    """The test part, scored and measured, for the model of each selection rule."""
    rule, calibrator = run.pieces.threshold(), run.pieces.calibrator
    assert rule.part != "test" or rule.suffix == "_oracle", "a rule that sees test targets says so"
    asked = ["test", *([rule.part] if rule.fitted else []), *([calibrator.part] if calibrator else [])]
    known = run.parts | ({} if run.labelled is None else {"training": run.labelled})
    parts = {part: known[part] for part in asked}
    frequencies = Frequencies.of(run.task.positives, run.task.instances)
    scored = {}
    for name, model in models.items():
        clock = time.process_time()
        scores = dict(zip(parts, score(model, [*parts.values()], run.config.train)))
        worked = max(time.process_time() - clock, 1e-9)
        if not ((scores["test"] >= 0) & (scores["test"] <= 1)).all():
            method = run.config.choices["method"]
            raise UserError(f"method={method} gave scores that are no probabilities (or NaN)")
        calibration = None
        if calibrator:
            calibration = calibrator.fit(scores[calibrator.part], parts[calibrator.part].targets)
            scores = {part: calibration(of_part) for part, of_part in scores.items()}
        fit_on = (scores[rule.part], parts[rule.part].targets) if rule.fitted else None
        orders, targets = model.column_orders(), parts["test"].targets
        measures = measure(run.pieces.threshold(), scores["test"], targets, fit_on, orders, frequencies)
        rate = sum(map(len, parts.values())) / worked
        scored[name] = Scored(scores["test"], measures, calibration, rate)
    return scored


def fields_of(run: Experiment, field: str) -> list[str]:
    """The fields of the data set's file in which its texts, or the names of its images, are."""
    named = run.schema.beside.get(field) or getattr(run.pieces.dataset, "options", {}).get(field, field)
    return [named] if isinstance(named, str) else [*named]


def way_of_rows(run: Experiment, scored: dict[str, Scored]) -> dict[str, Any]:
    """What leads from a row of a file to the trained method, and from its scores to a label set."""
    dataset, rule, chosen = run.pieces.dataset, run.pieces.threshold(), scored[run.config.selection.rule]
    return {
        "schema": run.schema.plain,
        "scaling": dataset.scaling,
        "scaler": run.scaler.state,
        "encoders": {field: described(encoder) for field, encoder in run.pieces.encoders.items()},
        "fields": {field: fields_of(run, field) for field in run.pieces.encoders},
        "calibration": chosen.calibration and chosen.calibration.plain,
        "cuts": chosen.measures.cuts,
        "at_cut": rule.at_cut,
        "cut_on": getattr(rule, "fit_on", rule.part) if rule.fitted else "",
        "citation": getattr(dataset, "citation", None),
        "licence": getattr(dataset, "licence", None),
        "options": json.loads(json.dumps(getattr(dataset, "options", {}), default=str)),
        "example": run.example,
    }


def with_features(instances: Instances, dataset: Any) -> Instances:
    if not instances.width:
        raise UserError(f"dataset={dataset.name} has labels only, no features to learn from")
    return instances


def describe(instances: Instances, labelled: np.ndarray, dataset: Any) -> Task:
    ranges = instances.modalities or {"features": (0, instances.width)}
    targets = instances.targets[labelled]
    return Task(
        name=dataset.name,
        labels=instances.labels,
        modalities=tuple(Modality(name, start, stop) for name, (start, stop) in ranges.items()),
        instances=len(targets),
        positives=tuple(int(count) for count in targets.sum(axis=0, dtype=np.int64)),
        kind=instances.kind if getattr(dataset, "raw", ()) else dataset.kind,
        shape=instances.row if instances.kind == "image" else (),
        vocabulary=instances.vocabulary,
    )


def check_threshold(threshold: Threshold, task: Task, parts: Mapping[str, Rows]) -> None:
    """Lets a rule refuse the labels, or the part that it is to be fitted on, before any training."""
    if not threshold.fitted:
        threshold.label_sets(torch.zeros(2, len(task.labels)))
    elif threshold.part in parts:
        threshold.check(parts[threshold.part].targets)


def save_scores(path: Path, scored: dict[str, Scored], test: Rows) -> None:
    """Scores by selection rule, with the rows' numbers in the data set and their true labels."""
    arrays: dict[str, Any] = {rule: each.scores.numpy() for rule, each in scored.items()}
    with whole(path) as file:
        np.savez(file, ids=test.ids.numpy(), targets=test.targets.numpy().astype(np.uint8), **arrays)


def save_findings(path: Path, tensors: dict[str, Tensor], train: Rows, task: Task) -> None:
    """A method's findings, with the training rows' numbers in the data set, their true labels, all names."""
    assert path.name != "scores.npz", "the scores have that file"
    arrays: dict[str, Any] = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    targets = train.targets.numpy().astype(np.uint8)
    with whole(path) as file:
        np.savez(file, ids=train.ids.numpy(), targets=targets, labels=np.array(task.labels), **arrays)
