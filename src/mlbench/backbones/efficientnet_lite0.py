"""EfficientNet-Lite0, whose weights from ImageNet are trained on: all, those of the last blocks, or none."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mlbench.backbones.augment import Changes
from mlbench.backbones.base import Rate
from mlbench.backbones.images import OfImages
from mlbench.data.task import Task
from mlbench.encoders.efficientnet_lite0 import weights_file
from mlbench.encoders.lite0 import WIDTH, Lite0, lite0

Blocks = Annotated[int, Field(ge=1, le=16)]


class EfficientNetLite0(OfImages):
    """`train`: all, none, or how many of its last blocks; what is not trained stays in evaluation mode."""

    def __init__(
        self,
        task: Task,
        train: Literal["all", "none"] | Blocks,
        rate: Rate,
        augment: Changes,
    ):
        super().__init__(augment, rate)
        self.network, self.width = lite0(str(weights_file())), WIDTH
        del self.network._fc  # names ImageNet's classes
        self.blocks = tuple(self.network._blocks)
        self.freeze(frozen_parts(self.network, train))

    def features(self, x: Tensor) -> Tensor:
        return self.network.features((255 * x - 127) / 128)


def frozen_parts(network: Lite0, train: str | int) -> tuple[nn.Module, ...]:
    blocks = tuple(network._blocks)
    if train == "all":
        return ()
    if train == "none":
        return (network,)
    return network._conv_stem, network._bn0, *blocks[: len(blocks) - int(train)]
