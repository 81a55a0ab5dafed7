"""A stage trained by the engine beside a loop written by hand, from the same first weights."""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.assemble import assemble
from mlbench.bench.chain import SEED, run
from mlbench.bench.timing import Row, compare
from mlbench.compose import configure
from mlbench.data.catalogue import described, state
from mlbench.data.instances import Instances
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task
from mlbench.seeding import derive


def step(repeats: int = 5, epochs: int = 100, accelerator: str = "cpu") -> Iterator[Row]:
    """Whole fits: ours with its history and the file it leaves; a loop of nothing but steps."""
    for backbone in ("linear", "mlp"):
        for batch_size in (64, 256):
            yield compare_fits(backbone, batch_size, epochs, repeats, accelerator)


def compare_fits(backbone: str, batch_size: int, epochs: int, repeats: int, accelerator: str) -> Row:
    changes = [f"backbone={backbone}", f"train.batch_size={batch_size}", f"train.epochs={epochs}"]
    config = configure([*changes, f"train.accelerator={accelerator}"])
    if state(dict(described())["scene"], config.paths.cache) == "here":
        config = config.model_copy(update={"dataset": configure(["dataset=scene"]).dataset})
    pieces = assemble(config)
    loaded = pieces.dataset.load(config.paths.cache)
    rows = pieces.split(loaded.instances.targets, loaded.official, SEED)
    train = Rows.from_instances(loaded.instances, rows["train"])
    x = train.batch(torch.arange(len(train))).x
    torch.manual_seed(SEED)
    method = pieces.method(task_of(loaded.instances, train))
    plain = nn.Sequential(*(layer for layer in method.modules() if isinstance(layer, nn.Linear | nn.ReLU)))
    seeds = [derive(SEED, "order", epoch) for epoch in range(epochs)]

    def ours() -> list[Tensor]:
        fresh = copy.deepcopy(method)
        run(next(iter(fresh.stages({"train": train}))), config)
        return [weights.detach().cpu() for weights in fresh.parameters()]

    def by_hand() -> list[Tensor]:
        device = "cuda" if accelerator == "gpu" else accelerator
        model = copy.deepcopy(plain).to(device)
        train_by_hand(model, x.to(device), train.targets.to(device), batch_size, seeds)
        return [weights.detach().cpu() for weights in model.parameters()]

    steps = epochs * -(-len(train) // batch_size)
    row = compare(
        f"{pieces.dataset.name}, {backbone}, batch {batch_size}",
        "a loop by hand",
        ours,
        by_hand,
        repeats,
        apart,
    )
    return Row(row.name, row.against, row.ours, row.other, row.notes | {"steps": steps})


def task_of(instances: Instances, train: Rows) -> Task:
    return Task(
        name="bench",
        labels=instances.labels,
        modalities=(Modality("features", 0, train.x.shape[1]),),
        instances=len(train),
        positives=tuple(int(count) for count in train.targets.sum(0)),
    )


def train_by_hand(model: nn.Module, x: Tensor, y: Tensor, batch_size: int, seeds: list[int]) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    for seed in seeds:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        for rows in order.split(batch_size):
            rows = rows.to(x.device)
            loss = F.binary_cross_entropy_with_logits(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def apart(ours: list[Tensor], by_hand: list[Tensor]) -> dict[str, float]:
    """The largest difference between the weights: a step by hand multiplies in another order."""
    furthest = max(float((a - b).abs().max()) for a, b in zip(ours, by_hand, strict=True))
    return {"largest_difference": furthest}
