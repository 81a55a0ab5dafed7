"""What methods of label enhancement share: a classifier f that learns labels and label distributions (FLEM,
IJCAI 2022, Eq. 10). f alone predicts.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.layers import Linear, product
from mlbench.methods.base import Backbone, Loss, Method, Parts, Stage

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
ROWS = 4096  # of a block: a sparse data set is never dense as a whole


class EnhancementMethod(Method):
    """Subclasses say where the label distributions come from."""

    w_ld: Tensor
    recovered: Tensor | None = None  # label distributions of the training rows, once it is trained

    def __init__(self, task: Task, backbone: Backbone, loss: Loss, w_ld: Share, bias_decay: Weight):
        super().__init__()
        self.backbone = backbone(task)
        self.head = Linear(self.backbone.width, len(task.labels))
        if not [*self.backbone.parameters()]:
            kaiming(self.head)
        self.objective = loss
        self.bias_decay = bias_decay
        # A weight is a tensor, so that replicas with weights of their own are one module.
        self.register_buffer("w_ld", torch.tensor(w_ld), persistent=False)

    def stages(self, data: Parts) -> Iterator[Stage]:
        check(data)
        yield from self.learn(data)

    def learn(self, data: Parts) -> Iterator[Stage]:
        """The fits that train the method, in order."""
        yield from super().stages(data)

    def findings(self) -> dict[str, dict[str, Tensor]]:
        return {} if self.recovered is None else {"distributions": {"degrees": self.recovered}}

    def logits(self, batch: Batch) -> Tensor:
        return self.head(self.backbone(batch.x))

    def scores(self, batch: Batch) -> Tensor:
        return self.logits(batch).sigmoid()

    def classification(self, logits: Tensor, log_p: Tensor, targets: Tensor, log_d: Tensor) -> Tensor:
        """L_CLS (Eq. 10). `log_p` is the logits' log-softmax, `log_d` that of label distributions."""
        apart = divergence(log_d.detach(), log_p)  # L_LD, Eq. 9
        return self.w_ld * apart + (1 - self.w_ld) * self.objective(logits, targets)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The biases with a weight decay of `bias_decay`, unless it is 0: then conf/train decides."""
        biases = [
            parameter
            for name, parameter in self.named_parameters()
            if name.endswith("bias") and parameter.requires_grad
        ]
        return [{"params": biases, "weight_decay": self.bias_decay}] if self.bias_decay else []


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) of distributions over labels, given by their logarithms (..., B, L); mean over instances."""
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean(-1)


def products(rows: Tensor) -> Tensor:
    """Inner products of all pairs of rows, (..., B, B)."""
    rows = rows.unsqueeze(-3)  # a block of one, so that one module multiplies as R do
    return product(rows, rows.mT).squeeze(-3)


def blocks(data: Rows) -> Iterator[Batch]:
    """All rows, in their order, in blocks of nearly the same size."""
    for rows in torch.arange(len(data), device=data.device).tensor_split(-(-len(data) // ROWS)):
        yield data.batch(rows)


def kaiming(module: nn.Module) -> nn.Module:
    """Draws the matrix of every linear layer normal with variance 2 / columns; its bias becomes 0."""
    for part in module.modules():
        if isinstance(part, Linear):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
    return module


def check(data: Parts) -> None:
    """Refuses training rows without a negative label, and validation rows without a positive one."""
    if data["train"].targets.all():
        raise UserError(
            "every label is positive in every training row, which leaves nothing to learn: use other labels, "
            "or method=prior"
        )
    validation = data.get("validation")
    if validation is not None and not validation.targets.any():
        raise UserError(
            f"no label is positive in any of the {len(validation)} validation rows, which would choose a "
            "model that finds none: use a larger part (split.validation), another seed, or split.validation=0"
        )
