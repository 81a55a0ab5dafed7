"""A step as a CUDA graph: the host starts one graph where it else starts every kernel by itself.

A graph does again what was done while it was captured, with the same tensors. What a step needs therefore
lies in tensors, and all else that it reads must stay as it is. That is rehearsed, not assumed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mlbench.config import Train
from mlbench.engine.alone import Alone
from mlbench.engine.generators import generators
from mlbench.engine.native import Native
from mlbench.engine.stack import Stack, plain
from mlbench.layers import draws_of
from mlbench.methods.base import hooks_of

REHEARSED = 3  # steps, so that what a step remembers takes part in the next
SHAPES = 4  # of batches that get a graph: the first ones; steps on all others are computed without

Step = Callable[[Sequence[Tensor]], list[Tensor]]  # takes the row numbers of a step's batches, gives losses
Replay = Callable[[], None]  # does again what a function did on the device
Replicas = Alone | Native | Stack


class NotCapturable(Exception):
    """A step is not the same work each time, or waits for the device; the message says which."""


class Graphs:
    """Computes steps by a graph for each shape of batches, from the second step on."""

    def __init__(
        self,
        act: Step,
        replicas: Replicas,
        optimizer: torch.optim.Optimizer,
        scheduler: Any = None,
        average: Sequence[Tensor] = (),
        begun: bool = False,
    ):
        """`act` computes a step without a graph. `begun`: whether the optimiser has its state, and all else
        is there that a first step makes.
        """
        self.act, self.replicas, self.average, self.begun = act, replicas, average, begun
        self.optimizer, self.scheduler = optimizer, scheduler
        self.device: torch.device = optimizer.param_groups[0]["params"][0].device
        self.graphs: dict[tuple, tuple[Replay, list[Tensor], list[Tensor]]] = {}
        self.facts = self._facts()

    def __call__(self, batches: Sequence[Tensor]) -> list[Tensor]:
        shapes = tuple(rows.shape for rows in batches)
        if shapes not in self.graphs:
            check(self.optimizer, self.scheduler)
            if not self.begun or len(self.graphs) == SHAPES:
                self.begun = True
                return self.act(batches)
            self.graphs[shapes] = self._rehearsed(batches)
        replay, given, losses = self.graphs[shapes]
        for rows, new in zip(given, batches, strict=True):
            rows.copy_(new)
        replay()
        return [loss.clone() for loss in losses]  # the next replay writes over them

    def begin_epoch(self) -> None:
        """Lets go of the graphs if a hook changed what they do not read again, such as a number."""
        hooked = any("begin_epoch" in hooks_of(module) for module in modules_of(self.replicas))
        if hooked and self.facts != (facts := self._facts()):
            self.graphs, self.facts = {}, facts

    def _facts(self) -> list[dict[str, Any]]:
        return [facts_of(module) for module in modules_of(self.replicas)]

    def _rehearsed(self, batches: Sequence[Tensor]) -> tuple[Replay, list[Tensor], list[Tensor]]:
        """A graph, once a few steps by it have led where the same steps lead without."""
        given, losses = [rows.clone() for rows in batches], []
        before = host_generators()
        expected = self._led(lambda: self.act(given))
        if self.facts != self._facts():
            raise NotCapturable("a number, a list or a tensor of its module is another after each step")
        if self.device.type == "cuda" and before != host_generators():
            raise NotCapturable("it draws random numbers on the host")
        replay = captured(lambda: losses.extend(self.act(given)), self._generators())

        def step() -> list[Tensor]:
            replay()
            return losses

        if not all(map(close, self._led(step), expected)):
            raise NotCapturable("its steps lead elsewhere when they are replayed")
        return replay, given, losses

    @torch.no_grad()
    def _led(self, step: Callable[[], list[Tensor]]) -> list[Tensor]:
        """The losses of a few steps and all that they wrote to; then everything is as it was before."""
        tensors, generators = self._written(), [*self._generators(), own_generator(self.device)]
        kept = [tensor.clone() for tensor in tensors]
        states = [generator.get_state() for generator in generators]
        try:
            with torch.enable_grad():
                ends = [loss.clone() for _ in range(REHEARSED) for loss in step()]
            return [*ends, *(tensor.clone() for tensor in tensors)]
        finally:
            for tensor, before in zip(tensors, kept):
                tensor.copy_(before)
            for generator, state in zip(generators, states):
                generator.set_state(state)

    def _written(self) -> list[Tensor]:
        """All tensors that a step may write to, each once."""
        tensors = [tensor for module in modules_of(self.replicas) for tensor in tensors_in(module)]
        tensors += [tensor for state in self.optimizer.state.values() for tensor in state.values()]
        tensors += [leaf for group in self.optimizer.param_groups for leaf in group["params"]]
        flat = getattr(self.replicas, "flat", None)
        tensors += [*self.average, *(flat.gradients if flat else ())]
        unique = {id(tensor): tensor for tensor in tensors if isinstance(tensor, Tensor)}
        return [tensor.detach() for tensor in unique.values()]

    def _generators(self) -> list[torch.Generator]:
        """The generators of the layers that draw, without the device's own, which every graph knows."""
        several = [draws for module in modules_of(self.replicas) for draws in draws_of(module).values()]
        generators = [draws.on(self.device) for layer in several for draws in layer]
        return [generator for generator in generators if generator is not None]


