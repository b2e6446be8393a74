"""Occlusion maps: beside a loop in NumPy, on a network whose answer is known, and on networks that learned nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdcore.datasets import load_dataset
from kdcore.machine.device import pick_device
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.registry import build_model
from kdcore.teachers.load import load_teacher
from kdcore.teachers.occlusion import CELLS, PATCH, OcclusionMaps, falls_when_covered, occlusion_maps
from kdcore.teachers.teacher import Teacher

SIDE = 28
SQUARE = (slice(4, 12), slice(12, 20))  # rows 1 and 2, columns 3 and 4 of the map


class BrightSquare(nn.Module):
    """Three classes: the first one's logit is the brightness of `SQUARE`, the others' do not change."""

    def forward(self, pictures: Tensor) -> Tensor:  # [B, C, H, W] -> [B, 3]
        brightness = pictures[:, :, *SQUARE].mean((1, 2, 3))
        return torch.stack([4 * brightness, torch.zeros_like(brightness), torch.full_like(brightness, 0.5)], 1)


def made(network: nn.Module, class_names: tuple[str, ...]) -> Teacher:
    """A teacher with this network, for colour pictures of `SIDE` pixels; logits are not changed by its calibration."""
    card = replace(
        load_teacher("creatures").card, class_names=class_names, superclasses=class_names, calibration=1.0, crop=1.0
    )
    return Teacher(card, FrozenNetwork(network), pick_device("cpu"))


def random_picture(seed: int = 0) -> Tensor:
    pixels = np.random.default_rng(seed).integers(0, 128, (1, 3, SIDE, SIDE), dtype=np.uint8)
    pixels[0][:, *SQUARE] = 250
    return torch.from_numpy(pixels)


def reference(picture: np.ndarray) -> np.ndarray:
    """The falls of the log-odds of the three classes of `BrightSquare`, pixel by pixel: [3, SIDE, SIDE]."""

    def odds(x: np.ndarray) -> np.ndarray:
        z = np.array([4 * (x[:, *SQUARE].astype(float) / 127.5 - 1).mean(), 0, 0.5])
        p = np.exp(z) / np.exp(z).sum()
        return np.log(p / (1 - p))

    cell = SIDE // CELLS
    total, count = np.zeros((3, SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for top in range(0, SIDE - cell * PATCH + 1, cell):
        for left in range(0, SIDE - cell * PATCH + 1, cell):
            place = (slice(top, top + cell * PATCH), slice(left, left + cell * PATCH))
            covered = picture.copy()
            covered[:, *place] = np.rint(picture.mean((1, 2), keepdims=True))
            total[:, *place] += (odds(picture) - odds(covered))[:, None, None]
            count[place] += 1
    return total / count


def enlarged(maps: OcclusionMaps) -> np.ndarray:
    return maps.falls.numpy().repeat(SIDE // CELLS, 1).repeat(SIDE // CELLS, 2)


def test_the_maps_are_those_of_a_loop_in_numpy() -> None:
    picture = random_picture()
    maps = occlusion_maps(made(BrightSquare(), ("a", "b", "c")), picture, ("a", "b", "c"))
    assert maps.groups == ("a", "b", "c")
    assert torch.equal(maps.picture, picture[0])
    assert enlarged(maps) == pytest.approx(reference(picture.numpy()[0]), abs=1e-5)


def test_the_place_that_decides_lights_up_and_speaks_against_the_others() -> None:
    maps = occlusion_maps(made(BrightSquare(), ("a", "b", "c")), random_picture(), ("a", "b", "c"))
    square = np.zeros((CELLS, CELLS), bool)
    square[1:3, 3:5] = True
    near = np.zeros_like(square)  # what a patch covers that touches the square
    near[0:4, 2:6] = True
    for group, sign in zip(maps.falls.numpy(), (1, -1, -1), strict=True):
        assert (sign * group[square]).min() > np.abs(group[~square]).max()
        assert np.abs(group[~near]).max() < 1e-6


def test_classes_of_one_group_are_summed() -> None:
    """The odds of (a or c) are those of "not b": its map is that of b with the other sign."""
    teacher = made(BrightSquare(), ("a", "b", "c"))
    maps = occlusion_maps(teacher, random_picture(), ("x", "y", "x"))
    single = occlusion_maps(teacher, random_picture(), ("a", "b", "c"))
    assert maps.groups == ("x", "y")
    assert maps.falls[1].numpy() == pytest.approx(single.falls[1].numpy(), abs=1e-9)
    assert maps.falls[0].numpy() == pytest.approx(-single.falls[1].numpy(), abs=1e-9)


def test_several_threads_give_the_same_maps_and_leave_the_callers_threads() -> None:
    picture, threads = random_picture(), torch.get_num_threads()

    def scores(pictures: Tensor) -> Tensor:
        return pictures.double().mean((-2, -1))

    one, three = falls_when_covered(scores, picture, 1), falls_when_covered(scores, picture, 3)
    assert torch.equal(one[0], three[0]) and torch.equal(one[1], three[1])
    assert torch.get_num_threads() == threads


class Constant(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return torch.tensor([3.0, 1.0, -torch.inf]).expand(len(pictures), 3)


def test_a_network_that_does_not_look_has_flat_maps_also_of_a_class_that_is_ruled_out() -> None:
    maps = occlusion_maps(made(Constant(), ("a", "b", "c")), random_picture(), ("a", "b", "c"))
    assert float(maps.falls.abs().max()) == 0.0
    assert bool(maps.log_odds.isfinite().all())


def test_random_weights_have_other_maps() -> None:
    """The check of Adebayo et al. 2018, section 3: a map that stays when the weights change shows nothing of them."""
    teacher, digits = load_teacher("digits"), load_dataset("digits").test
    network = build_model(teacher.card.model, teacher.card.image_shape, 10, seed=3)
    untrained = Teacher(replace(teacher.card, calibration=1.0), FrozenNetwork(network), teacher.device)
    likeness = []
    for image, label in zip(digits.images[:20], digits.hard_labels[:20].tolist(), strict=True):
        pair = [occlusion_maps(one, image[None], teacher.card.class_names) for one in (teacher, untrained)]
        likeness.append(np.corrcoef([one.falls[label].flatten().numpy() for one in pair])[0, 1])
    assert abs(float(np.mean(likeness))) < 0.3


@pytest.mark.parametrize("name", ["digits", "creatures", "cifar10+cifar10-resnet9", "animals"])
def test_every_teacher_has_maps(name: str) -> None:
    teacher = load_teacher(name)
    picture = torch.randint(0, 256, (1, *teacher.card.image_shape), dtype=torch.uint8)
    maps = occlusion_maps(teacher, picture, teacher.card.superclasses)
    cells = min(CELLS, picture.shape[-1])
    assert maps.falls.shape == (len(set(teacher.card.superclasses)), cells, cells)
    assert bool(maps.falls.isfinite().all())


def test_a_picture_of_few_pixels_has_fewer_cells() -> None:
    _, falls = falls_when_covered(lambda x: x.double().mean((-2, -1)), torch.zeros(1, 1, 5, 3, dtype=torch.uint8))
    assert falls.shape == (1, 5, 3)
    assert float(falls.abs().max()) == 0.0
