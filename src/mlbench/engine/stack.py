"""Replicas of a module that knows of no dimension of replicas, as one module by `torch.func.vmap`.

That every replica gets the loss and the gradient it has alone, but for the order of sums, is checked on
batches, not assumed.
"""

import copy
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mlbench.data.rows import Batch, Rows
from mlbench.data.shared import beside
from mlbench.engine.plan import IMPLEMENTATION, Plan, groups_of, in_one_pass, resume
from mlbench.layers import Drawing
from mlbench.methods.base import Learner, hooks_of

Hyper = dict[tuple[str, str, str], Tensor]  # (module, attribute, keyword of a partial or "") -> (R,)
Gradients = dict[str, list[Tensor | None]]  # parameter -> each replica's; None where it has none


class CannotStack(Exception):
    """Modules must be trained one by one; the message says why."""


class BrokenAlone(Exception):
    """The loss of one module alone fails, too: training it alone tells why."""


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


class LossOf(nn.Module):
    """A module whose call is the loss of `module`, since `functional_call` calls a module."""

    def __init__(self, module: Learner):
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> Tensor:
        return self.module.loss(batch)


class Stacked:
    """What Native and Stack share. Replicas from one of `starts` to the next have the same optimiser, its
    numbers included.
    """

    starts: list[int]
    trained = "stacked"

    def backward(self, losses: Tensor) -> None:
        """The gradient of the sum of all losses: replicas share nothing, so each gets its own."""
        losses.backward(torch.ones_like(losses))

    def data(self, parts: Sequence[Rows]) -> Rows:
        return beside(parts)

    def rows(self, orders: Sequence[Tensor], count: int) -> Tensor:
        """Row numbers (R, ...) in the rows of all replicas: each has `count` rows, in an order of its own."""
        return torch.stack([*orders]) + (torch.arange(len(orders)) * count).unsqueeze(1)

    def rates(self, optimizer: torch.optim.Optimizer) -> list[float]:
        sizes = [stop - start for start, stop in itertools.pairwise(self.starts)]
        parts = len(optimizer.param_groups) // len(sizes)
        rates = [float(group["lr"]) for group in optimizer.param_groups[::parts]]
        return [rate for rate, size in zip(rates, sizes) for _ in range(size)]

    def release(self) -> None:
        """Nothing to release: copies were trained."""

    def wholes(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """As Alone has them: one process has everything."""
        return [*parts]

    def shares(self, wholes: Sequence[Tensor]) -> list[Tensor]:
        return [*wholes]

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        return optimizer.state_dict()

    def restore_optimizer(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """The groups stay the same objects, since a schedule refers to them."""
        groups, kept = optimizer.param_groups, state["param_groups"]
        unchanged = [{key: group[key] for key in IMPLEMENTATION if key in group} for group in groups]
        merged = [saved | options for saved, options in zip(kept, unchanged)]
        optimizer.load_state_dict(state | {"param_groups": merged})
        for group, numbers in zip(groups, kept):
            resume(group, numbers)
        optimizer.param_groups = groups


class Stack(Stacked):
    """`groups` are lists of modules, each with an optimiser group of its own. Copies of them, `modules`, are
    trained: the originals stay as they are.
    """

    def __init__(self, groups: Sequence[Sequence[Learner]], device: torch.device | str = "cpu"):
        originals = [module for group in groups for module in group]
        self.modules = [copy.deepcopy(module).to(device) for module in originals]
        self.device = torch.device(device)
        first = self.modules[0]
        trained = [name for name, parameter in first.named_parameters() if parameter.requires_grad]
        states = [dict(module.named_parameters()) | dict(module.named_buffers()) for module in self.modules]
        shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
        if any(shape != shapes[0] for shape in shapes):
            raise CannotStack("their parameters differ in shape")
        self.starts = [*itertools.accumulate(map(len, groups), initial=0)]  # of groups among the replicas
        self.leaves = [  # of each group: name -> its stacked parameter
            {name: stacked(states[start:stop], name).requires_grad_() for name in trained}
            for start, stop in itertools.pairwise(self.starts)
        ]
        self.fixed = {name: stacked(states, name) for name in states[0] if name not in trained}
        self.hyper = differing(self.modules, device)
        self.template = LossOf(first)
        if hooks := hooks_of(first):
            raise CannotStack(f"what {', '.join(hooks)} does is another thing for several at once")

    @property
    def parameters(self) -> dict[str, Tensor]:
        """All tensors of all replicas, (R, ...), by their names in one module."""
        return self._trained | self.fixed

    @property
    def _trained(self) -> dict[str, Tensor]:
        if len(self.leaves) == 1:
            return self.leaves[0]
        return {name: torch.cat([leaves[name] for leaves in self.leaves]) for name in self.leaves[0]}

    def choose(self, batches: Sequence[Batch]) -> None:
        """Raises if a replica has another loss or gradient than alone on one of these batches (R, B, ...).

        `vmap` refuses random numbers, and a branch on a value, in which all would go where one goes.
        """
        before = memory_of(self.modules[0])
        for batch in batches:  # one after the other, since the gradients of large modules fill the memory
            try:
                expected = self._alone(batch)
                if memory_of(self.modules[0]) != before:
                    raise CannotStack("its loss changes what it holds")
                self._check(batch, *expected)
            except (BrokenAlone, CannotStack):
                raise
            except Exception as error:  # a method may fail in any way on one more dimension
                reason = first_line(error)
                if "randomness" in reason:  # what vmap advises nobody can follow here
                    reason = "it draws"
                    if not any(isinstance(part, Drawing) for part in self.modules[0].modules()):
                        reason += " from torch's own generator, a layer of mlbench.layers.Drawing does not"
                raise CannotStack(f"its loss cannot be had for several at once ({reason})") from error

    def _alone(self, batch: Batch) -> tuple[Tensor, Gradients]:
        losses, gradients = [], {name: [] for name in self.leaves[0]}
        for number, module in enumerate(self.modules):
            try:
                loss = module.loss(batch.map(itemgetter(number)))
            except Exception as error:
                raise BrokenAlone from error
            parameters = dict(module.named_parameters())
            losses.append(loss.detach())
            for name, gradient in gradients_of(loss, {name: parameters[name] for name in gradients}).items():
                gradients[name].append(gradient)
        # An optimiser skips a parameter without gradient: it must do so in all replicas, or in none.
        for parts in gradients.values():
            if any((part is None) != (parts[0] is None) for part in parts):
                raise CannotStack("a parameter has a gradient in some of them only")
        return torch.stack(losses), gradients

    def _check(self, batch: Batch, losses: Tensor, gradients: Gradients) -> None:
        """Raises if a loss or a gradient differs from those of the replicas alone."""
        stacked_losses = self.losses(batch)
        torch.testing.assert_close(stacked_losses.detach(), losses, rtol=1e-4, atol=1e-6, equal_nan=True)
        leaves = {
            (name, group): leaf for group, by_name in enumerate(self.leaves) for name, leaf in by_name.items()
        }
        stacked_gradients = gradients_of(stacked_losses.sum(), leaves)
        # The gradient of a parameter that cancels out, as a bias before batch norm, is nothing but rounding.
        noise = 1e-6 * largest([part for parts in gradients.values() for part in parts if part is not None])
        for name, expected in gradients.items():
            parts = [stacked_gradients[name, group] for group in range(len(self.leaves))]
            alone, in_stack = ([part for part in side if part is not None] for side in (expected, parts))
            if not alone or len(in_stack) < len(parts):
                assert not alone and not in_stack, f"{name} has a gradient only alone, or only together"
                continue
            close = max(1e-2 * largest(alone), noise)
            for gradient, gradient_alone in zip(itertools.chain.from_iterable(in_stack), alone):
                torch.testing.assert_close(gradient, gradient_alone, rtol=1e-2, atol=close, equal_nan=True)

    def losses(self, batch: Batch) -> Tensor:
        """(R,)."""

        def one(parameters: dict[str, Tensor], hyper: Hyper, batch: Batch) -> Tensor:
            named = {f"module.{name}": tensor for name, tensor in parameters.items()}
            with replaced(self.template.module, hyper):
                return functional_call(self.template, named, (batch,))

        return vmap(one, randomness="error")(self.parameters, self.hyper, batch)

    def groups(self, plans: Sequence[Plan]) -> list[dict[str, Any]]:
        """The optimiser's groups; the plans of a group of replicas are the same."""
        parts = groups_of(self.modules[0], plans[0])
        return [
            in_one_pass(plans[start].optimizer, self.device)
            | part
            | {"params": [leaves[name] for name in part["params"]]}
            for start, leaves in zip(self.starts, self.leaves)
            for part in parts
        ]

    def call(self, hook: str, *arguments: int) -> None:
        """A stack has no hooks: modules with hooks are refused."""

    def step_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
        return stepping(optimizer, optimizer.step)

    @torch.no_grad()
    def collect(self) -> None:
        """Nothing to collect: every gradient stays where autograd put it."""

    def clip(self, optimizer: torch.optim.Optimizer, limit: float, by: str) -> None:
        """Each replica's gradient by its own norm, as torch.nn.utils.clip_grad_norm_ does."""
        for leaves in self.leaves:
            if by == "value":
                torch.nn.utils.clip_grad_value_(leaves.values(), limit)
                continue
            gradients = [leaf.grad for leaf in leaves.values() if leaf.grad is not None]
            norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
            shares = (limit / (norms + 1e-6)).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(shares.view(-1, *[1] * (gradient.ndim - 1)))

    @torch.no_grad()
    def hand_back(self) -> None:
        """Copies the trained weights into `modules`."""
        for name, stacked in self._trained.items():
            for module, weights in zip(self.modules, stacked):
                module.get_parameter(name).copy_(weights)

    def state(self) -> list[dict[str, Tensor]]:
        return [{name: leaf.detach() for name, leaf in leaves.items()} for leaves in self.leaves]

    @torch.no_grad()
    def restore(self, state: list[dict[str, Tensor]], path: Path) -> None:
        for leaves, kept in zip(self.leaves, state, strict=True):
            for name, leaf in leaves.items():
                leaf.copy_(kept[name])


def stepping(optimizer: torch.optim.Optimizer, step: Callable[[], Any]) -> Callable[[], None]:
    """A function that steps, then removes the gradients."""
    leaves = [leaf for group in optimizer.param_groups for leaf in group["params"]]

    def act() -> None:
        step()
        for leaf in leaves:
            leaf.grad = None

    return act


def stacked(states: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([state[name].detach() for state in states])


def gradients_of(loss: Tensor, parameters: dict[Any, Tensor]) -> dict[Any, Tensor | None]:
    gradients = torch.autograd.grad(loss, [*parameters.values()], allow_unused=True)
    return dict(zip(parameters, gradients))


def largest(gradients: Sequence[Tensor]) -> float:
    return max((part.nan_to_num(0, 0, 0).abs().max().item() for part in gradients), default=0.0)


def memory_of(module: nn.Module) -> dict[tuple[str, str], Any]:
    """Versions and sizes of all that a module holds: they differ after a loss that remembers something."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    memory: dict[tuple[str, str], Any] = {
        ("", name): (id(tensor), tensor._version) for name, tensor in tensors.items()
    }
    for path, part in module.named_modules():
        for attribute, value in vars(part).items():
            size = len(value) if isinstance(value, list | dict | set | deque) else None
            memory[path, attribute] = repr(value) if plain(value) else (id(value), size)
    return memory


def plain(value: Any) -> bool:
    """Whether a value is a number or a word, or a list of them."""
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, int | float | str)


def differing(modules: Sequence[nn.Module], device: torch.device | str = "cpu") -> Hyper:
    """Numbers in attributes, or in keywords of partials, that differ between the modules.

    Words and lists may not differ. Of anything else the first module's is taken: if that matters, `choose`
    finds out.
    """
    hyper: Hyper = {}

    def note(key: tuple[str, str, str], values: Sequence[Any]) -> None:
        if not all(map(plain, values)) or all(repr(value) == repr(values[0]) for value in values):
            return
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            raise CannotStack(f"they differ in {key[2] or key[1]}")
        hyper[key] = torch.tensor([float(value) for value in values], device=device)

    submodules = [dict(module.named_modules()) for module in modules]
    for path, first in submodules[0].items():
        counterparts = [by_path.get(path) for by_path in submodules]
        if any(type(counterpart) is not type(first) for counterpart in counterparts):
            raise CannotStack("they are of different classes")
        for attribute, value in vars(first).items():
            values = [getattr(counterpart, attribute, None) for counterpart in counterparts]
            if not isinstance(value, functools.partial):
                note((path, attribute, ""), values)
                continue
            partials = [partial for partial in values if isinstance(partial, functools.partial)]
            if len(partials) < len(values) or any(partial.func is not value.func for partial in partials):
                raise CannotStack(f"they differ in {attribute}")
            for keyword in sorted({keyword for partial in partials for keyword in partial.keywords}):
                note((path, attribute, keyword), [partial.keywords.get(keyword) for partial in partials])
    return hyper


@contextmanager
def replaced(module: nn.Module, hyper: Hyper) -> Iterator[None]:
    """Puts a tensor in place of each number: under vmap the number of one replica, outside those of all."""
    before = []
    for (path, attribute, keyword), value in hyper.items():
        owner = module.get_submodule(path)
        former = getattr(owner, attribute)
        before.append((owner, attribute, former))
        if keyword:
            value = functools.partial(former.func, *former.args, **former.keywords | {keyword: value})
        object.__setattr__(owner, attribute, value)
    try:
        yield
    finally:
        for owner, attribute, former in reversed(before):
            object.__setattr__(owner, attribute, former)
