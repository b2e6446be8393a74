"""A network that is only asked for its logits: its weights and buffers never change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.pictures.views import zoom_middle


class FrozenNetwork(nn.Module):
    """A network that always stays in eval mode and computes no gradients.

    It sees only the middle of each picture, `crop` (0 to 1) of each side, enlarged to the whole.
    """

    def __init__(self, network: nn.Module, crop: float = 1.0) -> None:
        super().__init__()
        self.crop = crop
        self.network = network.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> FrozenNetwork:
        """Ignore `mode` and stay in eval mode, so that batch-norm statistics and dropout never change the logits."""
        return self

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, K]
        with torch.inference_mode():
            logits: Tensor = self.network(zoom_middle(pictures, self.crop))
        return logits
