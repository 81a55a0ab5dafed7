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
from mlbench.methods.enhancement.classifier import Classifier

CONSTANT = {"_target_": None}  # schedule of a stage whose rate stays as it is


class Recovered(Classifier):
    """f is trained with L_CLS on distributions that stay as they are. Subclasses say how to recover them.

    What recovers them knows nothing of w_ld: runs that differ in no option of `settings` share its fits.
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
        """What recovers the distributions, for the keys of its stages."""
        return {"recovers": type(self).__name__, "settings": self.settings.model_dump()}

    def loss(self, batch: Batch) -> Tensor:
        return self.classification(self.logits(batch), batch.targets, batch.extra["log_d"])


class Recovering(Learner):
    """Decays its biases as its weights, as both authors' codes do."""

    def __init__(self, optimizer: dict[str, Any]):
        super().__init__()
        self.optimizer = optimizer

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": [*self.parameters()], "weight_decay": self.optimizer.get("weight_decay", 0.0)}]


def digest(module: nn.Module) -> str:
    """Of all that a module holds: its first weights are drawn after those of a backbone, whatever that is."""
    found = hashlib.sha256()
    for name, own in module.state_dict().items():
        found.update(name.encode() + own.cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def xavier(module: nn.Module) -> nn.Module:
    """Every matrix in it normal with variance 2 / (rows + columns), every bias of a linear layer .01."""
    for part in module.modules():
        if isinstance(part, Linear):
            nn.init.xavier_normal_(part.weight)
            nn.init.constant_(part.bias, 0.01)
    return module


def entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each entry."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
