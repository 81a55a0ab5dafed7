"""Scores of a whole part, on one device or sharded over several and gathered by instance."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlbench.config import Train
from mlbench.data.pieces import SCORED
from mlbench.data.pixels import Pixels
from mlbench.data.rows import Batch, Rows
from mlbench.data.tokens import Tokens
from mlbench.engine import products
from mlbench.errors import UserError
from mlbench.methods.base import Learner, Method

WHOLE = 64  # images and texts: the maps that a network makes of one take a thousand times a vector's memory


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode; at the end every part returns to its own mode, which frozen parts keep."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@torch.no_grad()
def score_rows(method: Learner, data: Rows, rows: Tensor) -> Tensor:
    """Scores of some rows, (len(rows), L)."""
    labels = data.targets.shape[1]
    with evaluating(method):
        scores = [
            of_shape((len(index), labels), method.scores(unlabelled(data.batch(index))), method)
            for index in rows.split(at_once(data))
        ]
    return torch.cat(scores).float() if scores else torch.zeros(0, labels, device=rows.device)


@torch.no_grad()
def facts_of_rows(method: Method, data: Rows, device: torch.device) -> dict[str, float]:
    """What the method notes about rows, as means over them."""
    sums: dict[str, float] = {}
    data = data.to(device)
    with evaluating(method):
        for index in rows_of(data):
            for name, numbers in method.row_facts(unlabelled(data.batch(index))).items():
                sums[name] = sums.get(name, 0.0) + float(numbers.sum(dtype=torch.float64))
    return {name: total / len(data) for name, total in sums.items()}


@torch.no_grad()
def embedded(method: Method, parts: Sequence[Rows], train: Train) -> list[Tensor]:
    """What the method's backbone gives of each part, (N, width), on the CPU, by one device as in `score`."""
    products.use(train)
    device = device_of(train)
    method.to(device)
    with evaluating(method):
        return [
            torch.cat([method.embed(unlabelled(data.batch(index))) for index in rows_of(data)]).float().cpu()
            for data in (part.to(device) for part in parts)
        ]


def rows_of(data: Rows) -> tuple[Tensor, ...]:
    return torch.arange(len(data), device=data.device).split(at_once(data))


def at_once(data: Rows) -> int:
    return WHOLE if isinstance(data.x, Pixels | Tokens) else SCORED


def of_shape(shape: tuple[int, int], scores: Tensor, method: Learner) -> Tensor:
    """The scores; refused if they are not one for each row and label."""
    if isinstance(scores, Tensor) and scores.shape == shape:
        return scores
    kind = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"type {type(scores).__name__}"
    raise UserError(
        f"{type(method).__name__}.scores gave something of {kind} for {shape[0]} instances and {shape[1]} "
        f"labels; it is to give a tensor of shape {shape}"
    )


def unlabelled(batch: Batch) -> Batch:
    """The batch with NaN in place of its labels, so that no scores can use them."""
    return batch._replace(targets=torch.full_like(batch.targets, torch.nan))


def gather(positions: Tensor, scores: Tensor, length: int, all_gather: Callable[[Tensor], Tensor]) -> Tensor:
    """Scores of all `length` instances in order, from every rank's own share.

    Ranks may hold different numbers of rows and the same row may come twice: shares are padded to one size,
    put where their position says, and a duplicate overwrites itself.
    """
    sizes = all_gather(torch.tensor([len(positions)], device=scores.device)).reshape(-1)
    longest = int(sizes.max())
    padding = longest - len(positions)
    padded = all_gather(torch.cat([scores, scores.new_zeros(padding, scores.shape[1])]))
    places = all_gather(torch.cat([positions, positions.new_full((padding,), length)]))
    out = scores.new_full((length + 1, scores.shape[1]), torch.nan)
    out[places.reshape(-1)] = padded.reshape(-1, scores.shape[1])
    return out[:length]


def score_part(
    method: Learner, data: Rows, rank: int = 0, world: int = 1, all_gather: Callable | None = None
) -> Tensor:
    """Scores of a part; of several ranks each scores its share, and all get all scores."""
    rows = torch.arange(len(data), device=data.targets.device)[rank::world]
    scores = score_rows(method, data, rows)
    if world == 1:
        return scores
    assert all_gather is not None, "several ranks have a way to gather"
    return gather(rows, scores, len(data), all_gather)


def score(method: Learner, parts: Sequence[Rows], train: Train) -> list[Tensor]:
    """Scores of each part on the CPU, by one device of those that training uses.

    To score a part once takes less time than to start processes for it. So the scores do not depend on the
    number of devices either.
    """
    products.use(train)
    device = device_of(train)
    method.to(device)
    return [score_part(method, data.to(device)).cpu() for data in parts]


def state_of(module: nn.Module) -> dict[str, Any]:
    """A copy of the module's state on the CPU, which further training does not change."""
    state = module.state_dict()
    return {k: v.detach().cpu().clone() if isinstance(v, Tensor) else v for k, v in state.items()}


def device_of(train: Train) -> torch.device:
    gpu = train.accelerator == "gpu" or (train.accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if gpu else "cpu")
