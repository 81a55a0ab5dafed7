"""The recurrence of the order-free classifier chain, forward and backward by hand.

At the batch sizes of the papers (8 to 128) a chain spends its time on dispatching small operations, not on
arithmetic. So: the product with x is done once a batch, not once a step; each step is a dozen operations that
write into buffers through ready-made views; the gradient of each weight matrix is one product over all steps,
after the backward loop. Tests hold the results to autograd through the same equations.

Shapes: K steps, B rows, L labels, H hidden units, d features. Gates stand in the order g, i, f, o: the three
with a sigmoid are then neighbours, and so are the three whose gradient comes from the cell. Several chains of
one size go side by side: weights (R, P) and rows (R, B, d) in place of (P) and (B, d); outputs are then
(R, K, B, ·), buffers (K, R, B, ·). `vmap` over a chain does the same. Blocks begin as in mlbench.layers, so
that each chain has the bits that it has alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlbench.layers import LANES, LINE, aligned, blocks, multiplied

TAKEN = -1e30  # put on the logit of a label that is on already, so that it is no candidate


@dataclass(frozen=True)
class Weights:
    """Views into one vector: an elementwise optimiser then has one tensor to update instead of six.

    Of chains side by side, each view has a first dimension R.
    """

    input: Tensor  # (4H + L, d): of the gates, and of the initial logits
    bias_input: Tensor  # (4H + L)
    bias_hidden: Tensor  # (4H): a second bias, as PyTorch's LSTM has
    state: Tensor  # (4H, L + H + L): of the fed-back logits, the hidden state, the hard labels
    out: Tensor  # (L, H)
    bias_out: Tensor  # (L)

    @staticmethod
    def shapes(features: int, labels: int, hidden: int) -> list[tuple[int, ...]]:
        gates = 4 * hidden
        return [
            (gates + labels, features),
            (gates + labels,),
            (gates,),
            (gates, 2 * labels + hidden),
            (labels, hidden),
            (labels,),
        ]

    @classmethod
    def of(cls, vector: Tensor, features: int, labels: int, hidden: int) -> "Weights":
        shapes = cls.shapes(features, labels, hidden)
        parts = vector.split([torch.Size(shape).numel() for shape in shapes], dim=-1)
        return cls(*[part.unflatten(-1, shape) for part, shape in zip(parts, shapes)])


class Workspace:
    """Buffers of one unrolling and, for each step, the views that the step works on."""

    def __init__(self, steps: int, rows: torch.Size, labels: int, hidden: int, like: Tensor):
        """`rows` is (B,), or (R, B) for R chains side by side."""
        K, L, H = steps, labels, hidden
        self.rows, self.like = rows, like.detach()
        new = self.new
        self.gates, self.cells, self.tanh = new(K, 4 * H), new(K + 1, H), new(K, H)
        self.states = new(K + 1, L + H + L)  # what a step is fed: logits, hidden state, hard labels
        self.logits, self.hidden = self.states[1:, ..., :L], self.states[1:, ..., L : L + H]
        self.hard = self.states[..., L + H :]  # before each step, and after the last
        self.candidates, self.path, self.on, self.alive = (
            like.new_empty(*rows, width) for width in (L, 1, 1, 1)
        )
        # Whole vectors of the processor, since σ has other code for what is left over.
        self.values = like.new_zeros(*rows[:-1], -(-rows[-1] // LANES) * LANES, 1)
        self.value = self.values[..., : rows[-1], :]
        chosen = torch.zeros_like(self.values, dtype=torch.long)  # laid out as the values are, for torch.max
        self.label = chosen[..., : rows[-1], :]
        gates = self.gates.split(H, dim=-1)
        columns = self.states, self.gates, gates[0], self.gates[..., H:], *gates[1:]
        after = self.tanh, self.hidden, self.logits, self.hard[1:]
        self.steps = list(
            zip(*(part.unbind() for part in (*columns, self.cells, self.cells[1:], *after, self.hard)))
        )
        self.backward: list[tuple[Tensor, ...]] = []

    def new(self, steps: int, width: int) -> Tensor:
        """A buffer (K, ..., B, width) in which every block of B rows begins at a line of the cache."""
        period = LINE // math.gcd(LINE, width)
        *replicas, count = self.rows
        padded = -(-count // period) * period
        return self.like.new_empty(steps, *replicas, padded, width)[..., :count, :]

    def prepare_backward(self) -> None:
        """Buffers for the gradients, made when a workspace is first asked for one."""
        K, *_, H = self.tanh.shape
        L = self.hard.shape[-1]
        new = self.new
        self.d_gates, self.d_logits, self.d_cell = new(K, 4 * H), new(K, L), new(1, H)[0]
        self.d_fed, self.d_hidden = new(1, L + H)[0], new(1, H)[0]
        self.through_tanh, self.to_o = new(K, H), new(K, H)
        self.to_gif = self.like.new_empty(K, *self.rows, 3, H)
        _, _, f, _ = self.gates.split(H, dim=-1)
        d_gif, d_o = self.d_gates[..., : 3 * H].unflatten(-1, (3, H)), self.d_gates[..., 3 * H :]
        columns = self.d_logits, self.d_gates, d_gif, d_o, self.through_tanh, self.to_gif, self.to_o, f
        self.backward = list(zip(*(part.unbind() for part in columns)))


class Workspaces:
    """Workspaces that are ready for use, by size. A graph gives its workspace back after its backward."""

    def __init__(self):
        self.free: dict[Any, list[Workspace]] = {}
        self.weights: Weights | None = None
        self.address: tuple[Any, ...] = ()  # of the vector that `weights` are views into
        self.passed_on: Workspace | None = None  # from `forward` to `setup_context`

    def take(self, rows: torch.Size, design: "Design", like: Tensor) -> Workspace:
        ready = self.free.get((rows, like.device, like.dtype))
        return ready.pop() if ready else Workspace(design.labels, rows, design.labels, design.hidden, like)

    def give(self, workspace: Workspace, like: Tensor) -> None:
        self.free.setdefault((workspace.rows, like.device, like.dtype), []).append(workspace)

    def views(self, vector: Tensor, design: "Design") -> Weights:
        """The views into `vector`, made again only if its memory has moved."""
        address = vector.data_ptr(), vector.dtype, vector.shape, vector.stride()
        if self.weights is None or address != self.address:
            self.weights, self.address = Weights.of(vector.detach(), *design.size), address
        return self.weights

    def __reduce__(self) -> tuple[type, tuple]:
        return Workspaces, ()  # a copy, or another process, starts without workspaces


@dataclass(frozen=True)
class Design:
    """What of a chain does not change in training."""

    features: int
    labels: int
    hidden: int
    always: bool  # turn on the best remaining label at every step, unconditionally
    workspaces: Workspaces

    @property
    def size(self) -> tuple[int, int, int]:
        return self.features, self.labels, self.hidden


def advance(work: Workspace, weights: Weights, x: Tensor, start: Tensor | None, design: Design) -> None:
    """Takes all steps forward; every result stays in `work`."""
    gates, labels = 4 * design.hidden, design.labels
    bias, bias_out = weights.bias_input.unsqueeze(-2).clone(), weights.bias_out.unsqueeze(-2)
    bias[..., :gates] += weights.bias_hidden.unsqueeze(-2)
    fixed = multiplied(aligned(x), weights.input.mT, bias)
    into_gates, into_state, into_logits = fixed[..., :gates], weights.state.mT, weights.out.mT
    work.states[0].zero_()
    work.states[0, ..., :labels].copy_(fixed[..., gates:] if start is None else start)
    work.cells[0].zero_()
    work.path.fill_(1)
    for (
        state,
        all_gates,
        g,
        sigmoids,
        i,
        f,
        o,
        cell,
        next_cell,
        tanh,
        hidden,
        logits,
        hard,
        before,
    ) in work.steps:
        multiplied(state, into_state, into_gates, all_gates)
        g.tanh_()
        sigmoids.sigmoid_()
        torch.mul(f, cell, out=next_cell).addcmul_(i, g)
        torch.tanh(next_cell, out=tanh)
        torch.mul(o, tanh, out=hidden)
        multiplied(hidden, into_logits, bias_out, logits)
        choose(work, logits, before, hard, design.always)


def choose(work: Workspace, logits: Tensor, before: Tensor, hard: Tensor, always: bool) -> None:
    """Turns on the likeliest label that is off, if this label and the path to it are likely enough."""
    torch.add(logits, before, alpha=TAKEN, out=work.candidates)
    torch.max(work.candidates, -1, keepdim=True, out=(work.value, work.label))
    if always:
        torch.gt(work.value, TAKEN / 2, out=work.on)
    else:
        torch.gt(work.value, 0, out=work.on)  # σ(v) > ½
        work.on.mul_(torch.gt(work.path, 0.5, out=work.alive))
        work.values.sigmoid_()
        work.path.mul_(work.value)
    hard.copy_(before).scatter_add_(-1, work.label, work.on)


def turned_on(hard: Tensor) -> Tensor:
    """The step, from 0, that turned each label on; 0 where none did. `hard` is (K, B, L), after each step."""
    after = hard.sum(-3).long()
    return (hard.shape[-3] - after).where(after > 0, 0)


class Unroll(torch.autograd.Function):
    """(x, weights, start) → logits (K, B, L), hidden (K, B, H) and hard labels (K, B, L) of every step."""

    @staticmethod
    def forward(x: Tensor, vector: Tensor, start: Tensor | None, design: Design) -> tuple[Tensor, ...]:
        work = design.workspaces.take(x.shape[:-1], design, like=vector)
        advance(work, design.workspaces.views(vector, design), x, start, design)
        design.workspaces.passed_on = work
        outputs = work.logits, work.hidden, work.hard[1:]
        return tuple(part.movedim(0, -3).clone(memory_format=torch.contiguous_format) for part in outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, outputs: tuple[Tensor, ...]) -> None:
        x, vector, start, design = inputs
        work, design.workspaces.passed_on = design.workspaces.passed_on, None
        ctx.design, ctx.work, ctx.started = design, work, start is not None
        ctx.weights = design.workspaces.weights
        ctx.save_for_backward(x, vector)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(outputs[2])
        if not any(ctx.needs_input_grad):
            design.workspaces.give(work, like=vector)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *inputs: Any) -> tuple[tuple[Tensor, ...], int]:
        """Chains side by side: the mapped dimension comes first; a tensor without one is expanded."""
        x, vector, start, design = inputs

        def side_by_side(tensor: Tensor | None, dim: int | None) -> Tensor | None:
            if tensor is None:
                return None
            return (
                tensor.movedim(dim, 0) if dim is not None else tensor.expand(info.batch_size, *tensor.shape)
            )

        mapped = [side_by_side(tensor, dim) for tensor, dim in zip((x, vector, start), in_dims)]
        return Unroll.apply(*mapped, design), 0

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_logits: Tensor | None, d_hidden: Tensor | None, _: None
    ) -> tuple[Tensor | None, ...]:
        (x, vector), design, work, weights = ctx.saved_tensors, ctx.design, ctx.work, ctx.weights
        assert work is not None, "a chain goes backward once"
        ctx.work = None
        H, L = design.hidden, design.labels
        go_back(work, weights, d_logits, d_hidden, L)
        gradient = vector.new_empty(*vector.shape[:-1], -(-vector.shape[-1] // LINE) * LINE)
        gradient = gradient[..., : vector.shape[-1]]
        into = Weights.of(gradient, *design.size)
        d_initial = torch.zeros_like(work.d_fed[..., :L]) if ctx.started else work.d_fed[..., :L]
        d_gates, d_logits_of_all = merged(work.d_gates), merged(work.d_logits)
        d_over_steps = d_gates.unflatten(-2, (L, -1)).sum(-3)
        d_fixed, x = aligned(torch.cat([d_over_steps, d_initial], dim=-1)), aligned(x)
        multiplied(d_fixed.mT, x, out=into.input)
        torch.sum(d_fixed, -2, out=into.bias_input)
        into.bias_hidden.copy_(into.bias_input[..., : 4 * H])
        multiplied(d_gates.mT, merged(work.states[:-1]), out=into.state)
        multiplied(d_logits_of_all.mT, merged(work.hidden), out=into.out)
        torch.sum(d_logits_of_all, -2, out=into.bias_out)
        design.workspaces.give(work, like=vector)
        d_x = multiplied(d_fixed, weights.input) if ctx.needs_input_grad[0] else None
        return d_x, gradient, None, None


def merged(steps: Tensor) -> Tensor:
    """The steps' rows in one matrix: (K, B, ·) → (K·B, ·); (K, R, B, ·) → (R, K·B, ·)."""
    if steps.ndim == 3:
        return steps.flatten(0, 1).contiguous()
    count, replicas, rows, width = steps.shape
    matrix = blocks(steps, replicas, count * rows, width)
    matrix.unflatten(1, (count, rows)).copy_(steps.movedim(0, 1))
    return matrix


