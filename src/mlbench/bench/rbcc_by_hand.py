"""RBCC's training as its paper's code has it: a call of the unit for each instance, label and parent."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.methods.rbcc.chain import RBCC


class ByHand(nn.Module):
    """A method in PyTorch's own layers, with its first weights and network."""

    def __init__(self, method: RBCC):
        super().__init__()
        (labels, hidden), features = method.output.weight.shape, method.features.in_features
        self.unit, self.output = nn.GRUCell(labels + features, hidden), nn.Linear(hidden, labels)
        self.parents = [row.nonzero().flatten().tolist() for row in method.parents]
        joint = torch.cat([method.values.weight.T, method.features.weight], 1)
        weights = [joint, method.states.weight, method.features.bias, method.states.bias]
        with torch.no_grad():
            for parameter, first in zip(self.unit.parameters(), weights, strict=True):
                parameter.copy_(first)
        self.output.load_state_dict(method.output.state_dict())

    def logit(self, x: Tensor, y: Tensor, label: int) -> Tensor:
        state = None
        for parent in self.parents[label] or [None]:
            values = torch.zeros_like(y)
            if parent is not None:
                values[parent] = y[parent]
            state = self.unit(torch.cat([values, x]).unsqueeze(0), state)
        return self.output(state)[0, label]

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        rows = [torch.stack([self.logit(*row, label) for label in range(y.shape[1])]) for row in zip(x, y)]
        return F.binary_cross_entropy_with_logits(torch.stack(rows), y)


def by_instances(model: ByHand, x: Tensor, y: Tensor, batches: list[Tensor]) -> list[float]:
    """The loss of each batch."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.001), []
    for rows in batches:
        loss = model.loss(x[rows], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
