"""Modules that differ in nothing but numbers, as one: their parameters side by side, a loss for each.

`losses` goes one of two ways: through `torch.func.vmap`, or, where the module's operations take a first
dimension more (a chain), by calling it as it is with stacked parameters and rows, which costs less. Whether
every replica gets the very loss and gradient it has alone is found out on batches, not assumed.
"""

import copy
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mlbench.data.vectors import Batch

Hyper = dict[tuple[str, str, str], Tensor]  # (module, attribute, keyword of a partial or "") -> (R,)
Strides = dict[str, tuple[int, ...]]
Gradients = dict[str, list[Tensor | None]]  # parameter -> each replica's; None where it has none


class CannotStack(Exception):
    """Why modules must be trained one by one."""


class BrokenAlone(Exception):
    """A loss that cannot be had for one either: whoever trains it alone will say so."""


class LossOf(nn.Module):
    """`functional_call` calls a module; this one's call is the other's loss."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> Tensor:
        return self.module.loss(batch)


class Stack:
    """`groups` are runs of replicas that stand together, each a list of modules: one optimiser group each.

    Works on copies, `modules`: those it was given stay as they are.
    """

    def __init__(self, groups: Sequence[Sequence[nn.Module]], device: torch.device | str = "cpu"):
        given = [module for group in groups for module in group]
        self.modules = [copy.deepcopy(module).to(device).train() for module in given]
        first = self.modules[0]
        trained = [name for name, parameter in first.named_parameters() if parameter.requires_grad]
        states = [dict(module.named_parameters()) | dict(module.named_buffers()) for module in self.modules]
        shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
        if any(shape != shapes[0] for shape in shapes):
            raise CannotStack("their parameters differ in shape")
        self.leaves = []  # of each group: name -> its stacked parameter, as `orders` has it
        self.orders: dict[str, tuple[int, ...]] = {}  # name -> its dimensions, the slowest in memory first
        start = 0
        for group in groups:
            own = states[start : start + len(group)]
            self.leaves.append({name: stacked(own, name).requires_grad_() for name in trained})
            start += len(group)
        self.fixed = {name: stacked(states, name) for name in states[0] if name not in trained}
        self.hyper = differing(self.modules, device)
        self.template = LossOf(first)
        self.losses = self._by_vmap  # until `choose` finds a better way

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Every tensor of all replicas, (R, ...), by the name it has in one."""
        return self._trained | self.fixed

    @property
    def _trained(self) -> dict[str, Tensor]:
        groups = [{name: self.usual(name, leaf) for name, leaf in each.items()} for each in self.leaves]
        if len(groups) == 1:
            return groups[0]
        return {name: torch.cat([each[name] for each in groups]) for name in groups[0]}

    def usual(self, name: str, leaf: Tensor) -> Tensor:
        """(R, ...), however it lies in memory."""
        order = self.orders.get(name)
        return leaf if order is None else leaf.permute([order.index(place) for place in range(leaf.ndim)])

    def choose(self, batches: Sequence[Batch]) -> None:
        """The better way of those that give each replica what it has alone on these, (R, B, ...) each.

        What `vmap` refuses, such as random numbers or a branch on a value, goes no other way either: there
        all would take the branch of one.
        """
        before, directly, strides = state_of(self.modules[0]), True, {}
        for batch in batches:  # one after the other: the gradients of large modules fill memory
            try:
                expected = self._alone(batch)
                if state_of(self.modules[0]) != before:
                    raise CannotStack("its loss changes what it holds")
                strides[self._by_vmap] = self._check(self._by_vmap, batch, *expected)
            except (BrokenAlone, CannotStack):
                raise
            except Exception as error:  # whatever a method makes of one dimension more
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                raise CannotStack(f"its loss cannot be had for several at once ({reason})") from error
            if directly:
                try:
                    strides[self._directly] = self._check(self._directly, batch, *expected)
                except Exception:  # its operations take no dimension more, or mean another thing then
                    directly = False
        self.losses = self._directly if directly else self._by_vmap
        self._lay_out(strides[self.losses])

    def _lay_out(self, strides: Strides) -> None:
        """Parameters as their gradients come: autograd would otherwise copy these at every step."""
        for name, stride in strides.items():
            order = tuple(sorted(range(len(stride)), key=lambda place: -stride[place]))
            if not self.leaves[0][name].permute(order).is_contiguous():
                self.orders[name] = order
                for each in self.leaves:
                    each[name] = each[name].detach().permute(order).contiguous().requires_grad_()

    def _alone(self, batch: Batch) -> tuple[Tensor, Gradients]:
        losses, gradients = [], {name: [] for name in self.leaves[0]}
        for number, module in enumerate(self.modules):
            try:
                loss = module.loss(batch.map(itemgetter(number)))
            except Exception as error:
                raise BrokenAlone from error
            own = dict(module.named_parameters())
            losses.append(loss.detach())
            for name, gradient in gradients_of(loss, {name: own[name] for name in gradients}).items():
                gradients[name].append(gradient)
        for parts in gradients.values():  # one without is left alone by the optimiser, as some cannot be
            if any((part is None) != (parts[0] is None) for part in parts):
                raise CannotStack("a parameter has a gradient in some of them only")
        return torch.stack(losses), gradients

    def _check(
        self, way: Callable[[Batch], Tensor], batch: Batch, losses: Tensor, gradients: Gradients
    ) -> Strides:
        """Raises where a loss or a gradient is another; the strides of the gradients, of those there are."""
        found = way(batch)
        torch.testing.assert_close(found.detach(), losses, rtol=1e-4, atol=1e-6, equal_nan=True)
        leaves = {(name, group): leaf for group, own in enumerate(self.leaves) for name, leaf in own.items()}
        own = gradients_of(found.sum(), leaves)
        for name, expected in gradients.items():
            together = [own[name, group] for group in range(len(self.leaves))]
            if expected[0] is None or any(part is None for part in together):
                assert all(part is None for part in [*expected, *together]), (
                    f"{name} has a gradient only alone, or only together"
                )
                continue
            close = 1e-2 * max(part.nan_to_num(0, 0, 0).abs().max().item() for part in expected)
            for part, alone in zip(itertools.chain.from_iterable(together), expected):
                torch.testing.assert_close(part, alone, rtol=1e-2, atol=close, equal_nan=True)
        return {name: part.stride() for (name, group), part in own.items() if part is not None and group == 0}

    def _directly(self, batch: Batch) -> Tensor:
        with replaced(self.template.module, self.hyper):
            return functional_call(self.template, self._named(self.parameters), (batch,))

    def _by_vmap(self, batch: Batch) -> Tensor:
        def one(parameters: dict[str, Tensor], hyper: Hyper, batch: Batch) -> Tensor:
            with replaced(self.template.module, hyper):
                return functional_call(self.template, self._named(parameters), (batch,))

        return vmap(one, randomness="error")(self.parameters, self.hyper, batch)

    def _named(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        return {f"module.{name}": tensor for name, tensor in parameters.items()}

    @torch.no_grad()
    def hand_back(self) -> None:
        """What was learned goes into `modules`."""
        for name, together in self._trained.items():
            for module, own in zip(self.modules, together):
                module.get_parameter(name).copy_(own)


def stacked(states: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([state[name].detach() for state in states])


def gradients_of(loss: Tensor, parameters: dict[Any, Tensor]) -> dict[Any, Tensor | None]:
    found = torch.autograd.grad(loss, [*parameters.values()], allow_unused=True)
    return dict(zip(parameters, found))


def state_of(module: nn.Module) -> dict[tuple[str, str], Any]:
    """What a loss that keeps a memory would leave a trace in."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    held = {("", name): (id(tensor), tensor._version) for name, tensor in tensors.items()}
    for path, part in module.named_modules():
        for attribute, value in vars(part).items():
            size = len(value) if isinstance(value, list | dict | set | deque) else None
            held[path, attribute] = repr(value) if plain(value) else (id(value), size)
    return held


def plain(value: Any) -> bool:
    """Whether it is a number or a word, or a list of them."""
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, int | float | str)


def differing(modules: Sequence[nn.Module], device: torch.device | str = "cpu") -> Hyper:
    """Numbers that the modules hold, in attributes or in the keywords of a partial, and not all alike.

    Words and lists may not differ. Anything else that does is left as the first module has it: if that
    matters, `choose` finds out.
    """
    found: Hyper = {}

    def note(where: tuple[str, str, str], values: Sequence[Any]) -> None:
        if not all(map(plain, values)) or all(repr(value) == repr(values[0]) for value in values):
            return
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            raise CannotStack(f"they differ in {where[2] or where[1]}")
        found[where] = torch.tensor([float(value) for value in values], device=device)

    submodules = [dict(module.named_modules()) for module in modules]
    for path, first in submodules[0].items():
        others = [own.get(path) for own in submodules]
        if any(type(other) is not type(first) for other in others):
            raise CannotStack("they are of different classes")
        for attribute, value in vars(first).items():
            values = [getattr(other, attribute, None) for other in others]
            if not isinstance(value, functools.partial):
                note((path, attribute, ""), values)
                continue
            if any(getattr(each, "func", None) is not value.func for each in values):
                raise CannotStack(f"they differ in {attribute}")
            for keyword in sorted({keyword for each in values for keyword in each.keywords}):
                note((path, attribute, keyword), [each.keywords.get(keyword) for each in values])
    return found


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
