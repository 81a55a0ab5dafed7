"""Fully connected layers."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mlbench.data.task import Task
from mlbench.layers import GELU, Dropout, Linear

ACTIVATIONS = {"relu": nn.ReLU, "gelu": GELU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}

Width = Annotated[int, Field(ge=1)]


def layers_of(width: int, widths: Sequence[int], activation: str, dropout: float) -> nn.Sequential:
    """Fully connected layers from `width` on, each with its activation and dropout."""
    layers: list[nn.Module] = []
    for units in widths:
        layers += [Linear(width, units), ACTIVATIONS[activation]()]
        if dropout:
            layers.append(Dropout(dropout))
        width = units
    return nn.Sequential(*layers)


class MLP(nn.Module):
    def __init__(
        self,
        task: Task,
        widths: Annotated[list[Width], Field(min_length=1)],
        activation: Literal["relu", "gelu", "tanh", "leaky_relu"],
        dropout: Annotated[float, Field(ge=0, lt=1)],
    ):
        super().__init__()
        self.layers = layers_of(task.features, widths, activation, dropout)
        self.width = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
