"""What backbones for images share: augmentation, and a learning rate of their own."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from mlbench.backbones.augment import Augment, Changes
from mlbench.backbones.base import Network
from mlbench.data.task import Kind

Rate = Annotated[float, Field(gt=0)]


class OfImages(Network):
    """A subclass has `features`, (B, C, H, W) → (B, width)."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"image"})

    def __init__(self, augment: Changes, rate: Rate):
        super().__init__()
        self.augment, self.rate = Augment(Changes.model_validate(augment)), rate

    def features(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self.features(self.augment(x))

    def parameter_groups(self) -> list[dict[str, Any]]:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": trained, "rate": self.rate}] if trained and self.rate != 1 else []
