"""What modalities give a recurrent unit: products of a weight with one modality after another."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mlbench.data.task import Task
from mlbench.layers import linear

Draw = Callable[[Tensor], Tensor]  # fills a tensor


class ByModality(nn.Module):
    """W x̃^k + b for every modality k. x̃^k is x with all other modalities set to zero, so W's columns of
    modality k, a matrix of their own here, are all that meets it.
    """

    def __init__(self, task: Task, outputs: int, weight: Draw, bias: Draw):
        super().__init__()
        self.task = task
        whole = weight(torch.empty(outputs, task.features))
        self.weights = nn.ParameterList(view.clone() for view in task.views(whole))
        self.bias = nn.Parameter(bias(torch.empty(outputs)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(..., B, outputs) of each modality."""
        views = self.task.views(x)
        return [linear(view.contiguous(), weight, self.bias) for view, weight in zip(views, self.weights)]


def across(index: Tensor, like: Tensor) -> Tensor:
    """An index (..., B) of the rows of what is (..., B, m, n), as gather takes it."""
    return index[..., None, None].expand(*index.shape, 1, like.shape[-1])


def taken(offers: Tensor, modality: Tensor) -> Tensor:
    """What each row's modality (..., B) offers, (..., B, n), of the offers of all, (..., B, m, n)."""
    return offers.gather(-2, across(modality, offers)).squeeze(-2)