def go_back(
    work: Workspace, weights: Weights, d_logits: Tensor | None, d_hidden: Tensor | None, L: int
) -> None:
    """Goes back through all steps: the gradients of gates, of logits and of what the first step was fed."""
    if not work.backward:
        work.prepare_backward()
    g, i, f, o = work.gates.split(work.d_cell.shape[-1], dim=-1)
    to_g, to_i, to_f = work.to_gif.unbind(-2)
    # Factors that do not depend on later steps, for all steps at once: σ' = σ(1 − σ), tanh' = 1 − tanh².
    torch.addcmul(o, o * work.tanh, work.tanh, value=-1, out=work.through_tanh)
    torch.addcmul(i, i * g, g, value=-1, out=to_g)
    torch.mul(g, i - i * i, out=to_i)
    torch.mul(work.cells[:-1], f - f * f, out=to_f)
    torch.mul(work.tanh, o - o * o, out=work.to_o)
    work.d_logits.zero_() if d_logits is None else work.d_logits.copy_(d_logits.movedim(-3, 0))
    d_cell, d_fed, d_h, back = (
        work.d_cell.zero_(),
        work.d_fed.zero_(),
        work.d_hidden,
        weights.state[..., : work.d_fed.shape[-1]],
    )
    d_cell_row, d_fed_logits, d_fed_hidden = d_cell.unsqueeze(-2), d_fed[..., :L], d_fed[..., L:]
    hidden_gradients = [None] * len(work.backward) if d_hidden is None else d_hidden.unbind(-3)
    for views, hidden_gradient in zip(reversed(work.backward), reversed(hidden_gradients)):
        d_step, d_gate, d_gif, d_o, through_tanh, to_gif, to_o, f = views
        d_step.add_(d_fed_logits)
        multiplied(d_step, weights.out, d_fed_hidden, d_h)
        if hidden_gradient is not None:
            d_h.add_(hidden_gradient)
        d_cell.addcmul_(d_h, through_tanh)
        torch.mul(to_gif, d_cell_row, out=d_gif)
        torch.mul(d_h, to_o, out=d_o)
        d_cell.mul_(f)
        multiplied(d_gate, back, out=d_fed)
