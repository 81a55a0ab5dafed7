"""Modules that differ in nothing but numbers, as one: their parameters side by side, a loss for each.

`losses` goes one of two ways. A module whose operations take a first dimension more (a chain) is called with
stacked parameters and rows as it is; any other goes through `torch.func.vmap`. Which of them gives every
replica the very loss it has alone is found out on a batch, not assumed.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mlbench.data.vectors import Batch

Hyper = dict[tuple[str, str, str], Tensor]  # (module, attribute, keyword of a partial or "") -> (R,)


class CannotStack(Exception):
    """Why modules must be trained one by one."""


class LossOf(nn.Module):
    """`functional_call` calls a module; this one's call is the other's loss."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> Tensor:
        return self.module.loss(batch)


class Stack:
    """`groups` are runs of replicas that stand together, each a list of modules: one optimiser group each."""

    def __init__(self, groups: Sequence[Sequence[nn.Module]]):
        self.modules = [module for group in groups for module in group]
        first = self.modules[0]
        trained = [name for name, parameter in first.named_parameters() if parameter.requires_grad]
        states = [dict(module.named_parameters()) | dict(module.named_buffers()) for module in self.modules]
        shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
        if any(shape != shapes[0] for shape in shapes):
            raise CannotStack("their parameters differ in shape")
        if any(type(module) is not type(first) for module in self.modules):
            raise CannotStack("they are of different classes")
        self.leaves = []  # of each group: name -> its stacked parameter
        start = 0
        for group in groups:
            own = states[start : start + len(group)]
            self.leaves.append({name: stacked(own, name).requires_grad_() for name in trained})
            start += len(group)
        self.fixed = {name: stacked(states, name) for name in states[0] if name not in trained}
        self.hyper = differing(self.modules)
        self.template = LossOf(first)
        self.losses = self._by_vmap  # until `choose` finds a better way

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Every tensor of all replicas, (R, ...), by the name it has in one."""
        if len(self.leaves) == 1:
            return self.leaves[0] | self.fixed
        return {name: torch.cat([leaf[name] for leaf in self.leaves]) for name in self.leaves[0]} | self.fixed

    def choose(self, batch: Batch) -> None:
        """The way that gives each replica what it gets alone on this batch, (R, B, ...) each."""
        own = [Batch(*parts) for parts in zip(*batch)]
        expected = torch.stack([module.loss(rows).detach() for module, rows in zip(self.modules, own)])
        reasons = []
        for way in (self._directly, self._by_vmap):
            try:
                found = way(batch).detach()
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
            except Exception as error:  # whatever a method makes of one dimension more
                reasons.append(str(error).strip().partition("\n")[0])
            else:
                self.losses = way
                return
        raise CannotStack(f"its loss cannot be had for several at once ({reasons[-1]})")

    def _directly(self, batch: Batch) -> Tensor:
        with replaced(self.template.module, self.hyper):
            return functional_call(self.template, self._named(self.parameters), (batch,))

    def _by_vmap(self, batch: Batch) -> Tensor:
        def one(parameters: dict[str, Tensor], hyper: Hyper, *batch: Tensor) -> Tensor:
            with replaced(self.template.module, hyper):
                return functional_call(self.template, self._named(parameters), (Batch(*batch),))

        return vmap(one, randomness="error")(self.parameters, self.hyper, *batch)

    def _named(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        return {f"module.{name}": tensor for name, tensor in parameters.items()}

    @torch.no_grad()
    def hand_back(self) -> None:
        """What was learned goes back into the modules."""
        for name, together in self.parameters.items():
            for module, own in zip(self.modules, together):
                module.get_parameter(name).copy_(own) if name in self.leaves[0] else None


def stacked(states: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([state[name].detach() for state in states])


def differing(modules: Sequence[nn.Module]) -> Hyper:
    """Numbers that the modules hold, in attributes or in the keywords of a partial, and not all alike.

    Anything else that differs is left as the first module has it: if that matters, `choose` finds out.
    """
    found: Hyper = {}
    submodules = [dict(module.named_modules()) for module in modules]
    for path, first in submodules[0].items():
        others = [own.get(path) for own in submodules]
        for attribute, value in vars(first).items():
            values = [getattr(other, attribute, None) for other in others]
            if isinstance(value, functools.partial):
                if not all(isinstance(each, functools.partial) for each in values):
                    raise CannotStack(f"{attribute} is of different kinds")
                for keyword in value.keywords:
                    _note(found, (path, attribute, keyword), [each.keywords.get(keyword) for each in values])
            elif not attribute.startswith("_"):
                _note(found, (path, attribute, ""), values)
    return found


def _note(found: Hyper, where: tuple[str, str, str], values: Sequence[Any]) -> None:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numbers and any(value != values[0] for value in values):
        found[where] = torch.tensor([float(value) for value in values])


@contextmanager
def replaced(module: nn.Module, hyper: Hyper) -> Iterator[None]:
    """Each number as a tensor: a replica's own under vmap, all of them outside."""
    before = []
    for (path, attribute, keyword), value in hyper.items():
        owner = module.get_submodule(path)
        held = getattr(owner, attribute)
        before.append((owner, attribute, held))
        if keyword:
            value = functools.partial(held.func, *held.args, **held.keywords | {keyword: value})
        object.__setattr__(owner, attribute, value)
    try:
        yield
    finally:
        for owner, attribute, held in reversed(before):
            object.__setattr__(owner, attribute, held)
