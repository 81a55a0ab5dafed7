"""ANT read literally: one LSTM cell a step, x in every product, teachers asked again for every batch.

What the tests hold the fast code against, and what the benchmark measures it beside.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.backbones.chain import Chain


class LiteralChain(nn.Module):
    """ANT, Eq. 6-10, with PyTorch's own modules and autograd. Step input: [logits, x, hard labels]."""

    def __init__(self, features: int, labels: int, hidden: int, always: bool = False):
        super().__init__()
        self.lstm = nn.LSTM(2 * labels + features, hidden, batch_first=True)
        self.out = nn.Linear(hidden, labels)
        self.init = nn.Linear(features, labels)
        self.always = always

    def forward(self, x: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (K, B, L) and hidden states (K, B, H) of every step; final logits and labels (B, L)."""
        logits = self.init(x) if start is None else start
        rows = torch.arange(len(x))
        hard, path, state = torch.zeros_like(logits), torch.ones(len(x), dtype=x.dtype), None
        steps, states, final = [], [], logits
        for _ in range(logits.shape[1]):
            output, state = self.lstm(torch.cat([logits, x, hard], dim=1).unsqueeze(1), state)
            logits = self.out(output.squeeze(1))
            steps.append(logits)
            states.append(output.squeeze(1))
            value, label = logits.detach().sigmoid().masked_fill(hard > 0, -1).max(1)
            on = value >= 0 if self.always else (value > 0.5) & (path > 0.5)
            path = path * value
            turned = F.one_hot(label, len(hard.T)).bool() & on[:, None]
            final = torch.where(turned, logits, final if steps[1:] else logits)
            hard = hard.clone()
            hard[rows[on], label[on]] = 1
        return torch.stack(steps), torch.stack(states), final, hard

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """Mean over batch and labels, summed over the steps."""
        return torch.stack(
            [F.binary_cross_entropy_with_logits(logits, targets) for logits in self(x)[0]]
        ).sum()


@torch.no_grad()
def copy_weights(literal: LiteralChain, chain: Chain) -> None:
    """Gives `chain` the weights of `literal`, whose gates stand in the order i, f, g, o."""
    features, labels, hidden = chain.size
    i, f, g, o = torch.arange(4 * hidden).split(hidden)
    gates = torch.cat([g, i, f, o])
    lstm = {name: parameter[gates] for name, parameter in literal.lstm.named_parameters()}
    from_logits, from_x, from_hard = lstm["weight_ih_l0"].split([labels, features, labels], dim=1)
    weights = chain.weights
    weights.input.copy_(torch.cat([from_x, literal.init.weight]))
    weights.bias_input.copy_(torch.cat([lstm["bias_ih_l0"], literal.init.bias]))
    weights.bias_hidden.copy_(lstm["bias_hh_l0"])
    weights.state.copy_(torch.cat([from_logits, lstm["weight_hh_l0"], from_hard], dim=1))
    weights.out.copy_(literal.out.weight)
    weights.bias_out.copy_(literal.out.bias)
