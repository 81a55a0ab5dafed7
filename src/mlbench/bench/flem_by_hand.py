"""FLEM by its strategy D as a person would write it by hand: PyTorch's own layers, one model, plain steps."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mlbench.methods.enhancement.flem import FLEM, LIMIT, REMEMBERED

LATE = 1e-3  # w_ld and w_le


class Branch(nn.Module):
    def __init__(self, width: int, out: int):
        super().__init__()
        self.entry = nn.Sequential(nn.Linear(width, out), nn.LeakyReLU(0.01), nn.BatchNorm1d(out))
        self.more = nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        return x + self.more(x)


class ByHand(nn.Module):
    """The classifier, then the estimator's three branches; its parameters are in FLEM's order."""

    def __init__(self, features: int, labels: int, hidden: int):
        super().__init__()
        self.classifier = nn.Linear(features, labels)
        self.of_features, self.of_labels = Branch(features, hidden), Branch(labels, hidden)
        self.of_both = Branch(2 * hidden, labels)

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        logits = self.classifier(x)
        raw = self.of_both(torch.cat([self.of_features(x), self.of_labels(targets)], 1))
        p, log_d, log_p = logits.detach().sigmoid(), raw.log_softmax(1), logits.log_softmax(1)
        d = log_d.detach().exp()
        apart = (d * (log_d.detach() - log_p)).sum(1).mean()
        signs = F.binary_cross_entropy_with_logits(logits, targets)
        fixed = log_p.detach()
        strategy = (fixed.exp() * (fixed - log_d)).sum(1).mean()
        raw = raw.clamp(-LIMIT, LIMIT)
        seen = -(targets * F.logsigmoid(raw) + (1 - targets) * p * F.logsigmoid(-raw)).mean()
        return LATE * apart + (1 - LATE) * signs + LATE * strategy + (1 - LATE) * seen


def by_hand_of(method: FLEM) -> ByHand:
    """The model by hand, with the method's first weights."""
    labels, features = method.head.weight.shape
    model = ByHand(features, labels, method.estimator.feature.more.weight.shape[0])
    with torch.no_grad():
        for parameter, initial in zip(model.parameters(), method.parameters(), strict=True):
            parameter.copy_(initial)
    return model


class Descent:
    """AMSGrad on one model, its gradient clipped by its last norms."""

    def __init__(self, model: ByHand):
        self.model = model
        matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
        rest = [parameter for parameter in model.parameters() if parameter.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.0001}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.001, amsgrad=True, fused=True)
        self.norms = [float("inf")]

    def step(self, x: Tensor, targets: Tensor) -> float:
        loss = self.model.loss(x, targets)
        loss.backward()
        largest = max(self.norms)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5 * largest).item()
        self.norms = [*self.norms, min(norm, 2 * largest, 1.0)][-REMEMBERED:]
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


def by_rows(model: ByHand, x: Tensor, targets: Tensor, batch_size: int, seeds: list[int]) -> None:
    """Batches are selections of rows."""
    descent = Descent(model)
    for seed in seeds:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        for rows in order.split(batch_size):
            descent.step(x[rows], targets[rows])


def by_loader(model: ByHand, train: list[Tensor], held: list[Tensor], batch_size: int, epochs: int) -> float:
    """Batches come from a DataLoader, row by row; the least Hamming loss of other rows after any epoch."""
    descent, best = Descent(model), 1.0
    loader = DataLoader(TensorDataset(*train), batch_size, shuffle=True)
    for _ in range(epochs):
        total = sum(descent.step(x, targets) * len(x) for x, targets in loader)
        assert total == total, "the loss stays a number"
        with torch.no_grad():
            wrong = [((model.classifier(x) > 0) != (y > 0.5)).float().mean().item() * len(x)
                     for x, y in DataLoader(TensorDataset(*held), batch_size)]  # fmt: skip
        best = min(best, sum(wrong) / len(held[0]))
    return best
