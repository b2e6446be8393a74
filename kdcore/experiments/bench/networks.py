"""The two networks of PyTorch's knowledge-distillation tutorial (A. Chariton, pytorch.org/tutorials), rewritten.

They take pictures of 32 x 32 pixels in the tutorial's normalisation, float [B, 3, 32, 32], and return logits [B, 10].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.networks.seeded import SeededDraws

NUM_CLASSES = 10
DROPOUT = 0.1
# The tutorial's mean and standard deviation of each channel, for pixels from 0 to 1 (they are ImageNet's).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def build_deep(seed: int, dropout: float = DROPOUT, lean: bool = False) -> nn.Module:
    """Build the tutorial's teacher (`DeepNN`): four convolutions, 1,186,986 parameters; `lean` saves memory."""
    return _build((128, 64, 0, 64, 32, 0), 512, seed, dropout, lean)


def build_light(seed: int, dropout: float = DROPOUT, lean: bool = False) -> nn.Module:
    """Build the tutorial's student (`LightNN`): two convolutions, 267,738 parameters; `lean` saves memory."""
    return _build((16, 0, 16, 0), 256, seed, dropout, lean)


def _build(stages: tuple[int, ...], hidden: int, seed: int, dropout: float, lean: bool) -> nn.Module:
    """Build 3x3 convolutions and poolings, followed by two linear layers.

    Args:
        stages: output channels of each convolution; 0 for a pooling that halves the picture.
        hidden: units of the first linear layer.
        lean: compute the same in less memory: ReLU works in place, and after a pooling instead of before it, on a
            quarter of the numbers (max pooling and ReLU commute). Parameter names must be equal either way, because
            weights are copied between the two forms.
    """
    with SeededDraws(seed):
        layers: list[nn.Module] = []
        channels, side = 3, 32
        for outputs in stages:
            if outputs:
                layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=lean)]
                channels = outputs
            else:
                layers.insert(len(layers) - lean, nn.MaxPool2d(2))
                side //= 2
        head = [nn.Linear(channels * side * side, hidden), nn.ReLU(inplace=lean), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(hidden, NUM_CLASSES))


class Renormalised(nn.Module):
    """A network of the tutorial with the engine's input format: float [B, 3, 32, 32] in -1 to 1.

    It converts the pictures to the tutorial's normalisation, so that both loops feed the same numbers to the same
    networks.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.network(torch.addcmul(self.shift, pictures, self.scale))
        return logits
