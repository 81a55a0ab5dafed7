"""Builds a method from its configuration, and a trained one from a file."""

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
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
    """The method for a task; it gets the backbone and the loss if its signature names them."""
    supplied = {
        "task": task,
        "backbone": functools.partial(build_backbone, backbone),
        "loss": build_loss(loss, task),
    }
    parameters = inspect.signature(target(method)).parameters
    return target(method)(
        **{name: value for name, value in supplied.items() if name in parameters}, **options(method)
    )


def build_backbone(node: Node, task: Task, **changed: Any) -> nn.Module:
    """A backbone for the task, or for one modality of it; checked, since it may be a person's own."""
    network = target(node)(task, **options(node) | changed)
    setting = f"backbone._target_={node['_target_']}"
    if not isinstance(network, nn.Module):
        raise UserError(f"{setting}: it is no torch module, so no optimiser would find its weights")
    if getattr(network, "gives", "features") == "features" and not isinstance(
        getattr(network, "width", None), int
    ):
        raise UserError(f"{setting}: it has no width, the length of the vectors it gives")
    return network


def check_method(path: str, kind: Any) -> None:
    """Refuses a method._target_ that cannot be trained and scored."""
    if not (inspect.isclass(kind) and issubclass(kind, Method)):
        raise UserError(f"method._target_={path}: no mlbench.methods.base.Method")
    if kind.scores is Method.scores:
        raise UserError(f"method._target_={path}: it has no scores(batch), which is what is measured")
    if kind.loss is Method.loss and kind.stages is Method.stages:
        raise UserError(f"method._target_={path}: it has no loss(batch), and no stages(data) that need none")


def build_loss(loss: Node, task: Task) -> Loss:
    """The loss for a task; it gets the label statistics that its signature names."""
    parameters = inspect.signature(target(loss)).parameters
    known = {"instances": task.instances} if "instances" in parameters else {}
    bound = functools.partial(target(loss), **options(loss), **known)
    return Objective(bound, task.positives if "positives" in parameters else None)


def leaves_out(loss: Node) -> bool:
    """Whether the loss is a sum over entries, from which unknown ones can be left out."""
    return "known" in inspect.signature(target(loss)).parameters


class Objective(nn.Module):
    """A loss, with each label's positives if it names them. A loss that takes no dimension before (B, L) is
    called for one replica after the other, and gives (R,).

    Positives are a buffer, so that they move with the method and each replica has its own. They are in no
    state dict, since the task has them.
    """

    positives: Tensor | None

    def __init__(self, loss: Callable[..., Tensor], positives: Sequence[int] | None):
        super().__init__()
        self.loss = loss
        buffer = None if positives is None else torch.tensor(positives, dtype=torch.float32)
        self.register_buffer("positives", buffer, persistent=False)
        self.carries: bool | None = None  # whether the loss takes dimensions before (B, L), once known

    def forward(self, logits: Tensor, targets: Tensor, known: Tensor | None = None) -> Tensor:
        """`known` (..., B, L) is 0 for an entry to leave out, of a loss that `leaves_out`, else 1."""
        if logits.ndim > 2 and self.carries is None:
            self.carries = self._carries(logits.shape[-1], logits.device)
        return each(self._loss, 2, logits, targets, self.positives, known, apart=not self.carries)

    def _loss(
        self, logits: Tensor, targets: Tensor, positives: Tensor | None, known: Tensor | None = None
    ) -> Tensor:
        more = {} if positives is None else {"positives": positives.unsqueeze(-2)}
        return self.loss(logits, targets, **more | ({} if known is None else {"known": known}))

    @torch.no_grad()
    def _carries(self, labels: int, device: torch.device) -> bool:
        """Whether two replicas at once have the losses that each has alone."""
        draws = torch.Generator().manual_seed(0)
        logits = torch.randn(2, LANES, labels, generator=draws).to(device)
        targets = (torch.rand(2, LANES, labels, generator=draws) < 0.5).to(logits)
        positives = None if self.positives is None else targets.sum(-2)
        try:
            at_once = self._loss(logits, targets, positives)
            alone = each(self._loss, 2, logits, targets, positives, apart=True)
            return at_once.shape == alone.shape and torch.equal(at_once, alone)
        except Exception:  # a loss may fail in any way on one more dimension
            return False


def packed(method: Method, nodes: dict[str, Node], task: Task) -> dict[str, Any]:
    """All that it takes to build this trained method again, in plain types and tensors."""
    nodes = json.loads(json.dumps(nodes, default=str))  # a path becomes text
    nodes["backbone"] |= dict.fromkeys(getattr(target(nodes["backbone"]), "at_first", ()))
    state = {name: tensor for name, tensor in method.state_dict().items() if not discards(method, name)}
    return {"config": nodes, "task": asdict(task), "state": state}


def discards(method: Method, name: str) -> bool:
    """Whether only training needs the tensor of this name, so that model.pt leaves it out."""
    return any(f"{name}.".startswith(f"{part}.") for part in method.discarded)


def opened(path: Path) -> dict[str, Any]:
    """What a `model.pt` holds, tensors and plain types. Anybody may have made the file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run leaves its trained method in model.pt") from None
    except UnpicklingError as error:
        more = "it holds more than tensors and plain types"
        raise UserError(f"{path} is not the model.pt of a run: {more}") from error
    except Exception as error:  # a damaged file may fail in any way
        raise not_of_a_run(path, error) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not the model.pt of a run: it holds a {type(content).__name__}")
    return content


def unpacked(path: Path, content: dict[str, Any] | None = None) -> tuple[Method, Task]:
    """A trained method from the `model.pt` of a run, and the task it learned; `content` where it is open.

    See mlbench.trust for what the file may name.
    """
    content = opened(path) if content is None else content
    try:
        described = content["task"]
        modalities = tuple(Modality(**modality) for modality in described["modalities"])
        task = Task(**described | {"modalities": modalities})
        with foreign():
            nodes = {role: checked(content["config"][role], role) for role in ("method", "backbone", "loss")}
            for role, node in nodes.items():
                if not fits(role, target(node)):
                    raise UserError(f"it names {node['_target_']} for its {role}, which is none")
            method = build_method(**nodes, task=task)
            untrained = {
                name: tensor for name, tensor in method.state_dict().items() if discards(method, name)
            }
            method.load_state_dict(untrained | content["state"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # a foreign or broken file may fail in any way
        raise not_of_a_run(path, error) from error
    return method.eval(), task


def not_of_a_run(path: Path, error: Exception) -> UserError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return UserError(f"{path} is not the model.pt of a run ({reason})")


def fits(role: str, piece: Any) -> bool:
    """Whether a piece may have this role: a method by its class; a backbone or a loss by its room, or because
    the person named its module.
    """
    if role == "method":
        return inspect.isclass(piece) and issubclass(piece, Method)
    room = {"backbone": "mlbench.backbones", "loss": "mlbench.losses"}[role]
    return callable(piece) and (is_named(piece) or within(piece.__module__ or "", (room,)))
