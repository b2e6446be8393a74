"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, and with ReLU6, for phones.

Tan and Le 2019, "EfficientNet", table 1, with the changes of the Lite variants in TensorFlow's `tpu` repository
(`efficientnet/lite`). timm has the same network; importing it also imports `huggingface_hub` and its HTTP client, and
takes more time and memory than this file, which only needs torch. Dropout and stochastic depth are left out: the
network is only used with its published weights.
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EFFICIENTNET_LITE0 = "efficientnet-lite0"  # its name in the model registry
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
CPU_BATCH = 16  # pictures that a processor is given at a time; the layers' outputs of more do not fit into its cache
# One row a stage: expansion, output channels, blocks, stride of the first block, side of the depthwise kernel.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class SamePaddedConv(nn.Conv2d):
    """A convolution with TensorFlow's padding "same": where the padding is odd, the extra pixel is right and below."""

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', ceil(H / stride), ceil(W / stride)]
        return super().forward(F.pad(x, (*self._padding(x, 1), *self._padding(x, 0))))

    def _padding(self, x: Tensor, axis: int) -> tuple[int, int]:
        """Pixels to add before and after along an axis: 0 for rows, 1 for columns."""
        size, stride, kernel = x.shape[2 + axis], self.stride[axis], self.kernel_size[axis]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


def _conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias, and batch norm with the constants of the published weights."""
    conv = SamePaddedConv(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)]


class InvertedResidual(nn.Sequential):
    """1x1 expansion, depthwise convolution, 1x1 projection (Sandler et al. 2018, "MobileNetV2", figure 3)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        inner = inputs * expansion
        layers = [*_conv_bn(inputs, inner), nn.ReLU6(inplace=True)] if expansion > 1 else []
        layers += [*_conv_bn(inner, inner, kernel, stride, groups=inner), nn.ReLU6(inplace=True)]
        super().__init__(*layers, *_conv_bn(inner, outputs))
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C', H / stride, W / stride]
        result: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return x + result if self.has_shortcut else result


class EfficientNetLite0(nn.Module):
    """Float pictures [B, C, H, W] -> logits [B, K].

    Args:
        side: pictures are first resized to so many pixels a side, because the published weights see little in small
            ones; None to take them as they are.

    Attributes:
        features: the convolutional part, [B, C, H, W] -> [B, 1280, H / 32, W / 32].
        classifier: the last layer, which takes the mean of the features over all places.
    """

    def __init__(self, channels: int, num_classes: int, side: int | None = None) -> None:
        super().__init__()
        self.side = side
        layers = [*_conv_bn(channels, STEM_CHANNELS, 3, 2), nn.ReLU6(inplace=True)]
        inputs = STEM_CHANNELS
        for expansion, outputs, blocks, first_stride, kernel in STAGES:
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                layers.append(InvertedResidual(inputs, outputs, expansion, stride, kernel))
                inputs = outputs
        layers += [*_conv_bn(inputs, HEAD_CHANNELS), nn.ReLU6(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(HEAD_CHANNELS, num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        if torch.is_grad_enabled() or pictures.device.type != "cpu":
            return self._logits(pictures)
        return torch.cat([self._logits(part) for part in pictures.split(CPU_BATCH)])

    def _logits(self, pictures: Tensor) -> Tensor:
        if self.side is not None:
            pictures = F.interpolate(pictures, size=(self.side, self.side), mode="bilinear", align_corners=False)
        logits: Tensor = self.classifier(self.features(pictures).mean((2, 3)))
        return logits


def is_efficientnet_lite0(name: str) -> bool:
    """Whether a name is `efficientnet-lite0`, or `efficientnet-lite0-N`, whose pictures are resized to N pixels."""
    return re.fullmatch(rf"{EFFICIENTNET_LITE0}(-\d{{2,3}})?", name) is not None


def build_efficientnet_lite0(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """EfficientNet-Lite0 with random weights, for pictures (C, H, W) of any size.

    Args:
        name: as in `is_efficientnet_lite0`.
    """
    side = name.removeprefix(EFFICIENTNET_LITE0).lstrip("-")
    return EfficientNetLite0(image_shape[0], num_classes, int(side) if side else None)
