"""Steps on a GPU: the engine's beside loops by hand, captured as a CUDA graph or not."""

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.bench.chain import built
from mlbench.bench.many import job_of, on, random
from mlbench.bench.step import train_by_hand
from mlbench.bench.timing import Row, timed
from mlbench.config import Config
from mlbench.data.rows import Rows, order
from mlbench.engine.fit import fit
from mlbench.engine.many import fit_together
from mlbench.errors import UserError
from mlbench.methods.base import Method, Stage

COMMON = ("train.batch_size=64", "train.accelerator=gpu", "train.progress=false")
CASES = {
    "linear": ("backbone=linear", "split=holdout"),
    "mlp-64": ("backbone.widths=[64]", "split=holdout"),
    "512-256-90": ("backbone.widths=[256]", "split=holdout"),
}
CHAINS = ("emotions", "scene", "medical")
STEPS = 10_000

Fit = Callable[[int], None]  # trains for so many epochs


def graph(
    repeats: int = 5, epochs: int = 50, replicas: tuple[str, ...] = ("1", "32", "512")
) -> Iterator[Row]:
    """10,000 steps on a GPU: what five times the epochs take longer, so that what comes before the first step
    and after the last one counts in neither. One replica beside a loop by hand that is captured, many beside
    a loop by hand that is not, one after the other; chains beside the same without graphs.
    """
    if not torch.cuda.is_available():
        raise UserError("suite=graph: torch sees no GPU here")
    for name, overrides in CASES.items():
        config = on("scene", [*COMMON, *overrides])
        several = [made(name, config, seed) for seed in range(max(map(int, replicas)))]
        steps = -(-len(several[0][1]) // 64)
        eager = each_step(by_hand(*several[0], train_by_hand), steps, max(epochs // 10, 1), repeats)
        by_graph = each_step(by_hand(*several[0], train_captured), steps, epochs, repeats)
        yield Row(f"{name}, by hand, captured", "by hand", by_graph, eager)
        for number in map(int, replicas):
            stages = [next(iter(method.stages({"train": rows}))) for method, rows in several[:number]]
            ours = each_step(partial(train, stages, config), steps, epochs, repeats)
            if number == 1:
                yield Row(f"{name}, alone", "by hand, captured", ours, by_graph)
                continue
            one_by_one = [number * seconds for seconds in eager]
            whole = timed(partial(train, stages, config, epochs))
            notes = {"times_faster": sum(one_by_one) / sum(ours), f"seconds_of_{epochs}_epochs": whole}
            yield Row(f"{name}, {number} replicas", "by hand, one by one", ours, one_by_one, notes)
    for dataset in CHAINS:
        yield chains(dataset, epochs, repeats)


def each_step(fit: Fit, steps: int, epochs: int, repeats: int) -> list[float]:
    """Seconds of STEPS steps; an epoch has `steps`."""
    fit(epochs)
    spans = [timed(partial(fit, 5 * epochs)) - timed(partial(fit, epochs)) for _ in range(repeats)]
    return [seconds / (4 * epochs * steps) * STEPS for seconds in spans]


def made(name: str, config: Config, seed: int) -> tuple[Method, Rows]:
    method, parts = random(config, seed, 1024) if name == "512-256-90" else built(config, seed)
    return method, parts["train"]


def chains(dataset: str, epochs: int, repeats: int) -> Row:
    """A teacher of ANT, alone."""
    seconds: dict[str, list[float]] = {}
    for wish in ("auto", "false"):
        config = on(dataset, ["method=ant", *COMMON[1:], f"train.graph={wish}"])
        method, data = built(config)
        stage = next(iter(method.stages(data)))
        steps = len(stage.data) // (stage.batch_size or config.train.batch_size)
        length = epochs if wish == "auto" else max(epochs // 10, 1)
        seconds[wish] = each_step(partial(train, [stage], config), steps, length, repeats)
    return Row(f"{dataset}, ANT's first teacher", "without a graph", seconds["auto"], seconds["false"])


def train(stages: Sequence[Stage], config: Config, epochs: int) -> None:
    """A fit, or a stack, with the files that it leaves."""
    fresh = [replace(stage, module=copy.deepcopy(stage.module), epochs=epochs) for stage in stages]
    with tempfile.TemporaryDirectory() as folder:
        jobs = [job_of(stage, config, seed, Path(folder)) for seed, stage in enumerate(fresh)]
        if len(jobs) == 1:
            fit(jobs[0])
        else:
            assert len(fit_together(jobs)) == len(jobs), "all of them are trained as one"
    torch.cuda.synchronize()


def by_hand(method: Method, data: Rows, how: Callable) -> Fit:
    layers = [layer for layer in method.modules() if isinstance(layer, nn.Linear | nn.ReLU)]
    x, targets = data.batch(torch.arange(len(data))).x.to("cuda"), data.targets.to("cuda")

    def fit(epochs: int) -> None:
        how(copy.deepcopy(nn.Sequential(*layers)).to("cuda"), x, targets, 64, [*range(epochs)])
        torch.cuda.synchronize()

    return fit


def train_captured(model: nn.Module, x: Tensor, y: Tensor, batch_size: int, seeds: list[int]) -> None:
    """The loop by hand, with a graph for its whole batches; the last, smaller one is computed without."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True, capturable=True)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())

    def step(rows: Tensor) -> None:
        F.binary_cross_entropy_with_logits(model(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()

    with torch.cuda.stream(stream):
        batch = torch.arange(batch_size, device=x.device)
        for _ in range(3):
            step(batch)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded, stream=stream):
            step(batch)
        for seed in seeds:
            for rows in order(len(x), seed, 0).to(x.device).split(batch_size):
                if len(rows) < batch_size:
                    step(rows)
                    continue
                batch.copy_(rows)
                recorded.replay()
