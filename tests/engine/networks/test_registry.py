"""Networks by name: shapes, sizes counted by hand, same seed same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.errors import ConfigError, UnknownName
from kdcore.networks.convolutional import whiten_
from kdcore.networks.optimizers import parameter_groups
from kdcore.networks.registry import build_model, count_macs, count_params


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mlp-32-16", (1, 8, 8)),
        ("mlp-64", (3, 32, 32)),
        ("convnet-4", (1, 8, 8)),
        ("convnet-8", (3, 32, 32)),
        ("resnet-8", (3, 32, 32)),
        ("resnet-8", (3, 64, 64)),
        ("resnet9-4", (1, 28, 28)),
        ("resnet9-4", (3, 32, 32)),
        ("resnet9-4", (3, 64, 64)),
        ("resnet18-4", (3, 32, 32)),
        ("resnet18-4", (3, 64, 64)),
        ("airbench-4-8", (1, 28, 28)),
        ("airbench-4-8-16", (3, 32, 32)),
        ("airbench-4-8-16-32", (3, 64, 64)),
    ],
)
def test_every_family_gives_logits_of_its_shape(name: str, shape: tuple[int, int, int]) -> None:
    model = build_model(name, shape, 5, seed=0)
    assert model(torch.zeros(2, *shape)).shape == (2, 5)


def test_sizes_worked_by_hand() -> None:
    mlp = build_model("mlp-32-16", (1, 8, 8), 10)
    assert count_params(mlp) == (64 * 32 + 32) + (32 * 16 + 16) + (16 * 10 + 10)
    assert count_macs(mlp, (1, 8, 8)) == 64 * 32 + 32 * 16 + 16 * 10
    convnet = build_model("convnet-4", (3, 32, 32), 8)
    kernels = 9 * (3 * 4 + 4 * 8 + 8 * 16)
    assert count_params(convnet) == kernels + 2 * (4 + 8 + 16) + 16 * 16 * 8 + 8
    macs = 9 * (3 * 4 * 32 * 32 + 4 * 8 * 16 * 16 + 8 * 16 * 8 * 8) + 16 * 16 * 8
    assert count_macs(convnet, (3, 32, 32)) == macs
    # He's network: its published 11.2 million parameters, with ten classes and a 3x3 stem in place of the 7x7 one.
    assert count_params(build_model("resnet18-64", (3, 32, 32), 10)) == 11_173_962
    # Page's network: a 3x3 kernel from each row's left to its right number, at the picture's side.
    steps = [(3, 4, 32), (4, 8, 32), (8, 8, 16), (8, 8, 16), (8, 16, 16), (16, 32, 8), (32, 32, 4), (32, 32, 4)]
    page = build_model("resnet9-4", (3, 32, 32), 10)
    assert count_params(page) == sum(9 * i * o + 2 * o for i, o, _ in steps) + 32 * 10 + 10
    assert count_macs(page, (3, 32, 32)) == sum(9 * i * o * side * side for i, o, side in steps) + 32 * 10


def test_the_whitening_layer_gives_what_numpy_gives_and_does_not_learn() -> None:
    pictures = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(2).sub(1).cumsum(-1)
    model = build_model("airbench-4-8", (3, 8, 8), 5, seed=0)
    assert whiten_(model, pictures)
    layer = next(iter(model.children()))
    assert isinstance(layer, torch.nn.Conv2d)
    outputs = torch.nn.functional.conv2d(pictures, layer.weight).permute(0, 2, 3, 1).reshape(-1, 24)
    # Worked from the patches: the outputs of the first twelve filters are uncorrelated, their variances v / (v + 5e-4).
    patches = np.stack(
        [pictures.numpy()[:, :, y : y + 2, x : x + 2].reshape(40, -1) for y in range(7) for x in range(7)]
    )
    variances = np.linalg.eigvalsh(np.cov(patches.reshape(-1, 12).T.astype(np.float64)))[::-1]
    expected = np.diag(variances / (variances + 5e-4))
    assert np.allclose(np.cov(outputs[:, :12].T.double().numpy()), expected, atol=2e-3)
    assert torch.equal(layer.weight[:12], -layer.weight[12:]), "each direction with both signs"
    trained = [parameter for group in parameter_groups(model, 0.1) for parameter in group["params"]]
    assert not any(parameter is layer.weight for parameter in trained)
    assert any(parameter is layer.bias for parameter in trained)
    assert not whiten_(build_model("convnet-4", (3, 8, 8), 5), pictures), "other networks are left alone"


def test_same_seed_same_weights_and_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build_model("convnet-4", (3, 32, 32), 8, seed=1)
    assert torch.equal(torch.rand(3), expected)
    second = build_model("convnet-4", (3, 32, 32), 8, seed=1)
    third = build_model("convnet-4", (3, 32, 32), 8, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), third.parameters(), strict=True))


@pytest.mark.parametrize("name", ["vit", "mlp", "convnet", "convnet-8-8", "resnet--4", "mlp-64; rm", ""])
def test_names_of_no_family_are_refused_with_the_legal_ones(name: str) -> None:
    with pytest.raises(UnknownName, match="choose one of"):
        build_model(name, (3, 32, 32), 8)


@pytest.mark.parametrize("name", ["mlp-0", "convnet-1", "mlp-999999", "mlp" + "-8" * 9])
def test_widths_that_cannot_be_built_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not buildable"):
        build_model(name, (3, 32, 32), 8)
