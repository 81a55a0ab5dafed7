"""Layers that act on the last dimensions of their inputs, for one module or for R replicas in one module.

They are constructed, initialised and named as those of torch.nn. If parameters have a dimension R in front,
(R, ...), the input has it, too, (R, B, d), and every replica gets the very bits that it gets alone: each
replica's block begins at a line of the cache, as a tensor of one replica does.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlbench.seeding import derive

LINE = 16  # floats in a line of the cache, 64 bytes: MKL takes another kernel where a result begins elsewhere
LANES = 32  # floats that torch's elementwise loops take at once, at most; the rest goes through other code
TINY = 400  # multiply-adds of a product: torch.bmm does smaller ones without MKL


def blocks(like: Tensor, *shape: int) -> Tensor:
    """An empty tensor (R, m, n), each replica's block at the beginning of a line."""
    replicas, rows, width = shape
    size = -(-rows * width // LINE) * LINE
    return like.new_empty(replicas, size)[:, : rows * width].view(shape)


def aligned(tensor: Tensor) -> Tensor:
    """(R, m, n) with blocks that begin as one replica's (m, n) does; transposed ones stay so."""
    if tensor.ndim == 2:
        return tensor
    _, rows, width = tensor.shape
    if tensor.stride()[1:] == (1, rows) and width > 1 < rows:
        return aligned(tensor.mT).mT
    if tensor.stride(0) % LINE == 0 and tensor.stride(2) == 1 and tensor.stride(1) == width:
        return tensor
    return blocks(tensor, *tensor.shape).copy_(tensor)


def multiplied(a: Tensor, b: Tensor, add: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """add + a @ b, of one replica or of R: each has the bits of torch.mm or torch.addmm by itself."""
    if a.ndim == 2:
        return torch.mm(a, b, out=out) if add is None else torch.addmm(add, a, b, out=out)
    (replicas, m, k), n = a.shape, b.shape[-1]
    out = blocks(a, replicas, m, n) if out is None else out
    if (m * k * n < TINY or 1 in (m, k, n)) and a.device.type == "cpu":
        for replica in range(replicas):
            added = None if add is None else add[replica]
            multiplied(a[replica], b[replica], added, out[replica])
        return out
    return torch.bmm(a, b, out=out) if add is None else torch.baddbmm(add, a, b, out=out)


class Product(torch.autograd.Function):
    """F.linear of R replicas: x (R, B, d), weight (R, n, d), bias (R, n) or None → (R, B, n)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, weight = aligned(x), aligned(weight)
        ctx.save_for_backward(x, weight)
        return multiplied(x, weight.mT, None if bias is None else bias.unsqueeze(1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), gradient = ctx.saved_tensors, aligned(gradient)
        into_x, into_weight, into_bias = ctx.needs_input_grad
        return (
            multiplied(gradient, weight) if into_x else None,
            multiplied(gradient.mT, x) if into_weight else None,
            gradient.sum(1) if into_bias else None,
        )


class Blocks(torch.autograd.Function):
    """a @ b of N matrices each, (N, m, k) and (N, k, n), where N may count replicas, heads or both."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        a, b = aligned(a), aligned(b)
        ctx.save_for_backward(a, b)
        return multiplied(a, b)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (a, b), gradient = ctx.saved_tensors, aligned(gradient)
        into_a, into_b = ctx.needs_input_grad
        return (
            multiplied(gradient, b.mT) if into_a else None,
            multiplied(a.mT, gradient) if into_b else None,
        )


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b over the last two dimensions; those before are the same in both."""
    if a.ndim == 2 or torch.compiler.is_exporting():
        return a @ b
    before = a.shape[:-2]
    return Blocks.apply(a.flatten(0, -3), b.flatten(0, -3)).unflatten(0, before)


def pieces(x: Tensor, rows: int) -> Sequence[Tensor]:
    """x in pieces of so many rows at most; whole in a graph for other programs, whose rows are any number."""
    return [x] if torch.compiler.is_exporting() else x.split(rows)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear; with a weight (R, n, d) of R replicas x is (R, ..., d), or the same (B, d) for all."""
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    if x.ndim == 2:
        x = x.expand(len(weight), *x.shape)
    rows = x.shape[1:-1]
    return Product.apply(x.flatten(1, -2), weight, bias).unflatten(1, rows)


def beside(parameter: Tensor, x: Tensor, dims: int = 1) -> Tensor:
    """A parameter of `dims` dimensions, or one more for R replicas, as it broadcasts against x (R, ...)."""
    if parameter.ndim == dims:
        return parameter
    return parameter.reshape(len(parameter), *[1] * (x.ndim - 1 - dims), *parameter.shape[1:])


def exponential(exponent: Tensor) -> Tensor:
    """e to the exponent; 0 where this is below all normal numbers: there a CPU takes thirty times as long."""
    least = math.ceil(math.log(torch.finfo(exponent.dtype).tiny))
    return exponent.clamp(min=least).exp() * (exponent >= least)


def each(function: Callable[..., Tensor], ndim: int, *tensors: Tensor | None, apart: bool = False) -> Tensor:
    """`function` of each replica's tensors: a scalar, or (R,). The first has `ndim` dimensions a replica.

    All replicas go through `function` at once if a replica's block is whole vectors of the processor, so that
    it has the bits it has alone: σ and powers have other code for a rest. With `apart` they never do.
    """
    first = tensors[0]
    assert first is not None, "the first tensor gives the number of replicas"
    if first.ndim == ndim:
        return function(*tensors)
    vectors = first[0].numel() % LANES == 0 or first.device.type != "cpu"
    if vectors and not apart:
        return function(*tensors)
    by_replica = [[None] * len(first) if tensor is None else tensor.unbind() for tensor in tensors]
    return torch.stack([function(*parts) for parts in zip(*by_replica)])


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Every column of a batch (..., B, d) normalised over its rows, then weighed and moved.

    The columns of all replicas stand side by side in one normalisation. Each replica's are filled up to whole
    vectors of the processor, so that it has the bits it has alone: the rest of a row has other code.
    F.batch_norm is torch.batch_norm with a check: it refuses a single row, which ends at its bias.
    """
    width, before = x.shape[-1], x.shape[:-2]
    if weight is not None and weight.ndim > 1 and not before:
        before = weight.shape[:-1]
        x = x.expand(*before, *x.shape)
    fill = (0, -width % LANES)
    if not (before or fill[1]):
        return torch.batch_norm(x, weight, bias, None, None, True, 0.0, eps, False)
    weight, bias = (
        None if parameter is None else F.pad(parameter, fill).flatten() for parameter in (weight, bias)
    )
    columns = F.pad(x, fill).movedim(-2, 0)
    normal = torch.batch_norm(columns.flatten(1), weight, bias, None, None, True, 0.0, eps, False)
    return normal.view(columns.shape).movedim(0, -2)[..., :width].contiguous()


def gated(from_x: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    """The state after a step of a gated recurrent unit; what comes from x and from the state before (..., 3H)
    is of the gates reset and update and of what is new."""
    gates = from_x.shape[-1] // 3 * 2
    reset, update = (from_x[..., :gates] + from_hidden[..., :gates]).chunk(2, -1)
    update = update.sigmoid()
    new = (from_x[..., gates:] + reset.sigmoid() * from_hidden[..., gates:]).tanh()
    return new + update * (hidden - new)


class Linear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class GELU(nn.GELU):
    """GELU by the error function: that of torch.nn has other bits for tensors with gaps between replicas."""

    def forward(self, x: Tensor) -> Tensor:
        if self.approximate != "none":
            return super().forward(x)
        return 0.5 * x * (1 + torch.erf(x * 0.5**0.5))


class LayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        dims = len(self.normalized_shape)
        x = F.layer_norm(x, self.normalized_shape, eps=self.eps)
        x = x if self.weight is None else x * beside(self.weight, x, dims)
        return x if self.bias is None else x + beside(self.bias, x, dims)


class BatchNorm1d(nn.BatchNorm1d):
    """Normalises over the rows of a batch (..., B, d), in scoring, too: it keeps no running statistics."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ):
        if track_running_stats:
            raise ValueError("track_running_stats=True: this layer keeps none; leave it out")
        super().__init__(num_features, eps, momentum, affine, track_running_stats=False)
        if not bias:  # older torch takes no such option
            self.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        return batch_norm(x, self.weight, self.bias, self.eps)


class Embedding(nn.Embedding):
    """For row numbers (...) or (R, ...)."""

    def forward(self, index: Tensor) -> Tensor:
        if self.weight.ndim == 2:
            return super().forward(index)
        if self.max_norm is not None or self.scale_grad_by_freq or self.sparse:
            raise ValueError("replicas take no max_norm, scale_grad_by_freq or sparse")
        replicas = torch.arange(len(index), device=index.device).view(-1, *[1] * (index.ndim - 1))
        rows = self.weight[replicas, index]
        if self.padding_idx is None:
            return rows
        return torch.where((index == self.padding_idx).unsqueeze(-1), rows.detach(), rows)


class LSTMCell(nn.LSTMCell):
    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        hidden, cell = state or (x.new_zeros(*x.shape[:-1], self.hidden_size),) * 2
        gates = linear(x, self.weight_ih, self.bias_ih) + linear(hidden, self.weight_hh, self.bias_hh)
        i, f, g, o = gates.chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell


class GRUCell(nn.GRUCell):
    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        if hidden is None:
            hidden = x.new_zeros(*x.shape[:-1], self.hidden_size)
        from_x = linear(x, self.weight_ih, self.bias_ih)
        return gated(from_x, linear(hidden, self.weight_hh, self.bias_hh), hidden)


class ELU(nn.ELU):
    """ELU by expm1: that of torch.nn has other bits in what is left over behind whole vectors."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.alpha * x.clamp(max=0).expm1())


class Drawing(nn.Module):
    """Draws from a generator for each replica, so that a replica draws the same beside any others.

    `begin_draws` seeds it; until then it draws from torch's global generator, as torch.nn's layers do.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.draws = [Draws()]  # one for each replica

    def drawn(self, into: Tensor, draw: Callable[[Tensor, torch.Generator | None], Any]) -> Tensor:
        """`into`, after `draw` has filled each replica's part from that replica's generator."""
        for draws, part in zip(self.draws, [into] if len(self.draws) == 1 else into):
            draw(part, draws.on(into.device))
        return into


def throw(into: Tensor, share: float, generator: torch.Generator | None) -> None:
    """Tensor.bernoulli_, which on a CPU draws such doubles one by one, and takes nearly twice as long."""
    if into.device.type == "cpu":
        uniform = torch.empty_like(into, dtype=torch.float64, memory_format=torch.contiguous_format)
        torch.lt(uniform.uniform_(generator=generator), share, out=into)
    else:
        into.bernoulli_(share, generator=generator)


class Dropout(Drawing, nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * self.kept(x).div_(1 - self.p)

    def kept(self, x: Tensor) -> Tensor:
        """1 for each entry that stays, drawn anew, and 0 for the others."""
        keep = torch.empty_like(x, memory_format=torch.contiguous_format)
        return self.drawn(keep, lambda part, generator: throw(part, 1 - self.p, generator))


class Mask(Dropout):
    """Sets each entry to 0 with probability p, in training, and leaves the others as they are."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept(x) if self.training and self.p else x


class Noise(Drawing):
    """Standard normal numbers in the shape of the input."""

    def forward(self, like: Tensor) -> Tensor:
        empty = torch.empty_like(like, memory_format=torch.contiguous_format)
        return self.drawn(empty, lambda part, generator: part.normal_(generator=generator))


class Draws:
    """A generator that moves to the device that asks for it, and its state."""

    def __init__(self, seed: int | None = None, state: Tensor | None = None):
        self.begin(seed, state)

    def begin(self, seed: int | None, state: Tensor | None = None) -> None:
        self.seed, self.state = seed, state
        self.generator: torch.Generator | None = None

    def on(self, device: torch.device) -> torch.Generator | None:
        if self.seed is not None and (self.generator is None or self.generator.device != device):
            self.generator = torch.Generator(device).manual_seed(self.seed)
            if self.state is not None:
                self.generator.set_state(self.state)
        return self.generator

    def kept(self) -> tuple[int | None, Tensor | None]:
        """The arguments with which `begin` goes on from here."""
        return self.seed, self.generator.get_state() if self.generator else self.state

    def __reduce__(self) -> tuple[Any, ...]:
        return Draws, self.kept()  # a copy draws by itself what this one would


def draws_of(module: nn.Module) -> dict[str, list[Draws]]:
    """The draws of each layer that draws, by the layer's path."""
    return {path: part.draws for path, part in module.named_modules() if isinstance(part, Drawing)}


def begin_draws(module: nn.Module, seed: int) -> None:
    """Seeds every layer of one module that draws, each with a seed of its own."""
    for path, (draws,) in draws_of(module).items():
        draws.begin(derive(seed, "dropout", path))
