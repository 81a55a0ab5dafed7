"""The recurrence of mlbench.backbones.unroll as operations that make new tensors, for a graph that other
programs run: it has no buffers, and its number of rows is open.
"""

import torch
from torch import Tensor

from mlbench.backbones.unroll import TAKEN, Design, Weights
from mlbench.layers import linear


def written_out(
    x: Tensor, weights: Weights, start: Tensor | None, design: Design
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (K, B, L), hidden states (K, B, H) and hard labels (K, B, L) of every step."""
    H, L = design.hidden, design.labels
    fixed = linear(x, weights.input, weights.bias_input)
    into_gates = fixed[..., : 4 * H] + weights.bias_hidden
    logits = fixed[..., 4 * H :] if start is None else start
    hidden = cell = torch.zeros_like(fixed[..., :H])
    hard, path = torch.zeros_like(logits), torch.ones_like(fixed[..., :1])
    numbers = torch.arange(L, device=x.device)
    steps = []
    for _ in range(L):
        gates = into_gates + linear(torch.cat([logits, hidden, hard], -1), weights.state)
        g, (i, f, o) = gates[..., :H].tanh(), gates[..., H:].sigmoid().split(H, -1)
        cell = f * cell + i * g
        hidden = o * cell.tanh()
        logits = linear(hidden, weights.out, weights.bias_out)
        value, label = (logits + TAKEN * hard).max(-1, keepdim=True)
        if design.always:
            on = value > TAKEN / 2
        else:
            on = (value > 0) & (path > 0.5)
            path = path * value.sigmoid()
        hard = hard + (on & (label == numbers)).to(hard)
        steps.append((logits, hidden, hard))
    all_logits, all_hidden, all_hard = (torch.stack(each, -3) for each in zip(*steps))
    return all_logits, all_hidden, all_hard
