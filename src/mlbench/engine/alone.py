"""One module, as the loop trains it."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlbench.data.rows import Batch, Rows
from mlbench.engine.flat import Flat, elementwise, shapes_of
from mlbench.engine.job import load
from mlbench.engine.lightning import Fabric
from mlbench.engine.lit import Lit
from mlbench.engine.plan import Plan, groups_of, resume
from mlbench.engine.stack import stepping
from mlbench.layers import begin_draws, draws_of
from mlbench.methods.base import Learner


class Alone:
    """A module that Fabric trains, where several devices or another precision ask for Fabric. Elsewhere its
    weights are laid out, and its numbers drawn, as those of a replica in a stack: it learns the same bits.
    """

    def __init__(self, module: Learner, fabric: Fabric, trained: str = ""):
        self.modules, self.fabric, self.lit, self.trained = [module], fabric, Lit(module), trained
        self.plain = fabric.world_size == 1 and fabric.strategy.precision.precision == "32-true"
        self.model = self.lit.to(fabric.device) if self.plain else fabric.setup(self.lit)
        self.flat: Flat | None = None
        self.losses = self.model.training_step
        self.backward = Tensor.backward if self.plain else fabric.backward
        self.call = self.lit.call

    def choose(self, batches: Sequence[Batch]) -> None:
        """Nothing to choose: a module alone has one way to compute its loss."""

    def data(self, parts: Sequence[Rows]) -> Rows:
        return parts[0]

    def rows(self, orders: Sequence[Tensor], count: int) -> Tensor:
        return orders[0]

    def groups(self, plans: Sequence[Plan]) -> list[dict[str, Any]]:
        (plan,), (module,) = plans, self.modules
        if self.plain:
            begin_draws(module, plan.seed)
        if not self.plain or not elementwise(plan.optimizer, module):
            return self.lit.groups(plan)
        parts = groups_of(module, plan)
        names = [part["params"] for part in parts]
        self.flat = Flat(shapes_of(module), names, module.get_parameter(names[0][0]), 1)
        self.flat.take(module)
        return [part | {"params": [self.flat.optimised(n, 0, 1)]} for n, part in enumerate(parts)]

    def step_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
        if self.flat:
            return self.flat.step_of(optimizer)
        steps = optimizer if self.plain else self.fabric.setup_optimizers(optimizer)
        assert not isinstance(steps, tuple), "one optimiser was given"
        return stepping(optimizer, steps.step)

    def collect(self) -> None:
        if self.flat:
            self.flat.collect()

    def clip(self, optimizer: torch.optim.Optimizer, limit: float, by: str) -> None:
        if self.flat:
            self.flat.clip(limit, by)
            return
        self.fabric.strategy.precision.unscale_gradients(optimizer)
        clip = torch.nn.utils.clip_grad_norm_ if by == "norm" else torch.nn.utils.clip_grad_value_
        clip(self.modules[0].parameters(), limit)

    def rates(self, optimizer: torch.optim.Optimizer) -> list[float]:
        return [float(optimizer.param_groups[0]["lr"])]

    def hand_back(self) -> None:
        """Nothing to copy: the module itself was trained."""

    def release(self) -> None:
        """Gives the module's weights memory of their own again."""
        if self.flat:
            self.flat.release(self.modules[0])

    def state(self) -> dict[str, Any]:
        draws = [layer_draws.kept() for layer_draws in self.draws] if self.plain else []
        reached = sorted(self.flat.reached) if self.flat else []
        return {"module": self.modules[0].state_dict(), "draws": draws, "reached": reached}

    def restore(self, state: dict[str, Any], path: Path) -> None:
        load(self.modules[0], state["module"], path)
        for layer_draws, kept in zip(self.draws, state["draws"] if self.plain else []):
            layer_draws.begin(*kept)
        if self.flat:
            self.flat.reached.update(state.get("reached", ()))  # older checkpoints have none

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The optimiser's state by names of parameters, so that any number of devices goes on from it."""
        groups = [{key: value for key, value in g.items() if key != "params"} for g in optimizer.param_groups]
        kept: dict[str, Any] = {}
        for leaf, named in self._leaves(optimizer):
            state = optimizer.state.get(leaf, {}).items()
            for name, view in named.items():
                kept[name] = {
                    key: value if _whole(key, value) else self.whole(name, view(value))
                    for key, value in state
                }
        return {"groups": groups, "parameters": kept}

    def restore_optimizer(self, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        leaves = self._leaves(optimizer)
        if {name for _, named in leaves for name in named} != state["parameters"].keys():
            raise ValueError("other parameters are trained")
        for group, kept in zip(optimizer.param_groups, state["groups"], strict=True):
            resume(group, kept)
        groups = {leaf: group for group in optimizer.param_groups for leaf in group["params"]}
        for leaf, named in leaves:
            counts_on = leaf.device if groups[leaf].get("fused") or groups[leaf].get("capturable") else "cpu"
            slots = optimizer.state[leaf]
            for name, view in named.items():
                for key, value in state["parameters"][name].items():
                    if _whole(key, value):  # one of many parameters may be one tensor in a file
                        copied = copy.deepcopy(value)
                        slots[key] = copied.to(counts_on) if isinstance(copied, Tensor) else copied
                    else:
                        place = view(slots.setdefault(key, torch.zeros_like(leaf)))
                        place.copy_(self.share(name, value))

    def whole(self, name: str, part: Tensor) -> Tensor:
        """The whole of what stands for the weight `name`, of which this process has a part; here, all."""
        return part

    def share(self, name: str, whole: Tensor) -> Tensor:
        """This process's part of what stands for the weight `name`."""
        return whole

    def wholes(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """What stands for the optimiser's leaves, in their order, as a checkpoint holds it."""
        return [*parts]

    def shares(self, wholes: Sequence[Tensor]) -> list[Tensor]:
        """This process's parts of what `wholes` gave."""
        return [*wholes]

    def _leaves(self, optimizer: torch.optim.Optimizer) -> list[tuple[Tensor, dict[str, Callable]]]:
        """Each tensor that the optimiser steps on, and for each parameter in it, by name, a function that
        takes the parameter's view of a tensor of the same layout.
        """
        leaves = [leaf for group in optimizer.param_groups for leaf in group["params"]]
        if self.flat:
            return [(leaf, self.flat.views(part)) for part, leaf in enumerate(leaves)]
        names = {id(parameter): name for name, parameter in self.modules[0].named_parameters()}
        return [(leaf, {names[id(leaf)]: lambda tensor: tensor}) for leaf in leaves]

    @property
    def draws(self) -> list[Any]:
        return [layer_draws for draws in draws_of(self.modules[0]).values() for layer_draws in draws]


def _whole(key: str, value: Any) -> bool:
    """Whether a value of an optimiser's state belongs to a whole parameter, not to each of its entries."""
    return key in ("step", "mu_product") or not isinstance(value, Tensor)
