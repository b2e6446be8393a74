"""A network that is only asked for its logits: its weights and buffers never change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.pictures.views import zoom_middle


class FrozenNetwork(nn.Module):
    """A network that always stays in eval mode and computes no gradients.

    It sees only the middle of each picture, `crop` (0 to 1) of each side, enlarged to the whole. Its logits are the
    network's, or those at the places `columns` (int64 [K]), which bring the classes into another order.
    """

    columns: Tensor | None

    def __init__(self, network: nn.Module, crop: float = 1.0, columns: Tensor | None = None) -> None:
        super().__init__()
        self.crop = crop
        self.register_buffer("columns", columns, persistent=False)  # as a buffer it moves to other devices
        self.network = network.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> FrozenNetwork:
        """Ignore `mode` and stay in eval mode, so that batch-norm statistics and dropout never change the logits."""
        return self

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, K]
        with torch.inference_mode():
            logits: Tensor = self.network(zoom_middle(pictures, self.crop))
        return logits if self.columns is None else logits[:, self.columns]
