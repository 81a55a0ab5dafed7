"""Replicas of a module whose operations act on the last dimensions, as one module with parameters (R, ...).

Each has the bits that it has alone, so that they may be cut into as many pieces as are fastest.
"""

import contextlib
import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.engine.alone import Alone
from mlbench.engine.flat import Flat, elementwise, shapes_of
from mlbench.engine.job import Job
from mlbench.engine.plan import Plan, groups_of, in_one_pass
from mlbench.engine.ranks import fabric_of
from mlbench.engine.stack import Stacked, first_line, memory_of, plain
from mlbench.layers import Drawing, begin_draws, draws_of
from mlbench.methods.base import Learner, hooks_of

# Weights of the replicas that are one module: more, with their gradients and moments, overflow the caches.
ENOUGH = 1_500_000


class NotNative(Exception):
    """A module's operations do not carry along what stands before the last dimensions; it says where."""


class Native(Stacked):
    """`groups` are lists of modules, each with an optimiser group of its own. Copies of them, `modules`, are
    trained: the originals stay as they are.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Learner]],
        plans: Sequence[Plan],
        device: torch.device | str = "cpu",
        piece: int | None = None,
    ):
        """`plans`: one for each replica; `piece`: how many replicas at most are one module."""
        self.modules = [copy.deepcopy(module).to(device) for group in groups for module in group]
        self.device, self.plans = torch.device(device), plans
        self.starts = [*itertools.accumulate(map(len, groups), initial=0)]
        for module, plan in zip(self.modules, plans):
            begin_draws(module, plan.seed)
        shapes = [shapes_of(module) for module in self.modules]
        if any(shape != shapes[0] for shape in shapes):
            raise NotNative("the parameters differ in shape")
        if not elementwise(plans[0].optimizer, self.modules[0]):
            raise NotNative("the parameters cannot lie in one vector")
        self.parts = groups_of(self.modules[0], plans[0])
        names = [part["params"] for part in self.parts]
        like = self.modules[0].get_parameter(names[0][0])
        self.flat = Flat(shapes[0], names, like, len(self.modules))
        self.flat.fill(self.modules)
        at_once = len(self.modules) if self.device.type == "cuda" else ENOUGH // max(self.flat.width, 1)
        self.piece = piece = piece or max(at_once, 1)
        self.pieces = [
            (slice(start, stop), self._piece(start, stop))
            for start, stop in itertools.pairwise(edges_of(self.modules, piece))
        ]
        self.hooks = [hooks_of(module) for _, module in self.pieces]

    def _piece(self, start: int, stop: int) -> Learner:
        """The module of some replicas: parameters are leaves of `flat`; no other piece has its buffers."""
        module = copy.deepcopy(self.modules[start])
        put(module, fixed_of(self.modules[start:stop]) | self.flat.leaves(start, stop))
        draws = [draws_of(replica) for replica in self.modules[start:stop]]
        for path, part in module.named_modules():
            if isinstance(part, Drawing):
                part.draws = [by_path[path][0] for by_path in draws]
        return module

    @property
    def trained(self) -> str:
        return "" if exact_here(self.device) else "stacked"

    def losses(self, batch: Batch) -> Tensor:
        """(R,)."""
        if len(self.pieces) == 1:
            return self.pieces[0][1].loss(batch)
        return torch.cat([module.loss(rows_of(batch, rows)) for rows, module in self.pieces])

    def call(self, hook: str, *arguments: int) -> None:
        """A hook acts on the parameters, gradients and buffers of all replicas of a piece."""
        for hooks in self.hooks:
            if hook in hooks:
                hooks[hook](*arguments)

    def difference(self, batch: Batch) -> str:
        """Where a replica has another loss or gradient on this batch than alone: compared bit for bit, where
        bits can be had. Empty if nowhere.
        """
        try:
            with self._drawing_again():
                losses = self.losses(batch)
                if losses.shape != (len(self.modules),):
                    return f"the loss of {len(self.modules)} has the shape {(*losses.shape,)}"
                losses.backward(torch.ones_like(losses))
                self.collect()
        except Exception as error:  # a module may fail in any way on one more dimension
            return f"the loss of several fails ({first_line(error)})"
        finally:
            gradients = [gradients.clone() for gradients in self.flat.gradients]
            self.flat.clear()
        with self._drawing_again():
            differences = (self._apart(number, losses, gradients, batch) for number in self._compared())
            return next(filter(None, differences), "")

    def _compared(self) -> Sequence[int]:
        """The replicas that are compared with themselves alone: all, or a few where bits cannot be had."""
        every = range(len(self.modules))
        return every if exact_here(self.device) else every[:: max(len(every) // 8, 1)]

    def _apart(self, number: int, losses: Tensor, gradients: Sequence[Tensor], batch: Batch) -> str:
        """What of one replica differs from what it has alone; empty if nothing does."""
        module, names = self.modules[number], [*self.flat.places]
        loss, rows = module.loss(alone(batch, number)), batch.targets.shape[1]
        leaves = [module.get_parameter(name) for name in names]
        gradients_alone = torch.autograd.grad(loss, leaves, allow_unused=True)
        if not same(loss, losses[number]):
            return f"the loss of {rows} rows is another than alone"
        for name, expected in zip(names, gradients_alone):
            if expected is not None and not same(self.flat.view(name, gradients)[number], expected):
                return f"the gradient of {name} over {rows} rows is another than alone"
        return ""

    @contextlib.contextmanager
    def _drawing_again(self) -> Iterator[None]:
        """Puts the generators back at the end, so that the same numbers are drawn once more."""
        draws = [
            layer_draws
            for module in self.modules
            for several in draws_of(module).values()
            for layer_draws in several
        ]
        before = [layer_draws.kept() for layer_draws in draws]
        try:
            yield
        finally:
            for layer_draws, kept in zip(draws, before):
                layer_draws.begin(*kept)

    def choose(self, batches: Sequence[Batch]) -> None:
        """Raises NotNative if a replica learns other things from these batches (R, B, ...) than alone."""
        try:
            difference = self._rehearsed(batches) if any(self.hooks) else self._tried(batches)
        except Exception as error:  # the loss of one alone fails, too: training it alone tells why
            raise NotNative(first_line(error)) from error
        if difference:
            raise NotNative(difference)
        if self.device.type == "cuda":
            self._draw_at_once()

    def _draw_at_once(self) -> None:
        """Has a layer draw for all replicas of a piece at once, from the first one's generator.

        The bits of a replica depend on its neighbours on a GPU anyway, and a graph of a step takes longer to
        start for each generator in it.
        """
        for _, module in self.pieces:
            for part in module.modules():
                if isinstance(part, Drawing):
                    part.draws = part.draws[:1]

    def _tried(self, batches: Sequence[Batch]) -> str:
        """Where replicas whose module has no hooks differ on one of these batches; empty if nowhere."""
        self.difference(batches[0])  # a loss may find something out at its first call, and remember it
        before = [memory_of(module) for _, module in self.pieces]
        difference = next(filter(None, map(self.difference, batches)), "")
        if not difference and before != [memory_of(module) for _, module in self.pieces]:
            return "its loss changes what it holds"
        return difference

    def _rehearsed(self, batches: Sequence[Batch]) -> str:
        """Where replicas whose module has hooks go through steps otherwise than each does by itself; empty if
        nowhere.

        At least three steps, so that what a hook remembers of one step takes part in the next.
        """
        steps = [*itertools.islice(itertools.cycle(batches), max(len(batches), 3))]
        stack = Native([self.modules], self.plans, self.device, self.piece)
        try:
            losses = rehearse(stack, steps)
        except Exception as error:
            return f"a step of several fails ({first_line(error)})"
        stack.hand_back()
        for number in self._compared():
            plan = self.plans[number]
            single = Alone(copy.deepcopy(self.modules[number]), fabric_of(plan.train))
            single.groups([plan])
            if not same(rehearse(single, [alone(batch, number) for batch in steps]), losses[:, number]):
                return "the loss of some steps is another than alone"
            theirs = tensors_of(single.modules[0])
            for name, tensor in tensors_of(stack.modules[number]).items():
                if not same(tensor, theirs[name]):
                    return f"{name} is another after some steps than alone"
        return ""

    def groups(self, plans: Sequence[Plan]) -> list[dict[str, Any]]:
        """The optimiser's groups; the plans of a group of replicas are the same."""
        return [
            in_one_pass(plans[start].optimizer, self.device)
            | part
            | {"params": [self.flat.optimised(number, start, stop)]}
            for start, stop in itertools.pairwise(self.starts)
            for number, part in enumerate(self.parts)
        ]

    def step_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
        return self.flat.step_of(optimizer)

    def collect(self) -> None:
        self.flat.collect()

    def clip(self, optimizer: torch.optim.Optimizer, limit: float, by: str) -> None:
        self.flat.clip(limit, by)

    @torch.no_grad()
    def hand_back(self) -> None:
        """Copies the trained weights, and the buffers that hooks changed, into `modules`."""
        self.flat.hand_back(self.modules)
        for (rows, piece), hooks in zip(self.pieces, self.hooks):
            tensors = fixed_in(piece).items() if hooks else ()
            for (name, tensor), (number, module) in itertools.product(tensors, enumerate(self.modules[rows])):
                fixed_in(module)[name].copy_(tensor[number])

    @property
    def draws(self) -> list[Any]:
        pieces = [draws_of(module) for _, module in self.pieces]
        return [layer_draws for draws in pieces for several in draws.values() for layer_draws in several]

    def state(self) -> dict[str, Any]:
        fixed = [fixed_in(module) if hooks else {} for (_, module), hooks in zip(self.pieces, self.hooks)]
        return {
            "weights": self.flat.state(),
            "reached": sorted(self.flat.reached),
            "draws": [layer_draws.kept() for layer_draws in self.draws],
            "held": fixed,
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any], path: Path) -> None:
        self.flat.restore(state["weights"])
        self.flat.reached.update(state.get("reached", ()))  # older checkpoints have none
        for (_, module), fixed in zip(self.pieces, state["held"], strict=True):
            for name, tensor in fixed.items():
                fixed_in(module)[name].copy_(tensor)
        for layer_draws, kept in zip(self.draws, state["draws"], strict=True):
            layer_draws.begin(*kept)


