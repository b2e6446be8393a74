"""Dropout that draws bytes: shares, sizes, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.dropout import ByteDropout
from kdcore.fully_connected import Ink
from kdcore.models import build_model


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_as_many_units_are_silent_as_asked_for_and_sums_keep_their_size(share: float) -> None:
    layer, x = ByteDropout(share).train(), torch.ones(501, 201)  # not a multiple of the 8 bytes of a word
    torch.manual_seed(0)
    y = layer(x)
    exact = round(256 * share) / 256
    assert set(np.unique(y.numpy()).round(5)) == {0.0, np.float32(1 / (1 - exact)).round(5)}
    spread = (share * (1 - share) / x.numel()) ** 0.5
    assert float((y == 0).double().mean()) == pytest.approx(exact, abs=5 * spread)
    assert (
        float((y[:, :100] == 0).double().mean(0).std()) < 3 * (share * (1 - share) / 501) ** 0.5
    )  # no column is special
    torch.manual_seed(0)
    assert torch.equal(layer(x), y)
    assert not torch.equal(layer(x), y)
    assert torch.equal(layer.eval()(x), x)


def test_only_units_that_speak_learn() -> None:
    x = torch.randn(64, 32, requires_grad=True)
    y = ByteDropout(0.5).train()(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.where(y == 0, 0.0, 2.0))


def test_a_silenced_pixel_is_empty_paper() -> None:
    network = build_model("dropoutmlp-8-8", (1, 4, 4), 10, seed=0)
    blank = torch.full((3, 1, 4, 4), -1.0)
    ink = next(layer for layer in network.modules() if isinstance(layer, Ink))
    assert not ink(blank).any()
    # Without ink the first layer sees nothing, whatever is silenced: all answers agree up to the hidden units.
    first = network[:4] if isinstance(network, torch.nn.Sequential) else pytest.fail("a plain stack of layers")
    answers = first.train()(blank)
    assert torch.equal(answers, answers[:1].expand(3, -1))
