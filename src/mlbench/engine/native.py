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
from mlbench.engine.stack import Beside, plain, state_of
from mlbench.layers import Drawing, begin_draws, draws_of
from mlbench.methods.base import Learner, hooks_of

# Weights of replicas that are one module: of more of them, with what goes with them, the caches are full.
ENOUGH = 1_500_000


class NotNative(Exception):
    """Its operations do not carry along what stands before the last dimensions."""


class Native(Beside):
    """`groups` are runs of replicas that stand together, each a list of modules: one optimiser group each.

    Works on copies, `modules`: those it was given stay as they are.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Learner]],
        plans: Sequence[Plan],
        device: torch.device | str = "cpu",
        piece: int | None = None,
    ):
        """`plans` are those of all replicas; `piece`: how many are one module."""
        self.modules = [copy.deepcopy(module).to(device) for group in groups for module in group]
        self.device, self.plans = torch.device(device), plans
        self.starts = [*itertools.accumulate(map(len, groups), initial=0)]
        for module, plan in zip(self.modules, plans):
            begin_draws(module, plan.seed)
        shapes = [shapes_of(module) for module in self.modules]
        if any(own != shapes[0] for own in shapes) or not elementwise(plans[0].optimizer, self.modules[0]):
            raise NotNative
        self.parts = groups_of(self.modules[0], plans[0].train.decay_on)
        names = [part["params"] for part in self.parts]
        like = self.modules[0].get_parameter(names[0][0])
        self.flat = Flat(shapes[0], names, like, len(self.modules))
        self.flat.fill(self.modules)
        self.piece = piece = piece or max(ENOUGH // max(self.flat.width, 1), 1)
        self.fixed = fixed_of(self.modules)
        self.pieces = [
            (slice(start, stop), self._together(start, stop))
            for start, stop in itertools.pairwise(edges_of(self.modules, piece))
        ]
        self.hooks = [hooks_of(module) for _, module in self.pieces]

    def _together(self, start: int, stop: int) -> Learner:
        """The module of some replicas: their parameters are leaves, their buffers one tensor each."""
        module = copy.deepcopy(self.modules[start])
        tensors = {name: tensor[start:stop] for name, tensor in self.fixed.items()}
        put(module, tensors | self.flat.leaves(start, stop))
        draws = [draws_of(own) for own in self.modules[start:stop]]
        for path, part in module.named_modules():
            if isinstance(part, Drawing):
                part.draws = [own[path][0] for own in draws]
        return module

    @property
    def trained(self) -> str:
        return "" if exact_here(self.device) else "stacked"

    def losses(self, batch: Batch) -> Tensor:
        """(R,)."""
        if len(self.pieces) == 1:
            return self.pieces[0][1].loss(batch)
        return torch.cat([module.loss(rows_of(batch, rows)) for rows, module in self.pieces])

    def call(self, hook: str, *given: int) -> None:
        """A hook acts on the parameters, gradients and buffers of all replicas of a piece."""
        for hooks in self.hooks:
            if hook in hooks:
                hooks[hook](*given)

    def exact(self, batch: Batch) -> bool:
        """Whether every replica has on this batch the loss and the gradient it has alone: bit for bit, where
        bits can be had. False, too, where its operations take no dimension more.
        """
        try:
            with self._drawing_again():
                losses = self.losses(batch)
                if losses.shape != (len(self.modules),):
                    return False
                losses.backward(torch.ones_like(losses))
        except Exception:  # whatever a module makes of one dimension more
            return False
        finally:
            gradients = [gradients.clone() for gradients in self.flat.gradients]
            for own in self.flat.gradients:
                own.zero_()
        with self._drawing_again():
            return all(self._same(number, losses, gradients, batch) for number in range(len(self.modules)))

    def _same(self, number: int, losses: Tensor, gradients: Sequence[Tensor], batch: Batch) -> bool:
        module, names = self.modules[number], [*self.flat.places]
        loss = module.loss(alone(batch, number))
        leaves = [module.get_parameter(name) for name in names]
        own = torch.autograd.grad(loss, leaves, allow_unused=True)
        return same(loss, losses[number]) and all(
            same(self.flat.view(name, gradients)[number], expected)
            for name, expected in zip(names, own)
            if expected is not None
        )

    @contextlib.contextmanager
    def _drawing_again(self) -> Iterator[None]:
        """What is drawn meanwhile is drawn once more afterwards."""
        draws = [own for module in self.modules for several in draws_of(module).values() for own in several]
        before = [own.kept() for own in draws]
        try:
            yield
        finally:
            for own, kept in zip(draws, before):
                own.begin(*kept)

    def choose(self, batches: Sequence[Batch]) -> None:
        try:
            self.exact(batches[0])  # what a loss finds out once, it has found out
            before = [state_of(module) for _, module in self.pieces]
            if any(self.hooks):
                exact = self._rehearsed(batches)
            else:
                exact = all(self.exact(batch) for batch in batches)
                exact = exact and before == [state_of(module) for _, module in self.pieces]
        except Exception as error:  # alone it cannot be had either, which others will say
            raise NotNative from error
        if not exact:
            raise NotNative

    def _rehearsed(self, batches: Sequence[Batch]) -> bool:
        """Whether copies, whose module has hooks, go through steps as each replica does by itself.

        Three steps at least, so that what a hook keeps of one meets the next.
        """
        steps = [*itertools.islice(itertools.cycle(batches), max(len(batches), 3))]
        together = Native([self.modules], self.plans, self.device, self.piece)
        losses = rehearse(together, steps)
        together.hand_back()
        for number, plan in enumerate(self.plans):
            one = Alone(copy.deepcopy(self.modules[number]), fabric_of(plan.train))
            one.groups([plan])
            if not same(rehearse(one, [alone(batch, number) for batch in steps]), losses[:, number]):
                return False
            tensors = zip(tensors_of(one.modules[0]), tensors_of(together.modules[number]), strict=True)
            if not all(itertools.starmap(same, tensors)):
                return False
        return True

    def groups(self, plans: Sequence[Plan]) -> list[dict[str, Any]]:
        """Of each replica's plan; those of a group of replicas are the same."""
        return [
            in_one_pass(plans[start].optimizer, self.device)
            | part
            | {"params": [self.flat.optimised(number, start, stop)]}
            for start, stop in itertools.pairwise(self.starts)
            for number, part in enumerate(self.parts)
        ]

    def step_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
        return self.flat.step_of(optimizer)

    def clip(self, optimizer: torch.optim.Optimizer, limit: float, by: str) -> None:
        self.flat.clip(limit, by)

    @torch.no_grad()
    def hand_back(self) -> None:
        """What was learned, and what hooks have changed, goes into `modules`."""
        self.flat.hand_back(self.modules)
        for (rows, piece), hooks in zip(self.pieces, self.hooks):
            held = fixed_in(piece).items() if hooks else ()
            for (name, tensor), (number, module) in itertools.product(held, enumerate(self.modules[rows])):
                fixed_in(module)[name].copy_(tensor[number])

    @property
    def draws(self) -> list[Any]:
        pieces = [draws_of(module) for _, module in self.pieces]
        return [own for draws in pieces for several in draws.values() for own in several]

    def state(self) -> dict[str, Any]:
        held = [fixed_in(module) if hooks else {} for (_, module), hooks in zip(self.pieces, self.hooks)]
        return {"weights": self.flat.state(), "draws": [own.kept() for own in self.draws], "held": held}

    @torch.no_grad()
    def restore(self, state: dict[str, Any], path: Path) -> None:
        self.flat.restore(state["weights"])
        for (_, module), held in zip(self.pieces, state["held"], strict=True):
            for name, tensor in held.items():
                fixed_in(module)[name].copy_(tensor)
        for own, kept in zip(self.draws, state["draws"], strict=True):
            own.begin(*kept)


