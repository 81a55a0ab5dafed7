"""FLEM under our engine beside FLEM by hand; a grid of its weights as one beside its runs alone."""

import copy
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mlbench.assemble import assemble
from mlbench.bench.chain import built
from mlbench.bench.flem_by_hand import by_hand_of, by_loader, by_rows
from mlbench.bench.many import compare_engines, job_of, on, random
from mlbench.bench.step import apart
from mlbench.bench.timing import Row, compare
from mlbench.config import Config
from mlbench.data.rows import Rows
from mlbench.engine.fit import fit
from mlbench.engine.many import fit_together
from mlbench.engine.watch import Watch
from mlbench.methods.base import Stage
from mlbench.methods.enhancement.flem import FLEM
from mlbench.seeding import derive

WEIGHTS = (0.0001, 0.001, 0.01, 0.1)  # the paper's grid, of w_ld and of w_le
FLEM_D = ["method=flem_d", "paper=flem", "split.validation=0.2", "selection.metric=hamming_loss"]
LITERAL = 4  # how many literal runs are timed: they take long and are all alike


def enhancement(
    repeats: int = 5, epochs: int = 10, instances: int = 5827, runs: int = 48, grid: int = 16
) -> Iterator[Row]:
    """FLEM by strategy D: whole fits beside a loop of steps by hand; `runs` of the grid of its weights as one
    beside a loop with a DataLoader, seconds a run, the epoch's validation Hamming loss on both sides; and
    `grid` of them as one beside one by one. `instances`: of 512 features and 90 labels.
    """
    yield step_by_hand("scene", epochs, repeats, instances)
    yield step_by_hand("random", epochs, repeats, instances)
    for name in ("scene", "random"):
        yield many_beside_literal(name, epochs, repeats, instances, runs)
    for dataset in ("emotions", "scene"):
        config = on(dataset, FLEM_D)
        stages = [stage for stage, _ in stages_of(config, grid, instances=None)]
        title = f"{assemble(config).dataset.name}, {len(stages)} of the grid"
        yield compare_engines(title, [replace(stage, epochs=epochs) for stage in stages], config, repeats)


def step_by_hand(name: str, epochs: int, repeats: int, instances: int) -> Row:
    config = on("scene", FLEM_D)
    method, data = random(config, 0, instances) if name == "random" else built(config)
    train = data["train"]
    x, batch_size = dense(train), config.train.batch_size
    first = by_hand_of(flem(method))
    seeds = [derive(0, "order", epoch) for epoch in range(epochs)]

    def ours() -> list[Tensor]:
        fresh = copy.deepcopy(method)
        stage = replace(next(iter(fresh.stages({"train": train}))), epochs=epochs)
        with tempfile.TemporaryDirectory() as folder:
            fit(job_of(stage, config, 0, Path(folder)))
        return [weights.detach() for weights in fresh.parameters()]

    def by_hand() -> list[Tensor]:
        model = copy.deepcopy(first)
        by_rows(model, x, train.targets, batch_size, seeds)
        return [weights.detach() for weights in model.parameters()]

    steps = {"steps": epochs * -(-len(train) // batch_size)}
    row = compare(title_of(name, config, train), "a loop by hand", ours, by_hand, repeats, weights)
    return replace(row, notes=row.notes | steps)


def many_beside_literal(name: str, epochs: int, repeats: int, instances: int, runs: int) -> Row:
    """Seconds that each run of the grid takes, all trained as one, beside literal runs."""
    config = on("scene", FLEM_D)
    prepared = [*stages_of(config, runs, instances if name == "random" else None)]
    train, held = prepared[0][0].data, prepared[0][1]
    models = [by_hand_of(flem(stage.module)) for stage, _ in prepared[:LITERAL]]

    def ours() -> None:
        fresh = [replace(stage, module=copy.deepcopy(stage.module), epochs=epochs) for stage, _ in prepared]
        threshold = assemble(config).threshold
        with tempfile.TemporaryDirectory() as folder:
            jobs = [
                job_of(stage, config, number, Path(folder), [
                    Watch("best", "validation", rows, config.selection.metric, threshold())
                ])
                for number, (stage, (_, rows)) in enumerate(zip(fresh, prepared))
            ]  # fmt: skip
            left = fit_together(jobs)
            for job in jobs:
                fit(job, left.get(job.path))

    def literal() -> None:
        learned, looked_at = ([dense(part), part.targets] for part in (train, held))
        for model in models:
            by_loader(copy.deepcopy(model), learned, looked_at, config.train.batch_size, epochs)

    row = compare(f"{title_of(name, config, train)}, {runs} as one", "a literal loop", ours, literal, repeats)
    row = replace(row, ours=a_run(row.ours, runs), other=a_run(row.other, len(models)))
    return replace(row, notes={"times_faster": sum(row.other) / sum(row.ours)})


def weights(ours: list[Tensor], by_hand: list[Tensor]) -> dict[str, float]:
    """Adam's first steps are as long for a gradient that is all rounding as for any other."""
    return {"weights_apart": apart(ours, by_hand)["largest_difference"]}


def stages_of(config: Config, count: int, instances: int | None) -> Iterator[tuple[Stage, Rows]]:
    """The grid's first stages, seed by seed, and the rows that each run watches."""
    points = [*itertools.product(WEIGHTS, WEIGHTS)]
    for number in range(count):
        seed, (w_ld, w_le) = number // len(points), points[number % len(points)]
        changed = config.model_copy(update={"method": config.method | {"w_ld": w_ld, "w_le": w_le}})
        method, data = built(changed, seed) if instances is None else random(changed, seed, instances)
        yield next(iter(method.stages({"train": data["train"]}))), data.get("validation", data["train"])


def a_run(seconds: Sequence[float], runs: int) -> list[float]:
    return [total / runs for total in seconds]


def dense(rows: Rows) -> Tensor:
    return rows.batch(torch.arange(len(rows))).x


def flem(method: object) -> FLEM:
    assert isinstance(method, FLEM), "this suite measures no other"
    return method


def title_of(name: str, config: Config, train: Rows) -> str:
    shown = "random" if name == "random" else assemble(config).dataset.name
    return f"{shown}, {len(train)} × {train.x.shape[1]} × {train.targets.shape[1]}"
