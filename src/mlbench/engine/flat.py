"""The weights of R replicas in one tensor, a row each, for an optimiser that treats every entry by itself.

A parameter is a leaf and a view (R, *shape) of that tensor; its gradient is a view of a second tensor. Each
parameter begins at a line of the cache and rows are padded to whole vectors, so that no replica's bits depend
on the number of replicas.
"""

import functools
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlbench.layers import LINE

ROW = 64  # floats: a row of weights is a multiple of it
MANY = 65_536  # weights: to zero their gradients and add to them takes longer than to copy what autograd made

# A parameter's rows have other parameters between them, which torch supposes to be slow; here it is not.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")


# Optimisers that treat every entry of a parameter by itself, so that many tensors may be one.
ELEMENTWISE = {
    f"torch.optim.{name}"
    for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "Adamax", "NAdam", "Adadelta")
}


def elementwise(optimizer: dict[str, Any], module: nn.Module) -> bool:
    """Whether the trained parameters of a module may lie in one tensor for this optimiser."""
    kinds = {(p.dtype, p.device, p.layout) for p in module.parameters() if p.requires_grad}
    return optimizer["_target_"] in ELEMENTWISE and len(kinds) == 1


class Flat:
    """`parts`: the names of parameters by group of the optimiser; each part has a tensor of its own."""

    def __init__(
        self, shapes: dict[str, torch.Size], parts: Sequence[Sequence[str]], like: Tensor, rows: int
    ):
        self.shapes, self.rows = shapes, rows
        self.places: dict[str, tuple[int, int]] = {}  # parameter -> its part, and where in a row it begins
        self.weights: list[Tensor] = []  # of each part
        for part, names in enumerate(parts):
            width = 0
            for name in names:
                self.places[name] = part, width
                width += -(-math.prod(shapes[name]) // LINE) * LINE
            self.weights.append(like.new_zeros(rows, -(-width // ROW) * ROW))
        self.width = sum(weights.shape[1] for weights in self.weights)  # of a replica
        self.gradients = [torch.zeros_like(weights) for weights in self.weights]
        self.targets: list[tuple[Tensor, Tensor]] = []  # what the optimiser steps on, and its gradient
        self.reached: set[str] = set()  # parameters that have a gradient
        # On a GPU a captured step needs each gradient where it was.
        self.collects = like.device.type == "cpu" and self.width * rows >= MANY
        self.lent: list[tuple[Tensor, Tensor]] = []  # leaves and their places in `gradients`, if it collects
        # Weights that have had no gradient yet, and their values, by name; None before the first step.
        self.idle: dict[str, tuple[Tensor, Tensor]] | None = None

    def view(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        """(R, *shape)."""
        part, begin = self.places[name]
        shape = self.shapes[name]
        return tensors[part][:, begin : begin + math.prod(shape)].view(-1, *shape)

    def views(self, part: int) -> dict[str, Callable[[Tensor], Tensor]]:
        """For each parameter of a part, by name, a function that takes its view of a tensor (1, width)."""

        def view(name: str, tensor: Tensor) -> Tensor:
            begin, shape = self.places[name][1], self.shapes[name]
            return tensor[0, begin : begin + math.prod(shape)].view(shape)

        return {
            name: functools.partial(view, name)
            for name, (its_part, _) in self.places.items()
            if its_part == part
        }

    def leaves(self, start: int, stop: int) -> dict[str, nn.Parameter]:
        """The parameters of some replicas, (stop − start, *shape)."""
        return {name: self._leaf(name, slice(start, stop)) for name in self.places}

    def _leaf(self, name: str, rows: slice | int) -> nn.Parameter:
        leaf = nn.Parameter(self.view(name, self.weights)[rows])
        self._watch(name, leaf, self.view(name, self.gradients)[rows])
        return leaf

    def _watch(self, name: str, leaf: Tensor, gradient: Tensor) -> None:
        """Has a leaf's gradient added up in its place, or collected from where autograd put it."""
        if self.collects:
            self.lent.append((leaf, gradient))
        else:
            leaf.grad = gradient

        def reached(_: Tensor) -> None:
            self.reached.add(name)
            (self.idle or {}).pop(name, None)
            handle.remove()

        handle = leaf.register_post_accumulate_grad_hook(reached)

    @torch.no_grad()
    def take(self, module: nn.Module) -> None:
        """Makes the parameters of a single replica, this module, views; they stay the same objects."""
        parameters = dict(module.named_parameters())
        for name in self.places:
            view = self.view(name, self.weights)[0]
            parameters[name].data = view.copy_(parameters[name])
            self._watch(name, parameters[name], self.view(name, self.gradients)[0])

    def release(self, module: nn.Module) -> None:
        """Gives the parameters of a single replica memory of their own."""
        for name in self.places:
            parameter = module.get_parameter(name)
            parameter.data, parameter.grad = parameter.data.clone(), None

    @torch.no_grad()
    def fill(self, modules: Sequence[nn.Module]) -> None:
        for name in self.places:
            for row, module in zip(self.view(name, self.weights), modules):
                row.copy_(module.get_parameter(name))

    @torch.no_grad()
    def hand_back(self, modules: Sequence[nn.Module]) -> None:
        for name in self.places:
            for row, module in zip(self.view(name, self.weights), modules):
                module.get_parameter(name).copy_(row)

    def optimised(self, part: int, start: int, stop: int) -> Tensor:
        """The weights of some replicas in one part, as one leaf for an optimiser."""
        leaf = self.weights[part][start:stop].detach().requires_grad_()
        self.targets.append((leaf, self.gradients[part][start:stop]))
        return leaf

    def collect(self) -> None:
        """Brings the gradients of a step to their places, unless they were added up there."""
        if not self.lent:
            return
        reached = [(leaf, place) for leaf, place in self.lent if leaf.grad is not None]
        if len(reached) < len(self.lent):
            for gradients in self.gradients:
                gradients.zero_()
        made = [leaf.grad for leaf, _ in reached if leaf.grad is not None]
        if made:
            torch._foreach_copy_([place for _, place in reached], made)  # pyright: ignore
        for leaf, place in reached:
            leaf.grad = place  # what a hook looks at

    def clear(self) -> None:
        """Lets the next step begin without a gradient."""
        for leaf, _ in self.lent:
            leaf.grad = None
        for gradients in () if self.collects else self.gradients:
            gradients.zero_()

    def step_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        """A step. It leaves parameters as they are, despite decay, until they have a gradient."""
        decays = any(group.get("weight_decay") for group in optimizer.param_groups)
        bare = bare_step(optimizer) if self.weights[0].device.type == "cpu" else optimizer.step

        @torch.no_grad()
        def step() -> None:
            for leaf, gradient in self.targets:
                leaf.grad = gradient
            if self.idle is None:
                names = [name for name in self.places if decays and name not in self.reached]
                views = {name: self.view(name, self.weights) for name in names}
                self.idle = {name: (view, view.clone()) for name, view in views.items()}
                optimizer.step()  # a scheduler wants to have seen one
            else:
                bare()
            for weights, kept in self.idle.values():
                weights.copy_(kept)
            self.clear()

        return step

    def norms(self) -> Tensor:
        """Each replica's norm of its gradient, (R,)."""
        return torch.stack([gradients.norm(dim=1) for gradients in self.gradients]).norm(dim=0)

    @torch.no_grad()
    def clip(self, limit: float, by: str) -> None:
        """Each replica's gradient by its own norm, as torch.nn.utils.clip_grad_norm_ does, or by value."""
        if by == "value":
            for gradients in self.gradients:
                gradients.clamp_(-limit, limit)
            return
        shares = (limit / (self.norms() + 1e-6)).clamp(max=1)
        for gradients in self.gradients:
            gradients.mul_(shares.unsqueeze(1))

    def state(self) -> list[Tensor]:
        return self.weights

    @torch.no_grad()
    def restore(self, state: Sequence[Tensor]) -> None:
        for weights, kept in zip(self.weights, state, strict=True):
            weights.copy_(kept)


def bare_step(optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    """The optimiser's step alone, for a caller that has gradients switched off.

    Around it torch makes a note for its profiler, calls hooks and switches gradients off, which takes longer
    than Adam itself on some thousand weights.
    """
    return functools.partial(inspect.unwrap(type(optimizer).step), optimizer)


def shapes_of(module: nn.Module) -> dict[str, Any]:
    """The shapes of the parameters that are trained, by name."""
    return {name: parameter.shape for name, parameter in module.named_parameters() if parameter.requires_grad}
