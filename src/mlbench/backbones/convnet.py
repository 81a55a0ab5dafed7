"""A small convolutional network, trained from scratch."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from mlbench.backbones.augment import Changes
from mlbench.backbones.base import Rate
from mlbench.backbones.images import OfImages
from mlbench.data.task import Task

GROUPS = 8  # of channels that are normalised together: a row's features depend on no other row

Width = Annotated[int, Field(ge=GROUPS, multiple_of=GROUPS)]


class ConvNet(OfImages):
    """Blocks of a 3 × 3 convolution, the first of which goes `stride` pixels at a time, group norm (Wu & He,
    ECCV 2018) and ReLU; between two blocks the sides are halved. The mean over all places.
    """

    def __init__(
        self,
        task: Task,
        widths: Annotated[list[Width], Field(min_length=1)],
        stride: Annotated[int, Field(ge=1, le=4)],
        rate: Rate,
        augment: Changes,
    ):
        super().__init__(augment, rate)
        before = task.shape[0]
        blocks: list[nn.Module] = []
        for number, width in enumerate(widths):
            if number:
                blocks.append(nn.MaxPool2d(2, ceil_mode=True))
            convolution = nn.Conv2d(before, width, 3, 1 if number else stride, padding=1, bias=False)
            blocks += [convolution, nn.GroupNorm(GROUPS, width), nn.ReLU()]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.width = before

    def features(self, x: Tensor) -> Tensor:
        return self.blocks(2 * x - 1).mean((-2, -1))
