"""Networks that are kept from relying on single units while they learn (Srivastava et al. 2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 256  # a byte of chance decides for each unit


class ByteDropout(nn.Module):
    """Silences units at random while training, and scales the others so that sums keep their size.

    The chance comes by the byte: `nn.Dropout` draws a number for each unit, which took half of the time of a fully
    connected network's step.

    Attributes:
        chance: where it comes from; PyTorch's global generator, which all threads share, unless another is set.

    Args:
        share: of the units that are silenced, rounded to a 256th.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.silent = round(STEPS * share)
        self.chance: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:  # any shape
        if not self.training:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=self.chance)
        chance = words.view(torch.uint8)[: x.numel()].view(x.shape)
        return x * ((chance >= self.silent).to(x.dtype) * (STEPS / (STEPS - self.silent)))

    def extra_repr(self) -> str:
        return f"share={self.silent / STEPS:.3f}"


def draw_from(network: nn.Module, chance: torch.Generator) -> None:
    """Whatever is silenced in this network is decided by `chance`."""
    for module in network.modules():
        if isinstance(module, ByteDropout):
            module.chance = chance