def wanted(train: Train, device: torch.device, world: int) -> bool:
    """Whether steps are to be captured; train.graph=auto does so where that can save time."""
    useless = device.type != "cuda" or world > 1 or train.compile
    return bool(train.graph) and not (train.graph == "auto" and useless)


def check(optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
    """Refuses an optimiser that does not find all its changing numbers on the device."""
    kind = type(optimizer).__name__
    if getattr(scheduler, "cycle_momentum", False):
        raise NotCapturable(
            f"{type(scheduler).__name__} changes the momentum; its cycle_momentum=false does not"
        )
    for group in optimizer.param_groups:
        counts_there = group.get("capturable") or isinstance(optimizer, torch.optim.SGD)
        if not (counts_there and isinstance(group["lr"], Tensor)):
            raise NotCapturable(f"{kind} keeps its rate or the number of its steps on the host")


def captured(act: Callable[[], None], generators: Sequence[torch.Generator]) -> Replay:
    """A CUDA graph of what `act` does on the current stream, which is none that torch begins with."""
    graph, every = torch.cuda.CUDAGraph(), [*generators, own_generator(torch.device("cuda"))]
    before = [generator.clone_state() for generator in every]
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            act()
    except Exception as error:
        for generator, state in zip(every, before):  # each still takes itself for one that is captured
            generator.graphsafe_set_state(state)
        raise NotCapturable(str(error).strip().splitlines()[0]) from error
    return graph.replay


def own_generator(device: torch.device) -> torch.Generator:
    """The device's generator, which draws where none is named."""
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[torch.cuda.current_device()]


def host_generators() -> list[str]:
    """The states of the generators on the host, in words that can be compared."""
    states = generators()
    return [repr(states["python"]), repr(states["numpy"]), states["torch"].numpy().tobytes().hex()]


@contextmanager
def stream_of(device: torch.device) -> Iterator[None]:
    """On a GPU, a stream beside the one that torch begins with, on which nothing can be captured."""
    if device.type != "cuda":
        yield
        return
    before, beside = torch.cuda.current_stream(device), side_stream(device)
    beside.wait_stream(before)
    with torch.cuda.stream(beside):
        yield
    before.wait_stream(beside)


@cache
def side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def modules_of(replicas: Replicas) -> list[nn.Module]:
    """The modules that compute: the pieces of a stack, or the one."""
    if isinstance(replicas, Native):
        return [piece for _, piece in replicas.pieces]
    return [replicas.template] if isinstance(replicas, Stack) else [*replicas.modules]


def tensors_in(module: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and tensors that are attributes by themselves."""
    yield from module.parameters()
    yield from module.buffers()
    for part in module.modules():
        yield from (value for value in vars(part).values() if isinstance(value, Tensor))


def facts_of(module: nn.Module) -> dict[str, Any]:
    """What a graph takes as it is: numbers and words, sizes of lists, and which tensors there are."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    facts: dict[str, Any] = {name: id(tensor) for name, tensor in tensors.items()}
    for path, part in module.named_modules():
        for attribute, value in vars(part).items():
            sized = isinstance(value, list | dict | set | deque)
            fact = repr(value) if plain(value) else len(value) if sized else id(value)
            facts[f"{path}.{attribute}"] = fact
    return facts


def close(actual: Tensor, expected: Tensor) -> bool:
    """Whether two tensors agree up to rounding, and are NaN in the same places."""
    if not actual.is_floating_point():
        return torch.equal(actual, expected)
    largest = expected.nan_to_num(0, 0, 0).abs().max().item() if expected.numel() else 0.0
    return torch.allclose(actual, expected, rtol=1e-3, atol=1e-4 * largest + 1e-7, equal_nan=True)
