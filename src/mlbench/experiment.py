"""The spine: prepare, train, finish. One run or many go through these three; the fits of many are stacked."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mlbench import embeddings
from mlbench.assemble import Pieces, assemble, check_embedding, check_shapes, tell_looked_at, tell_untaken
from mlbench.config import Config, encoding, fingerprint, science, taken
from mlbench.data.contracts import identity_of
from mlbench.engine import threads
from mlbench.engine.fit import fit
from mlbench.engine.job import Job
from mlbench.engine.many import fit_together
from mlbench.engine.stages import Stages
from mlbench.outcome import measured_under, recorded, save
from mlbench.prepared import Prepared, check_threshold, prepared
from mlbench.results import store
from mlbench.results.code import code_of
from mlbench.results.record import Record, forget_peak_memory
from mlbench.results.tracking import begun
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
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    pieces: Pieces = field(init=False)
    prepared: Prepared = field(init=False)
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
    identity = identity_of(pieces.dataset, config.paths.cache) | encoding(config)
    run.key = fingerprint(science(config, identity))
    folder = store.folder(config.paths.outputs, pieces.dataset.name, config.choices["method"], run.key)
    claims.enter_context(store.claim(folder, wait))
    run.folder, run.claimed = folder, True
    if config.force:
        store.clear(folder)
    run.code = code_of(config)
    threads.use(config.train)
    if record := store.taken_up(folder, run.code):
        if config.outputs.embeddings and not (folder / store.EMBEDDINGS).exists():
            parts = prepared(config, pieces, identity).parts
            record = embeddings.added(folder, record, parts, config.train)
        run.ended = record, folder / "record.json"
        return

    run.prepared = ready = prepared(config, pieces, identity)
    check_shapes(config, ready.task)
    check_threshold(pieces.threshold(), ready.task, ready.parts)
    seed_everything(derive(config.seed, "method"))
    method = pieces.method(ready.task)
    method.rows_scaled_by(ready.scaler)
    if config.outputs.embeddings:
        check_embedding(method, config.choices["method"])

    settings = taken(config.model_dump(mode="json"))
    store.begin(folder, settings)
    pieces.tracker.start(begun(run.key, settings, ready.task.name, ready.data, folder))
    threshold, report = pieces.threshold, pieces.tracker.log
    run.stages = Stages(method, ready.parts, config, identity, folder, threshold, report, ready.frequencies)
    run.jobs = run.stages.ask()


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
    config, pieces, folder, prepared = run.config, run.pieces, run.folder, run.prepared
    models, selected = run.stages.models()
    clock = time.monotonic()
    scored = measured_under(config, pieces, prepared, models)
    chosen = scored[config.selection.rule]
    save(folder, config, pieces, prepared, scored)
    if config.outputs.embeddings:
        metrics = embeddings.keep(folder, chosen.model, prepared.parts, prepared.task, config.train)
        chosen.measures.metrics.update(metrics)
    record = recorded(
        run.stages,
        prepared,
        scored,
        selected,
        key=run.key,
        code=run.code,
        started=run.started,
        scoring=time.monotonic() - clock,
    )
    store.finish(folder, record, run.stages.history)
    pieces.tracker.finish(folder / "record.json")
    run.ended = record, folder / "record.json"