def exact_here(device: torch.device) -> bool:
    """Whether a replica's bits do not depend on the number of replicas: they do where threads share an
    operation, and on a GPU, whose libraries choose a kernel by that number.
    """
    return device.type == "cpu" and torch.get_num_threads() == 1


def same(actual: Tensor, expected: Tensor) -> bool:
    """Whether two tensors agree: to the last bit, or up to rounding where bits cannot be had."""
    if exact_here(actual.device) or not actual.is_floating_point():
        return torch.equal(actual, expected)
    rounding = 1e-3 * expected.detach().abs().max().item() + 1e-6 if expected.numel() else 0.0
    return torch.allclose(actual, expected, rtol=1e-3, atol=rounding)


def same_beside(job: Job, device: torch.device) -> bool:
    """Whether a stage trained alone has the bits that it has beside others: rehearsed with one neighbour."""
    module, plan, rows = job.stage.module, job.plan, job.stage.data
    try:
        neighbour = copy.deepcopy(module)
        with torch.no_grad():
            for parameter in neighbour.parameters():
                parameter.mul_(0.5)
        batches = plan.visits(len(rows), 0).split(plan.batch_size)[: plan.batches(len(rows))]
        both = [
            rows.batch(numbers).map(lambda part: torch.stack([part, part]).to(device))
            for numbers in ends_of(batches)
        ]
        Native([[module, neighbour]], [plan, plan], device).choose(both)
    except Exception:  # a module that cannot be rehearsed, or copied, is trained all the same
        return False
    return True


