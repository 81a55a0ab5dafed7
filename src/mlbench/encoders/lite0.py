"""EfficientNet-Lite0 as a torch module: the names of its weights are those of the published file.

EfficientNet (Tan & Le, ICML 2019) without squeeze and excitation, with ReLU6; padded as TensorFlow pads.
"""

import torch
from torch import Tensor, nn

EPSILON = 1e-3  # of batch normalisation, as the weights were trained
# Blocks in a row, kernel, stride of the first, widening, channels out: as efficientnet_lite_builder has them.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
WIDTH = 1280


class Convolution(nn.Conv2d):
    """Padded to ceil(side / stride) places a side; of an odd number of zeros the end gets the larger half."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(channels, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        sides = [half for pad in reversed(pads) for half in (pad // 2, pad - pad // 2)]
        return super().forward(nn.functional.pad(x, sides))


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow again; added to the input where both have one shape."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, widening: int):
        super().__init__()
        wide = channels * widening
        if widening > 1:
            self._expand_conv = Convolution(channels, wide, 1)
            self._bn0 = nn.BatchNorm2d(wide, EPSILON)
        self._depthwise_conv = Convolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, EPSILON)
        self._project_conv = Convolution(wide, out, 1)
        self._bn2 = nn.BatchNorm2d(out, EPSILON)
        self.widens, self.adds = widening > 1, stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        inner = nn.functional.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        inner = nn.functional.relu6(self._bn1(self._depthwise_conv(inner)))
        inner = self._bn2(self._project_conv(inner))
        return x + inner if self.adds else inner


class Lite0(nn.Module):
    def __init__(self):
        super().__init__()
        self._conv_stem = Convolution(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, EPSILON)
        blocks, channels = [], 32
        for count, kernel, stride, widening, out in STAGES:
            for number in range(count):
                blocks.append(InvertedResidual(channels, out, kernel, 1 if number else stride, widening))
                channels = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = Convolution(channels, WIDTH, 1)
        self._bn1 = nn.BatchNorm2d(WIDTH, EPSILON)
        self._fc = nn.Linear(WIDTH, 1000)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1280) of images (B, 3, H, W), values (x - 127) / 128."""
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return nn.functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 1000) of ImageNet's classes."""
        return self._fc(self.features(x))


def lite0(path: str) -> Lite0:
    network = Lite0()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
