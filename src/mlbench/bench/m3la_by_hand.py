"""M3LA as its paper writes it: inputs padded with zeros through torch's unit, weights label by label."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.methods.multimodal.m3la import M3LA


class ByHand(nn.Module):
    def __init__(self, widths: list[int], hidden: int, labels: int):
        super().__init__()
        d, self.widths = sum(widths), widths
        self.encoder = nn.GRU(d, hidden, bidirectional=True, batch_first=True)
        self.decoder = nn.GRUCell(d + 2 * hidden, hidden)
        self.initial, self.modal = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, len(widths))
        self.query, self.keys = (nn.Linear(n * hidden, hidden, bias=False) for n in (1, 2))
        self.score, self.label = nn.Linear(hidden, 1, bias=False), nn.Linear(hidden, labels)
        self.correlations = nn.Parameter(torch.zeros(labels, labels))

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        padded = x.new_zeros(len(x), len(self.widths), x.shape[1])
        start = 0
        for number, width in enumerate(self.widths):
            padded[:, number, start : start + width] = x[:, start : start + width]
            start += width
        encoded, _ = self.encoder(padded)
        state, keys = self.initial(encoded[:, -1]), self.keys(encoded)
        used = x.new_zeros(len(x), len(self.widths), dtype=torch.bool)
        total, before = x.new_zeros(()), None
        for _ in self.widths:
            attention = self.score((self.query(state)[:, None] + keys).tanh()).softmax(1)
            shares = self.modal(state).masked_fill(used, -torch.inf).softmax(1)
            chosen = F.one_hot(shares.argmax(1), len(self.widths))
            used = used | chosen.bool()
            gates = chosen + shares - shares.detach()
            shown = (gates.unsqueeze(-1) * padded).sum(1)
            state = self.decoder(torch.cat([shown, (attention * encoded).sum(1)], 1), state)
            logits = self.label(state) + (0 if before is None else before @ self.correlations)
            entropies = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
            if before is not None:
                entropies = entropies * by_label(before.detach(), targets)
            total, before = total + entropies.sum(1).mean(), logits.sigmoid()
        return total


def by_label(before: Tensor, targets: Tensor) -> Tensor:
    """The weights of Eq. 18, one label after another."""
    weights = torch.empty_like(before)
    for label in range(before.shape[1]):
        off, on = (before > 0.5).float(), (before > 0.5).float()
        off[:, label], on[:, label] = 0, 1
        weights[:, label] = (f1(off, targets) - f1(on, targets)).abs()
    mean = weights.mean()
    return weights / mean if mean > 0 else weights


def f1(predicted: Tensor, targets: Tensor) -> Tensor:
    size = predicted.sum(1) + targets.sum(1)
    return torch.where(size > 0, 2 * (predicted * targets).sum(1) / size.clamp(min=1), 1)


def by_hand_of(method: M3LA) -> ByHand:
    """The model by hand, with the method's first weights."""
    widths = [weight.shape[1] for weight in method.inputs.weights]
    labels, hidden = method.label.weight.shape
    model = ByHand(widths, hidden, labels)
    ahead, back, decoder = torch.cat([*method.inputs.weights], 1).detach().chunk(3)
    biases = method.inputs.bias.detach().chunk(3)
    state, unit = method.state_dict(), model.encoder
    assert method.modal is not None, "what is measured chooses its order"
    with torch.no_grad():
        for suffix, weight, bias, name in (
            ("", ahead, biases[0], "ahead"),
            ("_reverse", back, biases[1], "back"),
        ):
            unit.get_parameter(f"weight_ih_l0{suffix}").copy_(weight)
            unit.get_parameter(f"bias_ih_l0{suffix}").copy_(bias)
            unit.get_parameter(f"weight_hh_l0{suffix}").copy_(state[f"{name}.weight"])
            unit.get_parameter(f"bias_hh_l0{suffix}").copy_(state[f"{name}.bias"])
        model.decoder.weight_ih.copy_(torch.cat([decoder, method.attended.weight], 1))
        model.decoder.bias_ih.copy_(biases[2])
        model.decoder.weight_hh.copy_(method.states.weight)
        model.decoder.bias_hh.copy_(method.states.bias)
    for ours, theirs in (
        (model.initial, method.initial),
        (model.modal, method.modal),
        (model.label, method.label),
        (model.query, method.attention.query),
        (model.keys, method.attention.keys),
        (model.score, method.attention.score),
    ):
        ours.load_state_dict(theirs.state_dict())
    return model
