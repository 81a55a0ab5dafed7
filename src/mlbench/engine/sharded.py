"""One module whose weights several devices share (FSDP): each holds a part of every weight, of its gradient
and of the optimiser's numbers. A pass gathers the weights that it needs, and lets go of them.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.strategies.model_parallel import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from mlbench.engine.alone import Alone
from mlbench.engine.flat import elementwise
from mlbench.engine.job import load
from mlbench.engine.lightning import Fabric
from mlbench.engine.lit import Lit
from mlbench.engine.plan import Plan
from mlbench.errors import UserError
from mlbench.methods.base import Learner


def strategy(devices: int) -> ModelParallelStrategy:
    return ModelParallelStrategy(cut_up, data_parallel_size=devices, tensor_parallel_size=1)


def cut_up(lit: Any, mesh: DeviceMesh) -> Any:
    """Cuts up all weights; those of a backbone's blocks are gathered by block, the others at once."""
    ranks = mesh["data_parallel"]
    for part in lit.modules():
        for block in getattr(part, "blocks", ()):
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=ranks)
    fully_shard(lit, mesh=ranks)
    register_fsdp_forward_method(lit, "training_step")
    return lit


class Sharded(Alone):
    """A copy of the module is cut up and trained. The module itself stays whole, in the host's memory, and
    takes the weights, on the device, where somebody looks at them.

    The optimiser steps on this rank's parts as on plain tensors, so it has to treat every weight by itself.
    """

    def __init__(self, module: Learner, fabric: Fabric):
        self.modules, self.fabric, self.trained = [module], fabric, "alone"
        self.lit, self.plain, self.flat = Lit(copy.deepcopy(module)), False, None
        if "before_step" in self.lit.hooks:
            raise UserError(
                f"train.strategy=fsdp: {type(module).__name__} looks at whole gradients before a step, and "
                "each device has a part of them; use train.strategy=ddp"
            )
        self.model = fabric.setup(self.lit)
        self.losses, self.backward = self.model.training_step, fabric.backward
        self.parts: dict[str, nn.Parameter] = {}  # of each weight that is trained, what this rank holds

    def weight(self, name: str) -> DTensor:
        weight = self.lit.module.get_parameter(name)
        assert isinstance(weight, DTensor), "between two passes every weight is cut up"
        return weight

    def groups(self, plans: Sequence[Plan]) -> list[dict[str, Any]]:
        (plan,) = plans
        if not elementwise(plan.optimizer, self.lit.module):
            raise UserError(
                f"train.strategy=fsdp: {plan.optimizer['_target_']} looks at whole weights, and each "
                "device has a part of them; use train.strategy=ddp or train/optimizer=adam"
            )
        groups = self.lit.groups(plan)
        names = {id(weight): name for name, weight in self.lit.module.named_parameters()}
        for group in groups:
            group["params"] = [self._part(names[id(weight)]) for weight in group["params"]]
        return groups

    def _part(self, name: str) -> nn.Parameter:
        self.parts[name] = nn.Parameter(self.weight(name).to_local().detach())
        return self.parts[name]

    def step_of(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        def step() -> None:
            optimizer.step()
            for name, part in self.parts.items():
                part.grad = self.weight(name).grad = None

        return step

    def collect(self) -> None:
        for name, part in self.parts.items():
            gradient = self.weight(name).grad
            part.grad = gradient.to_local() if isinstance(gradient, DTensor) else None

    def clip(self, optimizer: torch.optim.Optimizer, limit: float, by: str) -> None:
        """As torch.nn.utils.clip_grad_norm_ does, with the norm of the whole gradient, or by value."""
        gradients = [part.grad for part in self.parts.values() if part.grad is not None]
        if by == "value":
            for gradient in gradients:
                gradient.clamp_(-limit, limit)
            return
        squares = sum(
            (gradient.square().sum() for gradient in gradients), torch.zeros((), device=self.fabric.device)
        )
        torch.distributed.all_reduce(squares)
        share = (limit / (squares.sqrt() + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(share)

    def call(self, hook: str, *arguments: int) -> None:
        if hook == "begin_epoch":
            self.modules[0].cpu()  # from the look after the last epoch
        self.lit.call(hook, *arguments)

    def hand_back(self) -> None:
        self.modules[0].load_state_dict(self.gathered())
        self.modules[0].to(self.fabric.device)

    def gathered(self) -> dict[str, Any]:
        """The whole state; all ranks ask for it together."""
        state = self.lit.module.state_dict()
        return {
            name: value.full_tensor() if isinstance(value, DTensor) else value
            for name, value in state.items()
        }

    def state(self) -> dict[str, Any]:
        return {"module": self.gathered(), "draws": [], "reached": []}

    @torch.no_grad()
    def restore(self, state: dict[str, Any], path: Path) -> None:
        load(self.modules[0], state["module"], path)
        parameters = dict(self.modules[0].named_parameters(remove_duplicate=False))
        for name, weight in self.lit.module.named_parameters():
            assert isinstance(weight, DTensor)
            weight.to_local().copy_(self.share(name, parameters[name]))
        others = {name: value for name, value in state["module"].items() if name not in parameters}
        self.lit.module.load_state_dict(others, strict=False)

    def whole(self, name: str, part: Tensor) -> Tensor:
        weight = self.weight(name)
        cut = DTensor.from_local(
            part, weight.device_mesh, weight.placements, shape=weight.shape, stride=weight.stride()
        )
        return cut.full_tensor()

    def share(self, name: str, whole: Tensor) -> Tensor:
        weight = self.weight(name)
        whole = whole.detach().to(self.fabric.device)
        return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None).to_local()

    def wholes(self, parts: Sequence[Tensor]) -> list[Tensor]:
        return [self.whole(name, part) for name, part in zip(self.parts, parts)]

    def shares(self, wholes: Sequence[Tensor]) -> list[Tensor]:
        return [self.share(name, whole) for name, whole in zip(self.parts, wholes)]

    def _leaves(self, optimizer: torch.optim.Optimizer) -> list[tuple[Tensor, dict[str, Callable]]]:
        return [(part, {name: lambda tensor: tensor}) for name, part in self.parts.items()]