def exact_here(device: torch.device) -> bool:
    """Whether an operation gives a replica the same bits however many are given: not where threads share it,
    nor on a GPU, whose libraries choose a kernel by the number.
    """
    return device.type == "cpu" and torch.get_num_threads() == 1


def same(ours: Tensor, theirs: Tensor) -> bool:
    """To the last bit, or to rounding where bits cannot be had."""
    if exact_here(ours.device) or not ours.is_floating_point():
        return torch.equal(ours, theirs)
    rounding = 1e-3 * theirs.detach().abs().max().item() + 1e-6 if theirs.numel() else 0.0
    return torch.allclose(ours, theirs, rtol=1e-3, atol=rounding)


def settled(job: Job, device: torch.device) -> bool:
    """Whether a stage trained alone leaves what it leaves beside others: a neighbour in a rehearsal shows."""
    module, plan, rows = job.stage.module, job.plan, job.stage.data
    try:
        neighbour = copy.deepcopy(module)
        with torch.no_grad():
            for parameter in neighbour.parameters():
                parameter.mul_(0.5)
        batch = rows.batch(torch.arange(min(plan.batch_size, len(rows))))
        both = batch.map(lambda part: torch.stack([part, part]).to(device))
        Native([[module, neighbour]], [plan, plan], device).choose([both])
    except Exception:  # a module that cannot be rehearsed, or copied, is trained all the same
        return False
    return True


