"""The order-free classifier chain (OFCC) of ANT: a recurrence that turns on one label a step.

l_0 = init(x), y_0 = 0, h = c = 0; step k: h, c = LSTM([l_{k−1}, x, y_{k−1}]), l_k = out(h)   (ANT, Eq. 6-8)
The chain gives logits of labels, so that a method puts no head on top.
"""

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mlbench.backbones.unroll import Design, Unroll, Weights, Workspaces, turned_on
from mlbench.backbones.written_out import written_out
from mlbench.data.task import Task
from mlbench.layers import each, linear


class Unrolled(NamedTuple):
    """What a chain gives for a batch; R chains side by side add a first dimension R."""

    steps: Tensor  # (K, B, L) logits of every step; there are as many steps as labels
    hidden: Tensor  # (K, B, H)
    hard: Tensor  # (K, B, L) labels turned on so far, 0 or 1

    @property
    def final(self) -> Tensor:
        """(B, L): the logit of the step that turned the label on; of the first step where none did."""
        return self.steps.gather(-3, turned_on(self.hard).unsqueeze(-3)).squeeze(-3)


class Chain(nn.Module):
    """`selection`: `confident` turns a label on if it and the path to it are likely (the authors' code);
    `always` turns on the best remaining label at every step (the paper's words, Eq. 9).
    `loss_on`: `steps` sums the loss over all steps (code); `final` takes the final logits (Eq. 11).
    """

    gives: ClassVar[str] = "logits"

    def __init__(
        self,
        task: Task,
        hidden: Annotated[int, Field(ge=1)],
        selection: Literal["confident", "always"],
        loss_on: Literal["steps", "final"],
    ):
        super().__init__()
        self.size = task.features, len(task.labels), hidden
        self.hidden = hidden
        self.selection = selection
        self.loss_on = loss_on
        self.design = Design(*self.size, selection == "always", Workspaces())
        self.vector = nn.Parameter(torch.empty(sum(math.prod(shape) for shape in Weights.shapes(*self.size))))
        self.reset()

    @property
    def described(self) -> dict[str, int | str]:
        return {"hidden": self.hidden, "selection": self.selection, "loss_on": self.loss_on}

    @property
    def weights(self) -> Weights:
        return Weights.of(self.vector, *self.size)

    @torch.no_grad()
    def reset(self) -> None:
        """PyTorch's initialisation of an LSTM and of linear layers."""
        features, _, hidden = self.size
        weights, gates = self.weights, 4 * hidden
        for tensor in (weights.input[:gates], weights.bias_input[:gates], weights.bias_hidden, weights.state):
            tensor.uniform_(-(hidden**-0.5), hidden**-0.5)
        for tensor in (weights.out, weights.bias_out):
            tensor.uniform_(-(hidden**-0.5), hidden**-0.5)
        for tensor in (weights.input[gates:], weights.bias_input[gates:]):
            tensor.uniform_(-(features**-0.5), features**-0.5)

    def unroll(self, x: Tensor, start: Tensor | None = None) -> Unrolled:
        """`start` replaces the initial logits l_0 (ANT's second pass over a teacher)."""
        if torch.compiler.is_compiling():
            return Unrolled(*written_out(x, self.weights, start, self.design))
        return Unrolled(*Unroll.apply(x, self.vector, start, self.design))

    def forward(self, x: Tensor, start: Tensor | None = None) -> Tensor:
        return self.unroll(x, start).final

    def initial(self, x: Tensor) -> Tensor:
        """l_0 = init(x)."""
        gates = 4 * self.hidden
        weights = self.weights
        return linear(x, weights.input[..., gates:, :], weights.bias_input[..., gates:])

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, mean over batch and labels; summed over the steps, or of the final logits."""
        return self.loss_of(self.unroll(x), targets)

    def loss_of(self, unrolled: Unrolled, targets: Tensor) -> Tensor:
        logits = unrolled.final.unsqueeze(-3) if self.loss_on == "final" else unrolled.steps
        # Eq. 11 sums over labels, of which there are as many as steps.
        return targets.shape[-1] * each(cross_entropy, 3, logits, targets.unsqueeze(-3))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over steps, batch and labels."""
    targets = targets.expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((-3, -2, -1))
