"""What methods share that recover label distributions of the training rows, then teach a classifier."""

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.layers import Linear
from mlbench.methods.base import Learner, Parts, Stage
from mlbench.methods.enhancement.classifier import EnhancementMethod

CONSTANT = {"_target_": None}  # schedule of a stage whose rate stays as it is


class Recovered(EnhancementMethod):
    """f is trained with L_CLS on distributions that stay as they are. Subclasses say how to recover them.

    Recovery does not depend on w_ld: runs whose `settings` and first weights are equal share its fits.
    """

    settings: BaseModel

    def recover(self, data: Rows) -> Generator[Stage, None, Tensor]:
        """The fits that recover distributions; returns their logarithms, (N, L), none of them infinite."""
        raise NotImplementedError(f"{type(self).__name__} recovers nothing")

    def learn(self, data: Parts) -> Iterator[Stage]:
        log_d = yield from self.recover(data["train"])
        self.recovered = log_d.exp()
        yield Stage("train", self, replace(data["train"], extra={"log_d": log_d}))

    def stage(self, name: str, module: "Recovering", data: Rows, epochs: int, batch_size: int) -> Stage:
        """A fit before f's, in passes and at a constant rate, that selects no epoch."""
        return Stage(
            name,
            module,
            data,
            epochs=epochs,
            batch_size=batch_size,
            walk="passes",
            optimizer=module.optimizer,
            scheduler=CONSTANT,
            selects=False,
            shared=self.described | {"begins": digest(module)},
        )

    @property
    def described(self) -> dict[str, Any]:
        """Method and options of the recovery, for the keys of its stages."""
        return {"recovers": type(self).__name__, "settings": self.settings.model_dump()}

    def loss(self, batch: Batch) -> Tensor:
        logits = self.logits(batch)
        return self.classification(logits, logits.log_softmax(-1), batch.targets, batch.extra["log_d"])


class Recovering(Learner):
    """A module that recovers distributions. Its biases decay as its weights do, as in both authors' codes."""

    def __init__(self, optimizer: dict[str, Any]):
        super().__init__()
        self.optimizer = optimizer

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": [*self.parameters()], "weight_decay": self.optimizer.get("weight_decay", 0.0)}]


def digest(module: nn.Module) -> str:
    """Hash of a module's state: its first weights are drawn after a backbone's, so they depend on it."""
    content = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        content.update(name.encode() + tensor.cpu().numpy().tobytes())
    return content.hexdigest()[:16]


def xavier(module: nn.Module) -> nn.Module:
    """Draws matrices of linear layers normal with variance 2 / (rows + columns); biases become .01."""
    for part in module.modules():
        if isinstance(part, Linear):
            nn.init.xavier_normal_(part.weight)
            nn.init.constant_(part.bias, 0.01)
    return module


def entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each entry."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
