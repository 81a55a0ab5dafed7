"""Images as training sees them, a little different each time: in training mode alone, drawn from the
replica's own generator, by tensor operations on a whole batch.
"""

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mlbench.layers import Drawing

Share = Annotated[float, Field(ge=0, lt=1)]

DRAWS = 8  # numbers an image, whatever is asked for: to ask for more changes nothing of the rest
GREY = 0.5  # where there is no image
LIGHT = (0.299, 0.587, 0.114)  # of red, green and blue in grey (ITU-R BT.601)


class Changes(BaseModel):
    """What is done to a training image; 0 and false are nothing."""

    model_config = ConfigDict(extra="forbid")

    crop: Share
    flip: bool
    jitter: Share
    cutout: Share


class Augment(Drawing):
    """(..., B, C, H, W), from 0 to 1, changed image by image."""

    def __init__(self, changes: Changes):
        super().__init__()
        self.crop, self.flip = changes.crop, changes.flip
        self.jitter, self.cutout = changes.jitter, changes.cutout

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not (self.crop or self.flip or self.jitter or self.cutout):
            return x
        numbers = x.new_empty(*x.shape[:-3], DRAWS)
        numbers = self.drawn(numbers, lambda part, generator: part.uniform_(generator=generator))
        down, right, mirror, top, left, *light = numbers.unbind(-1)
        if self.crop or self.flip:
            height, width = (round(self.crop * side) for side in x.shape[-2:])
            mirrored = (mirror < 0.5) & self.flip
            x = moved(x, offset(down, height), offset(right, width), mirrored)
        if self.jitter:
            x = lit(x, *(1 + self.jitter * (2 * number - 1) for number in light))
        if self.cutout:
            x = cut_out(x, top, left, self.cutout)
        return x


def offset(number: Tensor, most: int) -> Tensor:
    """A number from [0, 1) as a whole one from -most to most, each as likely."""
    return (number * (2 * most + 1)).floor().long() - most


def moved(x: Tensor, down: Tensor, right: Tensor, mirrored: Tensor) -> Tensor:
    """Each image from another corner of itself on, grey where it ends, then mirrored or not: a random crop of
    an image with a grey margin.
    """
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device) + down.unsqueeze(-1)
    columns = torch.arange(width, device=x.device)
    columns = torch.where(mirrored.unsqueeze(-1), width - 1 - columns, columns) + right.unsqueeze(-1)
    there = within(rows, height).unsqueeze(-1) & within(columns, width).unsqueeze(-2)
    places = rows.clamp(0, height - 1).unsqueeze(-1) * width + columns.clamp(0, width - 1).unsqueeze(-2)
    places = places.flatten(-2).unsqueeze(-2).expand(*x.shape[:-2], -1)
    return x.flatten(-2).gather(-1, places).view_as(x).masked_fill_(~there.unsqueeze(-3), GREY)


def within(places: Tensor, count: int) -> Tensor:
    return (places >= 0) & (places < count)


def lit(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Each image brighter or darker, then nearer to or farther from its mean grey, then from its greys."""
    brightness, contrast, saturation = (
        factor[..., None, None, None] for factor in (brightness, contrast, saturation)
    )
    x = (x * brightness).clamp(0, 1)
    mean = grey(x).mean((-2, -1), keepdim=True)
    x = torch.lerp(mean, x, contrast).clamp(0, 1)
    return torch.lerp(grey(x), x, saturation).clamp(0, 1)


def grey(x: Tensor) -> Tensor:
    """(..., 1, H, W)."""
    return (x * x.new_tensor(LIGHT)[:, None, None]).sum(-3, keepdim=True)


def cut_out(x: Tensor, top: Tensor, left: Tensor, share: float) -> Tensor:
    """A grey square, its middle anywhere in the image (DeVries & Taylor, 2017)."""
    height, width = x.shape[-2:]
    side = round(share * min(height, width))

    def covered(number: Tensor, count: int) -> Tensor:
        first = (number * count).floor().long() - side // 2
        return within(torch.arange(count, device=x.device) - first.unsqueeze(-1), side)

    square = covered(top, height).unsqueeze(-1) & covered(left, width).unsqueeze(-2)
    return x.masked_fill(square.unsqueeze(-3), GREY)
