"""MulSupCon's first stage as a person would write it by hand, and as its paper's code has it: PyTorch's own
layers, one model, plain steps."""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mlbench.methods.contrastive.pretraining import SetContrast


def by_matrix(ratios: Tensor, y: Tensor, labels: Tensor) -> Tensor:
    """One product of matrices, as ours."""
    return -((y / labels.sum(0).clamp(min=1)) @ labels.T * ratios).sum() / y.sum()


def by_pairs(ratios: Tensor, y: Tensor, labels: Tensor) -> Tensor:
    """A row of all references for each pair of an anchor and a label: the published code."""
    anchors, carried = y.nonzero(as_tuple=True)
    mask = labels.T[carried]
    return -((mask * ratios[anchors]).sum(1) / mask.sum(1)).mean()


def by_anchors(ratios: Tensor, y: Tensor, labels: Tensor) -> Tensor:
    """A loop over anchors."""
    total, count = ratios.new_zeros(()), 0
    for row, anchor_labels in zip(ratios, y):
        carried = anchor_labels.nonzero().squeeze(1)
        mask = labels[:, carried]
        total = total - ((row.unsqueeze(1) * mask).sum(0) / mask.sum(0)).sum()
        count += len(carried)
    return total / count


class ByHand(nn.Module):
    """A module in PyTorch's own layers, with its first weights and queue. `literal`: the loss goes by pairs,
    the momentum encoder parameter by parameter."""

    keys: Tensor
    labels: Tensor

    def __init__(self, module: SetContrast, literal: bool = False):
        super().__init__()
        layers = [part for network in (module.backbone, module.projection) for part in network.modules()]
        self.encoder = nn.Sequential(*[plain(layer) for layer in layers if not [*layer.children()]])
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.hidden, self.temperature, self.momentum = module.mask.p, module.temperature, module.momentum
        self.literal, self.form = literal, by_pairs if literal else by_matrix
        self.register_buffer("keys", module.queue.keys[-module.queue.capacity :].clone())
        self.register_buffer("labels", module.queue.labels[-module.queue.capacity :].clone())
        self.entered = int(module.queue.entered)

    def view(self, x: Tensor) -> Tensor:
        return x * torch.empty_like(x).bernoulli_(1 - self.hidden) if self.hidden else x

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        z = F.normalize(self.encoder(self.view(x)))
        with torch.no_grad():
            self.follow()
            new_keys = F.normalize(self.key_encoder(self.view(x)))
        keys, labels = new_keys, y
        if self.entered >= len(self.keys):
            keys, labels = torch.cat([new_keys, self.keys]), torch.cat([y, self.labels])
        loss = self.form(F.log_softmax(z @ keys.T / self.temperature, 1), y, labels)
        start = self.entered % len(self.keys)
        self.keys[start : start + len(new_keys)] = new_keys
        self.labels[start : start + len(new_keys)] = y
        self.entered += len(new_keys)
        return loss

    def follow(self) -> None:
        keys: list[Tensor] = [*self.key_encoder.parameters()]
        queries: list[Tensor] = [*self.encoder.parameters()]
        if self.literal:
            for key, query in zip(keys, queries):
                key.data = key.data * self.momentum + query.data * (1 - self.momentum)
        else:  # torch documents operations on lists of tensors, and exports none
            torch._foreach_lerp_(keys, queries, 1 - self.momentum)  # pyright: ignore[reportPrivateImportUsage]


def plain(layer: nn.Module) -> nn.Module:
    """The layer of torch.nn, with the weights of ours."""
    if isinstance(layer, nn.Linear):
        made = nn.Linear(layer.in_features, layer.out_features)
    elif isinstance(layer, nn.BatchNorm1d):
        made = nn.BatchNorm1d(layer.num_features, track_running_stats=False)
    else:
        return nn.Dropout(layer.p) if isinstance(layer, nn.Dropout) else copy.deepcopy(layer)
    made.load_state_dict(layer.state_dict())
    return made


def by_rows(model: ByHand, x: Tensor, y: Tensor, batches: list[Tensor]) -> None:
    """Batches are selections of rows."""
    optimizer = torch.optim.AdamW(model.encoder.parameters(), lr=4e-5, weight_decay=1e-4, fused=True)
    for rows in batches:
        model.loss(x[rows], y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()


def by_loader(model: ByHand, x: Tensor, y: Tensor, batch_size: int, steps: int) -> float:
    """Batches come from a DataLoader, row by row; the mean loss, which is looked at after every step."""
    optimizer = torch.optim.AdamW(model.encoder.parameters(), lr=4e-5, weight_decay=1e-4)
    batches, total = (
        endless(DataLoader(TensorDataset(x, y), min(batch_size, len(x)), True, drop_last=True)),
        0.0,
    )
    for _ in range(steps):
        loss = model.loss(*next(batches))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


def endless(loader: DataLoader) -> Iterator[list[Tensor]]:
    while True:
        yield from loader
