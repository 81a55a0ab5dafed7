"""M3LA under our engine beside M3LA as its paper writes it."""

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from mlbench.assemble import assemble
from mlbench.bench.m3la_by_hand import by_hand_of
from mlbench.bench.many import job_of
from mlbench.bench.timing import Row, compare
from mlbench.compose import configure
from mlbench.data.rows import Rows
from mlbench.data.task import Modality, Task
from mlbench.engine.fit import fit
from mlbench.methods.multimodal.m3la import M3LA
from mlbench.seeding import derive

BLOCKS, WIDTH, LABELS = 3, 98, 6  # as scene has them


def multimodal(repeats: int = 5, epochs: int = 1, instances: int = 1211, hidden: int = 256) -> Iterator[Row]:
    """M3LA, whole fits, beside a loop that pads every modality to the width of all and weighs label by label.
    Rows are random, as many and as wide as those of scene's training part.
    """
    config = configure(["method=m3la", f"method.hidden={hidden}"])
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(instances, BLOCKS * WIDTH, generator=draws)
    targets = (torch.rand(instances, LABELS, generator=draws) < 0.2).float()
    edges = [(number * WIDTH, (number + 1) * WIDTH) for number in range(BLOCKS)]
    modalities = tuple(Modality(f"block {number}", *edge) for number, edge in enumerate(edges))
    positives = tuple(map(int, targets.sum(0)))
    task = Task("random", tuple(map(str, range(LABELS))), modalities, instances, positives)
    torch.manual_seed(0)
    method, rows = assemble(config).method(task), Rows(x, targets, torch.arange(instances))
    assert isinstance(method, M3LA), "this suite measures no other"
    first, size = by_hand_of(method), config.train.batch_size

    def ours() -> Tensor:
        fresh = copy.deepcopy(method)
        (stage,) = fresh.stages({"train": rows})
        with tempfile.TemporaryDirectory() as folder:
            fit(job_of(replace(stage, epochs=epochs), config, 0, Path(folder)))
        return method.loss(rows.batch(torch.arange(size).clamp(max=instances - 1))).detach()

    def by_hand() -> Tensor:
        model = copy.deepcopy(first)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=0.0002, fused=True)
        for epoch in range(epochs):
            shuffle = torch.Generator().manual_seed(derive(0, "order", epoch))
            for index in torch.randperm(instances, generator=shuffle).split(size):
                loss = model.loss(x[index], targets[index])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        batch = rows.batch(torch.arange(size).clamp(max=instances - 1))
        return first.loss(batch.x, batch.targets).detach()

    def agree(one: Tensor, other: Tensor) -> dict[str, float]:
        return {"first_loss_apart": (one - other).abs().item()}

    title = f"m3la, {instances} × {BLOCKS} · {WIDTH} × {LABELS}"
    row = compare(title, "padded, by hand", ours, by_hand, repeats, agree)
    yield replace(row, notes=row.notes | {"times_faster": sum(row.other) / sum(row.ours)})