def ends_of(batches: Sequence[Tensor]) -> list[Tensor]:
    """The first batch of row numbers, and the last one if it is smaller."""
    return [batches[0], *([batches[-1]] if batches[-1].shape != batches[0].shape else [])]


def edges_of(modules: Sequence[nn.Module], piece: int) -> list[int]:
    """Where pieces begin and end: a piece has at most `piece` modules, which hold the same numbers and words.

    With a number for each replica, arithmetic would be another: of tensors, in single precision.
    """
    numbers, edges = [numbers_of(module) for module in modules], [0]
    for position in range(1, len(modules)):
        if position - edges[-1] == piece or numbers[position] != numbers[position - 1]:
            edges.append(position)
    return [*edges, len(modules)]


def numbers_of(module: nn.Module) -> list[tuple[str, ...]]:
    """All numbers and words in attributes, and in the keywords of partials."""
    numbers = []
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            named = value.keywords if isinstance(value, functools.partial) else {"": value}
            numbers += [
                (path, name, key, repr(number)) for key, number in sorted(named.items()) if plain(number)
            ]
    return numbers


def rows_of(batch: Batch, rows: slice) -> Batch:
    return batch.map(lambda part: part[rows])


def alone(batch: Batch, number: int) -> Batch:
    """One replica's part of a batch, copied: laid out in memory as when the replica is trained alone."""
    return batch.map(lambda part: part[number].clone())


def fixed_of(modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    """What the optimiser does not train, stacked (R, ...), by name."""
    states = [fixed_in(module) for module in modules]
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def fixed_in(module: nn.Module) -> dict[str, Tensor]:
    """What the optimiser does not train in one module, by name: buffers and frozen parameters."""
    frozen = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    return frozen | dict(module.named_buffers())


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())


def rehearse(replicas: Alone | Native, batches: Sequence[Batch]) -> Tensor:
    """The losses of a few steps of gradient descent, with all hooks: (steps,) or (steps, R)."""
    losses, flat = [], replicas.flat
    assert flat is not None, "a rehearsal needs the weights in one tensor"
    replicas.call("begin_epoch", 0, 1)
    for batch in batches:
        loss = replicas.losses(batch)
        replicas.backward(loss)
        replicas.collect()
        replicas.call("before_step")
        with torch.no_grad():
            for weights, gradients in zip(flat.weights, flat.gradients):
                weights.sub_(gradients, alpha=2**-7)  # a power of two: the product is exact, fused or not
        flat.clear()
        replicas.call("after_step")
        losses.append(loss.detach())
    return torch.stack(losses)


def put(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Replaces parameters and buffers of a module, at every place where the same tensor stands."""
    named = dict(module.named_parameters()) | dict(module.named_buffers())
    new = {id(named[name]): tensor for name, tensor in tensors.items()}

    def parameter(tensor: Tensor) -> nn.Parameter:
        return tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)

    for part in module.modules():
        parameters, buffers = part._parameters, part._buffers
        parameters.update(
            {name: parameter(new[id(old)]) for name, old in parameters.items() if id(old) in new}
        )
        buffers.update({name: new[id(old)] for name, old in buffers.items() if id(old) in new})
