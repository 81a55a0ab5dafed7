"""The spine: data → method → stages → scores → metrics → record. Reads top to bottom."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlbench.assemble import Pieces, assemble, check_loss, tell_untaken
from mlbench.config import Config, Node, fingerprint, science, taken
from mlbench.data.instances import Instances, statistics
from mlbench.data.scaling import scale
from mlbench.data.splits import divided, labelled_rows
from mlbench.data.task import Modality, Task
from mlbench.data.vectors import Vectors
from mlbench.engine import memory, threads
from mlbench.engine.callbacks import write
from mlbench.engine.many import together
from mlbench.engine.score import score
from mlbench.engine.train import Running, train
from mlbench.errors import UserError
from mlbench.evaluation.suite import find, per_label
from mlbench.evaluation.thresholds import Threshold, evaluate_under
from mlbench.files import whole
from mlbench.methods.base import Method
from mlbench.methods.build import packed
from mlbench.results import store
from mlbench.results.code import code_of
from mlbench.results.record import Record, machine, peak_memory, revision, versions
from mlbench.seeding import derive, seed_everything


def run(config: Config) -> tuple[Record, Path]:
    """Runs the experiment, or finds the same one finished before; the record, and its path."""
    (ended,) = together([running(config)], stack=config.engine == "auto")
    if isinstance(ended, Exception):
        raise ended
    return ended


def run_all(configs: Sequence[Config], wait: bool = True) -> list[tuple[Record, Path] | Exception]:
    """Runs experiments, their fits stacked where they can be: each one's record and path, or what stopped it.

    A run whose folder another process holds ends as store.Busy; with `wait` the first one's is waited for.
    """
    return together([running(config, wait and not number) for number, config in enumerate(configs)])


def running(config: Config, wait: bool = True) -> Running[tuple[Record, Path]]:
    """The experiment as far as the next fit it needs, and on from there, whoever does the fitting."""
    pieces = assemble(config)
    tell_untaken(config)
    data = pieces.dataset.identity(config.paths.cache)
    key = fingerprint(science(config, data))
    folder = store.folder(config.paths.outputs, pieces.dataset.name, config.choices["method"], key)
    with store.claim(folder, wait):
        if config.force:
            store.clear(folder)
        record = store.taken_up(folder, code_of(config))
        if record is None:
            try:
                record = yield from execute(config, pieces, data, key, folder)
            except BaseException as error:
                pieces.tracker.stop()
                if not isinstance(error, KeyboardInterrupt | GeneratorExit):
                    store.fail(folder, error)
                raise
    return record, folder / "record.json"


def execute(config: Config, pieces: Pieces, data: Node, key: str, folder: Path) -> Running[Record]:
    """Trains, scores and measures; the record is written last."""
    started, code = datetime.now(UTC), code_of(config)
    threads.use(config.train)
    loaded = pieces.dataset.load(config.paths.cache)
    rows = divided(pieces.split, loaded.instances.targets, loaded.official, config.seed)
    labelled = labelled_rows(pieces.split, rows)
    instances = scaled(loaded.instances, labelled, pieces.dataset)
    parts = {part: Vectors.from_instances(instances, own) for part, own in rows.items()}
    task = describe(instances, labelled, pieces.dataset)
    check_loss(config, task)
    check_threshold(pieces.threshold(), task)
    memory.keep_freed()  # what follows asks for the same blocks over and over
    seed_everything(derive(config.seed, "method"))
    method = pieces.method(task)

    settings = taken(config.model_dump(mode="json"))
    store.begin(folder, settings)
    pieces.tracker.start(key, f"{task.name}/{config.choices['method']}/{config.seed}", settings, folder)
    trained = yield from train(method, parts, config, pieces, data, folder)
    clock = time.monotonic()
    fitting = {"training": Vectors.from_instances(instances, labelled), "validation": parts.get("validation")}
    measured = measure(trained.models, parts["test"], fitting, config, pieces)
    save_scores(folder / "scores.npz", measured, parts["test"])
    save_model(folder / "model.pt", trained.models[config.selection.rule], config, task)

    shown = measured[config.selection.rule]
    record = Record(
        key=key,
        choices=settings["choices"],
        seed=config.seed,
        rule=config.selection.rule,
        metrics={rule: result.metrics for rule, result in measured.items()},
        per_label={"label": list(task.labels)} | shown.per_label,
        thresholds={rule: result.cuts for rule, result in measured.items()},
        selected=trained.selected,
        facts=method.facts(),
        parts={part: len(vectors) for part, vectors in parts.items()},
        data=data | {"statistics": statistics(loaded.instances)},
        config=settings,
        seconds=trained.seconds | {"scoring": time.monotonic() - clock},
        peak_memory_bytes=peak_memory(),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        machine=machine(),
        revision=revision(),
        code=code,
    )
    store.finish(folder, record, trained.history)
    pieces.tracker.finish(folder / "record.json", record.metrics)
    return record


def scaled(instances: Instances, labelled: np.ndarray, dataset: Any) -> Instances:
    """The features, scaled by what the rows with labels show."""
    if not instances.feature_names:
        raise UserError(f"dataset={dataset.name} has labels only, no features to learn from")
    return dataclasses.replace(instances, features=scale(instances.features, labelled, dataset.scaling))


def describe(instances: Instances, labelled: np.ndarray, dataset: Any) -> Task:
    ranges = instances.modalities or {"features": (0, len(instances.feature_names))}
    targets = instances.targets[labelled]
    return Task(
        name=dataset.name,
        labels=instances.labels,
        modalities=tuple(Modality(name, start, stop) for name, (start, stop) in ranges.items()),
        instances=len(targets),
        positives=tuple(int(count) for count in targets.sum(axis=0, dtype=np.int64)),
        kind=dataset.kind,
    )


def check_threshold(threshold: Threshold, task: Task) -> None:
    """A rule that cuts without having been fitted does so with the labels there are, before any training."""
    if not threshold.fitted:
        threshold.label_sets(torch.zeros(2, len(task.labels)))


@dataclass(frozen=True)
class Measured:
    scores: Tensor  # (N, L) of the test part
    metrics: dict[str, float]
    per_label: dict[str, list]
    cuts: Any


def measure(
    models: dict[str, Method],
    test: Vectors,
    fitting: dict[str, Vectors | None],
    config: Config,
    pieces: Pieces,
) -> dict[str, Measured]:
    """Scores, label sets and metrics of the test part, for the model of each selection rule."""
    rule = pieces.threshold()
    on_test = rule.fitted and rule.part == "test"
    assert not on_test or rule.suffix == "_oracle", "a rule that sees test targets says so"
    looked_at = [test, fitting[rule.part]] if rule.fitted and not on_test else [test]
    scored = iter(score([(model, data) for model in models.values() for data in looked_at], config.train))
    measured = {}
    for name, model in models.items():
        threshold, scores = pieces.threshold(), next(scored)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise UserError(
                f"method={config.choices['method']} gave scores that are no probabilities (or NaN)"
            )
        if rule.fitted:
            threshold.fit(scores if on_test else next(scored), looked_at[-1].targets)
        orders = {"": slice(None)} | model.column_orders()
        ending = {"label_sets": threshold.suffix, "scores": ""}
        metrics = {
            f"{metric}{ending[find(metric).needs]}{suffix}": value
            for suffix, columns in orders.items()
            for metric, value in evaluate_under(threshold, scores, test.targets, columns=columns).items()
        }
        by_label = {
            f"{name}{threshold.suffix if name == 'f1' else ''}": values
            for name, values in per_label(scores, threshold.label_sets(scores), test.targets).items()
        }
        measured[name] = Measured(scores, metrics, by_label, threshold.cuts(scores))
    return measured


def save_scores(path: Path, measured: dict[str, Measured], test: Vectors) -> None:
    """Scores by selection rule, with the rows' numbers in the data set and their true labels."""
    scores = {rule: result.scores.numpy() for rule, result in measured.items()}
    with whole(path) as file:
        np.savez(file, ids=test.ids.numpy(), targets=test.targets.numpy().astype(np.uint8), **scores)


def save_model(path: Path, method: Method, config: Config, task: Task) -> None:
    """The method as the shown selection rule leaves it, to predict with or to teach others."""
    nodes = {"method": config.method, "backbone": config.backbone, "loss": config.loss}
    write(path, packed(method, nodes, task))
