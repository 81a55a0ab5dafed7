"""M3LA under our engine beside M3LA as its paper writes it."""

import copy
import itertools
import tempfile
from collections.abc import Iterator, Sequence
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

# Widths of modalities, and labels: scene's in three blocks; ml2000's words, gradients and Fisher vectors.
SHAPES = (((98, 98, 98), 6), ((500, 576, 1040), 5))


def multimodal(repeats: int = 5, epochs: int = 1, instances: int = 1211, hidden: int = 256) -> Iterator[Row]:
    """M3LA, whole fits, beside a loop that pads every modality to the width of all and weighs label by label.
    Rows are random, as many as scene's training part has: as wide as these, and as ml2000's.
    """
    for widths, labels in SHAPES:
        yield beside_padded(widths, labels, repeats, epochs, instances, hidden)


def beside_padded(
    widths: Sequence[int], labels: int, repeats: int, epochs: int, instances: int, hidden: int
) -> Row:
    config = configure(["method=m3la", f"method.hidden={hidden}"])
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(instances, sum(widths), generator=draws)
    targets = (torch.rand(instances, labels, generator=draws) < 0.2).float()
    edges = itertools.pairwise(itertools.accumulate(widths, initial=0))
    modalities = tuple(Modality(f"block {number}", *edge) for number, edge in enumerate(edges))
    positives = tuple(map(int, targets.sum(0)))
    task = Task("random", tuple(map(str, range(labels))), modalities, instances, positives)
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

    def agree(ours: Tensor, by_hand: Tensor) -> dict[str, float]:
        return {"first_loss_apart": (ours - by_hand).abs().item()}

    title = f"m3la, {instances} × {' + '.join(map(str, widths))} × {labels}"
    row = compare(title, "padded, by hand", ours, by_hand, repeats, agree)
    return replace(row, notes=row.notes | {"times_faster": sum(row.other) / sum(row.ours)})
