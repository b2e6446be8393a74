"""The tutorial's two networks, and the same numbers shown to them by both sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from kdcore.datasets.base import Dataset
from kdcore.experiments.bench import reference
from kdcore.experiments.bench.networks import Renormalised, build_deep, build_light
from kdcore.networks.registry import count_params
from kdcore.pictures.views import to_float
from tests.engine.experiments.bench.small_plan import inputs


def test_the_networks_are_the_tutorials() -> None:
    assert count_params(build_deep(0)) == 1_186_986
    assert count_params(build_light(0)) == 267_738
    for network, outputs, widest in ((build_deep(0), [128, 64, 64, 32], 2048), (build_light(0), [16, 16], 1024)):
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
        assert [layer.out_channels for layer in network if isinstance(layer, nn.Conv2d)] == outputs
        assert next(layer for layer in network if isinstance(layer, nn.Linear)).in_features == widest
        assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.1]


@pytest.mark.parametrize("build", [build_deep, build_light])
def test_lean_networks_compute_the_same(build: Callable[..., nn.Module]) -> None:
    plain, lean = build(3, dropout=0.0), build(4, dropout=0.0, lean=True)
    lean.load_state_dict(plain.state_dict())  # the same names
    kinds = [[type(layer) for layer in network] for network in (plain, lean)]
    assert kinds[0] != kinds[1] and all(layer.inplace for layer in lean if isinstance(layer, nn.ReLU))
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers, slopes = [], []
    for network in (plain, lean):
        answers.append(network(pictures))
        slopes.append(torch.autograd.grad(answers[-1].square().sum(), list(network.parameters())))
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-6, atol=1e-7)
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def test_both_sides_show_the_same_numbers_to_a_network(small: Dataset) -> None:
    images = small.train.images[:5]
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            seen.append(pictures)
            return pictures

    Renormalised(Spy())(to_float(images))
    pictures = reference.PictureDataset(images.numpy(), small.train.hard_labels.numpy())
    plain = torch.stack([pictures[row][0] for row in range(5)])
    for found in (seen[0], plain):
        np.testing.assert_allclose(found.numpy(), inputs(images), atol=1e-5)
