"""MulSupCon's loss and first stage, and RBCC's training, beside literal readings and loops by hand."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.bench import rbcc_by_hand
from mlbench.bench.chain import SEED, built
from mlbench.bench.enhancement import dense, title_of
from mlbench.bench.many import job_of, on, random
from mlbench.bench.mulsupcon_by_hand import ByHand, by_anchors, by_loader, by_pairs, by_rows
from mlbench.bench.timing import Row, compare
from mlbench.config import Config
from mlbench.data.rows import Rows
from mlbench.engine.fit import fit
from mlbench.methods.base import Stage
from mlbench.methods.contrastive.losses import contrast, log_ratios
from mlbench.methods.contrastive.pretraining import SetContrast
from mlbench.methods.contrastive.queue import Queue
from mlbench.methods.rbcc.chain import RBCC

Form = Callable[[Tensor, Tensor, Tensor], Tensor]
FORMS: dict[str, Form] = {"pairs × references": by_pairs, "a loop over anchors": by_anchors}
LOOKS = 6  # steps without mask and dropout, in which both sides have the same losses


def contrastive(repeats: int = 5, epochs: int = 20, queue: int = 8192, instances: int = 512) -> Iterator[Row]:
    """MulSupCon's loss with its gradient, ten times: of 128 anchors with 100 labels and a queue of `queue`
    keys, and of scene's size. Its first stage, with a queue that is full: whole fits beside a loop of steps
    of the same form by hand, and beside the published form with a DataLoader. RBCC's training, an epoch over
    `instances` rows, beside a call of the recurrent unit for each instance, label and parent.
    """
    for shape in ((128, queue, 100, 0.05), (256, 1024, 6, 0.18)):
        for against, form in FORMS.items():
            yield loss_alone(*shape, against, form, repeats)
    for name in ("scene", "random"):
        yield from first_stage(name, queue, epochs, repeats)
    yield rbcc(instances, repeats)


def loss_alone(
    rows: int, capacity: int, labels: int, share: float, against: str, form: Form, repeats: int
) -> Row:
    draws = torch.Generator().manual_seed(SEED)
    z, keys = (
        F.normalize(torch.randn(count, 256, generator=draws), dim=1) for count in (rows, rows + capacity)
    )
    carried = (torch.rand(rows + capacity, labels, generator=draws) < share).float()
    y, met = carried[:rows], torch.ones(rows + capacity, dtype=torch.bool)
    z.requires_grad_()

    def ours() -> list[Tensor]:
        return ten_times(
            lambda: contrast(log_ratios(z, keys, 0.1, met), y, carried, met, y, "mulsupcon", "pair"), z
        )

    def other() -> list[Tensor]:
        return ten_times(lambda: form(F.log_softmax(z @ keys.T / 0.1, 1), y, carried), z)

    title = f"loss, {rows} anchors, queue {capacity}, {labels} labels"
    return times_faster(compare(title, against, ours, other, repeats, losses_and_gradients))


def ten_times(loss: Callable[[], Tensor], z: Tensor) -> list[Tensor]:
    """The loss and its gradient."""
    for _ in range(9):
        torch.autograd.grad(loss(), z)
    value = loss()
    return [value.detach(), *torch.autograd.grad(value, z)]


def losses_and_gradients(ours: list[Tensor], other: list[Tensor]) -> dict[str, float]:
    apart = [float((a - b).abs().max()) for a, b in zip(ours, other, strict=True)]
    return {"loss_apart": apart[0], "gradient_apart": apart[1]}


def first_stage(name: str, queue: int, epochs: int, repeats: int) -> Iterator[Row]:
    """With history and file, beside loops of nothing but steps."""
    large = ["method.pretrain.batch_size=128", f"method.pretrain.queue={queue}"]
    config = on("scene", ["method=mulsupcon", *(large if name == "random" else [])])
    method, data = random(config, SEED, 1024) if name == "random" else built(config)
    train = data["train"]
    x, y = dense(train), train.targets
    stage = replace(next(iter(method.stages({"train": train}))), epochs=epochs)
    fill(set_contrast(stage).queue)
    batches = visited(stage, config)
    size = len(batches[0])

    def ours() -> None:
        fitted(replace(stage, module=copy.deepcopy(stage.module)), config)

    def by_hand() -> None:
        by_rows(ByHand(set_contrast(stage)), x, y, batches)

    def literal() -> None:
        by_loader(ByHand(set_contrast(stage), literal=True), x, y, size, len(batches))

    for against, other in (("a loop by hand", by_hand), ("a literal loop", literal)):
        title = f"first stage, {title_of(name, config, train)}"
        looks = losses_apart(stage, train, batches[:LOOKS], other is literal)
        row = compare(title, against, ours, other, repeats)
        yield times_faster(replace(row, notes=looks | {"steps": len(batches)}))


@torch.no_grad()
def fill(queue: Queue) -> None:
    """Fills the queue with random keys and labels."""
    queue.keys.copy_(F.normalize(torch.randn_like(queue.keys), dim=1))
    queue.labels.bernoulli_(0.1)
    queue.entered.fill_(queue.capacity)


def losses_apart(stage: Stage, train: Rows, batches: list[Tensor], literal: bool) -> dict[str, float]:
    """Without mask and dropout, from the same weights: the largest difference of a step's loss, in double
    precision."""
    module = copy.deepcopy(set_contrast(stage)).double()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    model = ByHand(module, literal).double()
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.01) for part in (module, model.encoder)]
    furthest = 0.0
    for rows in batches:
        batch = train.batch(rows).map(lambda part: part.double() if part.is_floating_point() else part)
        losses = module.loss(batch), model.loss(batch.x, batch.targets)
        for loss, optimizer in zip(losses, optimizers):
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        module.after_step()
        furthest = max(furthest, abs(losses[0].item() - losses[1].item()))
    return {"losses_apart": furthest}


def rbcc(instances: int, repeats: int) -> Row:
    """Each label's parents are the two before it."""
    config = on("scene", ["method=rbcc"])
    method, data = built(config)
    assert isinstance(method, RBCC), "this row measures no other"
    labels = len(method.parents)
    before = torch.arange(labels)[:, None] - torch.arange(labels)
    network = (before > 0) & (before <= 2)
    method.load_state_dict(method.state_dict() | {"parents": network})
    train = data["train"].rows(torch.arange(min(instances, len(data["train"]))))
    x, y = dense(train), train.targets
    stage = Stage("train", method, train, epochs=1)
    batches = visited(stage, config)

    def ours() -> list[float]:
        return fitted(replace(stage, module=copy.deepcopy(method)), config)

    def by_instances() -> list[float]:
        losses = rbcc_by_hand.by_instances(rbcc_by_hand.ByHand(method), x, y, batches)
        return [sum(losses) / len(losses)]

    def agree(ours: list[float], other: list[float]) -> dict[str, float]:
        return {"loss_apart": abs(ours[-1] - other[-1])}

    title = f"RBCC, {title_of('scene', config, train)}, {int(network.sum())} edges"
    return times_faster(compare(title, "instance by instance", ours, by_instances, repeats, agree))


def visited(stage: Stage, config: Config) -> list[Tensor]:
    """The row numbers of all batches that the engine visits."""
    plan, count = job_of(stage, config, SEED, Path()).plan, len(stage.data)
    return [
        rows
        for epoch in range(plan.epochs)
        for rows in plan.visits(count, epoch).split(plan.batch_size)[: plan.batches(count)]
    ]


def fitted(stage: Stage, config: Config) -> list[float]:
    """The mean loss of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        return [row["loss"] for row in fit(job_of(stage, config, SEED, Path(folder))).history]


def set_contrast(stage: Stage) -> SetContrast:
    assert isinstance(stage.module, SetContrast), "these rows measure no other"
    return stage.module


def times_faster(row: Row) -> Row:
    return replace(row, notes=row.notes | {"times_faster": sum(row.other) / sum(row.ours)})
