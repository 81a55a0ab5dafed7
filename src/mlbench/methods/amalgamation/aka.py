"""AKA: one student a label learns from the label's most certain expert, feature and output; then one student
is distilled from all of them (Shen et al. 2019b, as far as ANT's comparison goes).
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.layers import beside, each, product
from mlbench.losses.bce import bce
from mlbench.methods.amalgamation.label_sets import Expert
from mlbench.methods.amalgamation.teachers import (
    AmalgamationMethod,
    Share,
    TeacherSettings,
    blocks,
    by_teacher,
    told,
    unrolled,
)
from mlbench.methods.base import Backbone, Learner, Stage


class AKA(AmalgamationMethod):
    def __init__(
        self, task: Task, backbone: Backbone, teachers: TeacherSettings, overlap: Share, shared_first: bool
    ):
        super().__init__(task, backbone, teachers, overlap, shared_first)
        widths = [teacher.chain.hidden for teacher in self.teachers]
        self.specialists = Specialists(task, self.student.hidden, widths)

    def learn(self, data: Rows) -> Iterator[Stage]:
        passes = [unrolled(teacher, data) for teacher in self.teachers]
        chosen, targets = most_certain([teacher_pass.final for teacher_pass in passes], self.experts)
        known = {"chosen": chosen} | by_teacher(teacher_pass.hidden[-1] for teacher_pass in passes)
        knowing = replace(data, targets=targets, extra=known)
        yield Stage("specialists", self.specialists, knowing, selects=False)
        with torch.no_grad():
            self.specialists.to(data.device)
            taught = torch.cat([self.specialists.logits(data.batch(rows).x) for rows in blocks(data)])
        yield self.student_stage(data, taught.sigmoid())

    def loss(self, batch: Batch) -> Tensor:
        return self.student.loss(batch.x, batch.targets)


def most_certain(outputs: Sequence[Tensor], experts: Sequence[Sequence[Expert]]) -> tuple[Tensor, Tensor]:
    """Per instance and label, the expert of lowest binary entropy and its probability, both (N, L).

    The entropy of σ(z) falls with |z|; of equally certain experts the first is taken.
    """
    chosen, targets = [], []
    for known_by in experts:
        logits = torch.stack([outputs[expert.teacher][:, expert.column] for expert in known_by])
        best = logits.abs().argmax(0, keepdim=True)
        chosen.append(best.new_tensor([expert.teacher for expert in known_by])[best[0]])
        targets.append(logits.gather(0, best)[0].sigmoid())
    return torch.stack(chosen, dim=1), torch.stack(targets, dim=1)


class Specialists(Learner):
    """L chains of one label each, side by side. With one label a chain takes one step, from h = c = 0: the
    weights of hidden state, hard label and forget gate would meet zeros and are left out. All weights of the
    features are one parameter, so that a step reads them once. This parameter and the bridges have their
    inputs as first dimension: their gradients come in this layout and need no copy.
    """

    def __init__(self, task: Task, hidden: int, teacher_widths: Sequence[int]):
        super().__init__()
        labels, gates = len(task.labels), 4 * hidden
        self.hidden = hidden

        def drawn(*shape: int, fan_in: int) -> Tensor:
            return torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5)

        def parameter(*shape: int, fan_in: int) -> nn.Parameter:
            return nn.Parameter(drawn(*shape, fan_in=fan_in))

        def used(*shape: int) -> Tensor:
            """The rows of g, i and o; an LSTM's are drawn whole."""
            rows = drawn(labels, gates, *shape, fan_in=hidden).unflatten(1, (4, hidden))
            return rows[:, [0, 1, 3]].flatten(1, 2)

        into_gates, into_first = used(task.features), drawn(labels, 1, task.features, fan_in=task.features)
        self.into = nn.Parameter(torch.cat([into_gates, into_first], dim=1).flatten(0, 1).mT.contiguous())
        self.bias_first = parameter(labels, 1, fan_in=task.features)
        self.bias_input = nn.Parameter(used())
        self.bias_hidden = nn.Parameter(used())
        self.fed = nn.Parameter(used())
        self.out = parameter(labels, hidden, fan_in=hidden)
        self.bias_out = parameter(labels, fan_in=hidden)
        self.bridges = nn.ParameterList(parameter(labels, hidden, w, fan_in=hidden) for w in teacher_widths)
        self.bridge_biases = nn.ParameterList(parameter(labels, 1, w, fan_in=hidden) for w in teacher_widths)

    def unroll(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, L) and hidden states (B, L, H)."""
        fixed = product(x, self.into).unflatten(-1, (self.bias_out.shape[-1], -1))
        bias_first, bias_input, bias_hidden, fed, out = (
            beside(parameter, fixed, dims=2)
            for parameter in (self.bias_first, self.bias_input, self.bias_hidden, self.fed, self.out)
        )
        first = fixed[..., -1:] + bias_first
        gates = fixed[..., :-1] + bias_input + bias_hidden + first * fed
        g, i, o = gates.unflatten(-1, (3, self.hidden)).unbind(-2)
        hidden = o.sigmoid() * (i.sigmoid() * g.tanh()).tanh()
        logits = (hidden * out).sum(-1)
        return logits + beside(self.bias_out, logits), hidden

    def logits(self, x: Tensor) -> Tensor:
        return self.unroll(x)[0]

    def loss(self, batch: Batch) -> Tensor:
        """Each specialist's cross-entropy and its distance to its expert's feature, summed over them."""
        features, chosen = told(batch, len(self.bridges)), batch.extra["chosen"]
        logits, hidden = self.unroll(batch.x)
        loss = logits.shape[-1] * each(functools.partial(bce, pos_weight=None), 2, logits, batch.targets)
        by_label = hidden.movedim(-2, -3)
        for teacher, (feature, bridge, bias) in enumerate(zip(features, self.bridges, self.bridge_biases)):
            apart = product(by_label, bridge) + bias - feature.unsqueeze(-3)  # (L, B, width of the teacher)
            loss = loss + (apart.square().mean(-1) * (chosen == teacher).mT).mean(-1).sum(-1)
        return loss
