"""Building blocks of convolutional networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kdcore.networks.convolutional import BasicBlock, Subsampled1x1

ROOT = Path(__file__).parents[3]

# Narrow residual blocks, trained as runs train them. A write beyond a buffer shows when the memory is used again.
NARROW = """
import torch
from kdcore.networks.convolutional import BasicBlock
torch.set_num_threads(1)
for width in range(1, 9):
    block = BasicBlock(width, 16, stride=2).to(memory_format=torch.channels_last)
    pictures = torch.randn(40, width, 8, 8).contiguous(memory_format=torch.channels_last)
    for _ in range(100):
        pictures = pictures.detach().requires_grad_()
        block(pictures).sum().backward()
        block.zero_grad(set_to_none=True)
"""


def test_narrow_residual_blocks_do_not_crash_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", NARROW], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("side", [8, 7])
def test_the_subsampled_convolution_agrees_with_numpy(side: int) -> None:
    torch.manual_seed(0)
    conv = Subsampled1x1(4, 8, 1, 2, bias=False)
    pictures = torch.randn(3, 4, side, side, requires_grad=True)
    out = conv(pictures)
    out.square().sum().backward()
    weight, read = conv.weight.detach().numpy()[..., 0, 0], pictures.detach().numpy()[..., ::2, ::2]
    wanted = np.einsum("oc,bcij->boij", weight, read)
    np.testing.assert_allclose(out.detach().numpy(), wanted, atol=1e-5)
    gradient = np.zeros(pictures.shape, np.float32)
    gradient[..., ::2, ::2] = np.einsum("oc,boij->bcij", weight, 2 * wanted)
    np.testing.assert_allclose(pictures.grad, gradient, atol=1e-4)
    np.testing.assert_allclose(
        conv.weight.grad[..., 0, 0], np.einsum("boij,bcij->oc", 2 * wanted, read), rtol=1e-4, atol=1e-3
    )


def test_only_narrow_blocks_are_computed_so() -> None:
    assert isinstance(BasicBlock(4, 8, 2).shortcut[0], Subsampled1x1)
    assert type(BasicBlock(8, 16, 2).shortcut[0]) is nn.Conv2d
    assert set(BasicBlock(4, 8, 2).state_dict()) == set(BasicBlock(8, 16, 2).state_dict())
