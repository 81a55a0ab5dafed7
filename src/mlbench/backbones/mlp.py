"""Fully connected layers."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mlbench.data.task import Task
from mlbench.layers import GELU, Dropout, Linear

ACTIVATIONS = {"relu": nn.ReLU, "gelu": GELU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}

Width = Annotated[int, Field(ge=1)]


class MLP(nn.Module):
    def __init__(
        self,
        task: Task,
        widths: Annotated[list[Width], Field(min_length=1)],
        activation: Literal["relu", "gelu", "tanh", "leaky_relu"],
        dropout: Annotated[float, Field(ge=0, lt=1)],
    ):
        super().__init__()
        layers, width = [], task.features
        for wider in widths:
            layers += [Linear(width, wider), ACTIVATIONS[activation]()]
            if dropout:
                layers.append(Dropout(dropout))
            width = wider
        self.layers = nn.Sequential(*layers)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
