"""Builds a method from its configuration, and a trained one from a file."""

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlbench.config import Node, checked, options, target
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.layers import LANES, each
from mlbench.methods.base import Loss, Method
from mlbench.trust import foreign, is_named, within


def build_method(method: Node, backbone: Node, loss: Node, task: Task) -> Method:
    """The method for a task; it gets what it asks for of the backbone and the loss."""
    supplied = {
        "task": task,
        "backbone": functools.partial(build_backbone, backbone),
        "loss": build_loss(loss, task),
    }
    asked = inspect.signature(target(method)).parameters
    return target(method)(
        **{name: value for name, value in supplied.items() if name in asked}, **options(method)
    )


def build_backbone(node: Node, task: Task, **changed: Any) -> nn.Module:
    """A backbone for the task, which may be a modality's alone; it may be anybody's."""
    network = target(node)(task, **options(node) | changed)
    said = f"backbone._target_={node['_target_']}"
    if not isinstance(network, nn.Module):
        raise UserError(f"{said}: it is no torch module, so no optimiser would find its weights")
    if getattr(network, "gives", "features") == "features" and not isinstance(
        getattr(network, "width", None), int
    ):
        raise UserError(f"{said}: it has no width, the length of the vectors it gives")
    return network


def check_method(path: str, kind: Any) -> None:
    """Whether what method._target_ names can be trained and scored."""
    if not (inspect.isclass(kind) and issubclass(kind, Method)):
        raise UserError(f"method._target_={path}: no mlbench.methods.base.Method")
    if kind.scores is Method.scores:
        raise UserError(f"method._target_={path}: it has no scores(batch), which is what is measured")
    if kind.loss is Method.loss and kind.stages is Method.stages:
        raise UserError(f"method._target_={path}: it has no loss(batch), and no stages(data) that need none")


def build_loss(loss: Node, task: Task) -> Loss:
    """The loss for a task; it gets what it asks for of the label statistics."""
    asked = inspect.signature(target(loss)).parameters
    known = {"instances": task.instances} if "instances" in asked else {}
    bound = functools.partial(target(loss), **options(loss), **known)
    return Objective(bound, task.positives if "positives" in asked else None)


class Objective(nn.Module):
    """A loss, and each label's positives if it asks for them; of replicas one after the other, (R,), where it
    knows of no dimension before (B, L).

    Positives are a buffer, so that they go where the method goes and each of several replicas has its own. No
    state dict holds them: the task does.
    """

    positives: Tensor | None

    def __init__(self, loss: Callable[..., Tensor], positives: Sequence[int] | None):
        super().__init__()
        self.loss = loss
        held = None if positives is None else torch.tensor(positives, dtype=torch.float32)
        self.register_buffer("positives", held, persistent=False)
        self.carries: bool | None = None  # whether it carries along what stands before (B, L), once known

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.ndim > 2 and self.carries is None:
            self.carries = self._carries(logits.shape[-1], logits.device)
        return each(self._loss, 2, logits, targets, self.positives, apart=not self.carries)

    def _loss(self, logits: Tensor, targets: Tensor, positives: Tensor | None) -> Tensor:
        more = {} if positives is None else {"positives": positives.unsqueeze(-2)}
        return self.loss(logits, targets, **more)

    @torch.no_grad()
    def _carries(self, labels: int, device: torch.device) -> bool:
        """Whether two at once have what each has alone."""
        draws = torch.Generator().manual_seed(0)
        logits = torch.randn(2, LANES, labels, generator=draws).to(device)
        targets = (torch.rand(2, LANES, labels, generator=draws) < 0.5).to(logits)
        positives = None if self.positives is None else targets.sum(-2)
        try:
            found = self._loss(logits, targets, positives)
            alone = each(self._loss, 2, logits, targets, positives, apart=True)
            return found.shape == alone.shape and torch.equal(found, alone)
        except Exception:  # whatever a loss makes of one dimension more
            return False


def packed(method: Method, nodes: dict[str, Node], task: Task) -> dict[str, Any]:
    """All that it takes to have this trained method again, in plain types and tensors."""
    nodes = json.loads(json.dumps(nodes, default=str))  # a path is a word
    state = {name: held for name, held in method.state_dict().items() if not discards(method, name)}
    return {"config": nodes, "task": asdict(task), "state": state}


def discards(method: Method, name: str) -> bool:
    """Whether a trained one does without what its state holds under this name."""
    return any(f"{name}.".startswith(f"{part}.") for part in method.discarded)


def unpacked(path: Path) -> tuple[Method, Task]:
    """A trained method from the `model.pt` of a run, and the task it learned.

    Anybody may have made the file: see mlbench.trust for what it may name.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        described = content["task"]
        modalities = tuple(Modality(**modality) for modality in described["modalities"])
        task = Task(**described | {"modalities": modalities})
        with foreign():
            nodes = {role: checked(content["config"][role], role) for role in ("method", "backbone", "loss")}
            for role, node in nodes.items():
                if not fits(role, target(node)):
                    raise UserError(f"it names {node['_target_']} for its {role}, which is none")
            method = build_method(**nodes, task=task)
            untrained = {name: held for name, held in method.state_dict().items() if discards(method, name)}
            method.load_state_dict(untrained | content["state"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run leaves its trained method in model.pt") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # whatever a foreign or broken file makes of itself
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is not the model.pt of a run ({reason})") from error
    return method.eval(), task


def fits(role: str, found: Any) -> bool:
    """Whether this may stand there: a method is one, a backbone or a loss one of ours or the person's own."""
    if role == "method":
        return inspect.isclass(found) and issubclass(found, Method)
    place = {"backbone": "mlbench.backbones", "loss": "mlbench.losses"}[role]
    return callable(found) and (is_named(found) or within(found.__module__ or "", (place,)))