def edges_of(modules: Sequence[nn.Module], piece: int) -> list[int]:
    """Where pieces begin: they have `piece` modules at most, and these hold the same numbers and words.

    Arithmetic with a number that is one replica's own would be another: of tensors, in single precision.
    """
    held, edges = [numbers_of(module) for module in modules], [0]
    for place in range(1, len(modules)):
        if place - edges[-1] == piece or held[place] != held[place - 1]:
            edges.append(place)
    return [*edges, len(modules)]


def numbers_of(module: nn.Module) -> list[tuple[str, ...]]:
    """All numbers and words in attributes, and in the keywords of partials."""
    found = []
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            given = value.keywords if isinstance(value, functools.partial) else {"": value}
            found += [(path, name, key, repr(own)) for key, own in sorted(given.items()) if plain(own)]
    return found


def rows_of(batch: Batch, rows: slice) -> Batch:
    return batch.map(lambda part: part[rows])


def alone(batch: Batch, number: int) -> Batch:
    """A replica's part in tensors of its own, as it has it when it is trained alone."""
    return batch.map(lambda part: part[number].clone())


def fixed_of(modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    """(R, ...), by name."""
    states = [fixed_in(module) for module in modules]
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def fixed_in(module: nn.Module) -> dict[str, Tensor]:
    """What the optimiser does not train, by name: buffers and frozen parameters."""
    frozen = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    return frozen | dict(module.named_buffers())


def tensors_of(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def rehearse(replicas: Alone | Native, batches: Sequence[Batch]) -> Tensor:
    """The losses of a few steps down the gradient, with all hooks: (steps,) or (steps, R)."""
    losses, flat = [], replicas.flat
    assert flat is not None, "what is rehearsed has its weights in one tensor"
    replicas.call("begin_epoch", 0, 1)
    for batch in batches:
        loss = replicas.losses(batch)
        replicas.backward(loss)
        replicas.call("before_step")
        with torch.no_grad():
            for weights, gradients in zip(flat.weights, flat.gradients):
                weights.sub_(gradients, alpha=2**-7)  # a power of two: the product is exact, fused or not
                gradients.zero_()
        replicas.call("after_step")
        losses.append(loss.detach())
    return torch.stack(losses)


def put(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Tensors in place of a module's parameters and buffers, and of whatever else is one of these."""
    named = dict(module.named_parameters()) | dict(module.named_buffers())
    new = {id(named[name]): tensor for name, tensor in tensors.items()}

    def parameter(tensor: Tensor) -> nn.Parameter:
        return tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)

    for part in module.modules():
        own, held = part._parameters, part._buffers
        own.update({name: parameter(new[id(old)]) for name, old in own.items() if id(old) in new})
        held.update({name: new[id(old)] for name, old in held.items() if id(old) in new})
