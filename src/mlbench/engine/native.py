"""Replicas of a module whose operations act on the last dimensions, as one module with parameters (R, ...).

Each has the bits that it has alone, so that they may be cut into as many pieces as are fastest.
"""

import copy
import functools
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlbench.data.rows import Batch
from mlbench.engine.flat import Flat, shapes_of
from mlbench.engine.stack import plain
from mlbench.layers import draws_of


class Native:
    """Works on copies, `modules`: those it was given stay as they are."""

    def __init__(
        self,
        modules: Sequence[nn.Module],
        device: torch.device | str = "cpu",
        parts: Sequence[Sequence[str]] | None = None,
        piece: int = 32,
    ):
        """`parts`: names of the parameters of each optimiser group; `piece`: replicas that are one module."""
        self.modules = [copy.deepcopy(module).to(device) for module in modules]
        shapes = shapes_of(self.modules[0])
        like = next(self.modules[0].parameters())
        self.flat = Flat(shapes, parts or [[*shapes]], like, len(modules))
        self.flat.fill(self.modules)
        self.fixed = fixed_of(self.modules)
        self.pieces = [
            (slice(start, stop), self._together(start, stop))
            for start, stop in itertools.pairwise(edges_of(self.modules, piece))
        ]

    def _together(self, start: int, stop: int) -> nn.Module:
        """The module of some replicas: their parameters are leaves, their buffers one tensor each."""
        module = copy.deepcopy(self.modules[start])
        tensors = {name: tensor[start:stop] for name, tensor in self.fixed.items()}
        put(module, tensors | self.flat.leaves(start, stop))
        draws = [draws_of(own) for own in self.modules[start:stop]]
        for path, part in module.named_modules():
            if path in draws[0]:
                part.draws = [own[path][0] for own in draws]
        return module

    def losses(self, batch: Batch) -> Tensor:
        """(R,)."""
        if len(self.pieces) == 1:
            return self.pieces[0][1].loss(batch)
        return torch.cat([module.loss(rows_of(batch, rows)) for rows, module in self.pieces])

    def exact(self, batch: Batch) -> bool:
        """Whether every replica has on this batch the loss and the gradient, bit for bit, that it has alone.

        False, too, where its operations take no dimension more.
        """
        draws = [own for module in self.modules for draws in draws_of(module).values() for own in draws]
        before = [own.kept() for own in draws]
        try:
            losses = self.losses(batch)
            if losses.shape != (len(self.modules),):
                return False
            losses.backward(torch.ones_like(losses))
        except Exception:  # whatever a module makes of one dimension more
            return False
        finally:
            for own, kept in zip(draws, before):
                own.begin(*kept)
            gradients = [gradients.clone() for gradients in self.flat.gradients]
            for own in self.flat.gradients:
                own.zero_()
        names = [*self.flat.places]
        for number, module in enumerate(self.modules):
            loss = module.loss(alone(batch, number))
            leaves = [module.get_parameter(name) for name in names]
            own = torch.autograd.grad(loss, leaves, allow_unused=True)
            pairs = [(loss, losses[number])] + [
                (self.flat.view(name, gradients)[number], expected)
                for name, expected in zip(names, own)
                if expected is not None
            ]
            if not all(torch.equal(one, other) for one, other in pairs):
                return False
        return True

    def hand_back(self) -> None:
        """What was learned goes into `modules`."""
        self.flat.hand_back(self.modules)


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
    """What is not trained, (R, ...): buffers and frozen parameters."""
    states = [
        {name: p for name, p in module.named_parameters() if not p.requires_grad}
        | dict(module.named_buffers())
        for module in modules
    ]
    return {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}


def put(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Tensors in place of a module's parameters and buffers, and of whatever else is one of these."""
    named = dict(module.named_parameters()) | dict(module.named_buffers())
    new = {id(named[name]): tensor for name, tensor in tensors.items()}
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if id(tensor) in new:
                    replacement = new[id(tensor)]
                    is_plain = held is part._parameters and not isinstance(replacement, nn.Parameter)
                    held[name] = nn.Parameter(replacement, requires_grad=False) if is_plain else replacement
