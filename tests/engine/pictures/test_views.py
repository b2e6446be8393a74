"""Views against NumPy: shifting repeats the edge, mirroring mirrors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from kdcore.machine.torchvision_import import transforms
from kdcore.pictures.views import RandomViews, ViewSet, resize_images, to_float


def shifted(image: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Move a [C, H, W] picture down by dy and right by dx, repeating its edge."""
    pad = max(abs(dy), abs(dx))
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    height, width = image.shape[1:]
    return padded[:, pad - dy : pad - dy + height, pad - dx : pad - dx + width]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(256, (18, 3, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_every_view_is_a_shift_of_the_mirrored_or_plain_picture(images: torch.Tensor) -> None:
    views = ViewSet(flip=True, shift=2)
    assert len(views) == 18
    for number, (dy, dx, mirrored) in enumerate(views.offsets):
        source = images.numpy()[..., ::-1] if mirrored else images.numpy()
        expected = np.stack([shifted(picture, dy, dx) for picture in source])
        assert np.array_equal(views.apply(images, number).numpy(), expected)


def test_view_zero_is_the_picture(images: torch.Tensor) -> None:
    assert torch.equal(ViewSet(flip=True, shift=2).apply(images, 0), images)


def test_a_view_of_its_own_for_each_picture_is_the_same_view(images: torch.Tensor) -> None:
    views = ViewSet(flip=True, shift=2)
    chosen = torch.arange(18)
    together = views.apply_each(images, chosen)
    for row in range(18):
        assert torch.equal(together[row], views.apply(images[row : row + 1], row)[0])


def test_to_float_spans_minus_one_to_one() -> None:
    values = to_float(torch.tensor([0, 255], dtype=torch.uint8))
    assert values.tolist() == [-1.0, 1.0]


def test_random_views_without_any_change_are_the_picture(images: torch.Tensor) -> None:
    square = images[..., :6, :]
    views = RandomViews(flip=False).apply(square, torch.Generator().manual_seed(0))
    torch.testing.assert_close(views, to_float(square), atol=1e-5, rtol=0)


def test_random_views_come_from_their_generator_alone(images: torch.Tensor) -> None:
    recipe = RandomViews(flip=True, zoom=0.7, shift=0.1, light=0.2)
    first = recipe.apply(images, torch.Generator().manual_seed(1), size=10)
    again = recipe.apply(images, torch.Generator().manual_seed(1), size=10)
    other = recipe.apply(images, torch.Generator().manual_seed(2), size=10)
    assert first.shape == (18, 3, 10, 10)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_shifts_without_zoom_are_whole_pixels_of_the_reflected_picture(images: torch.Tensor) -> None:
    square = images[..., :6, :]
    views = RandomViews(flip=True, shift=1 / 3).apply(square, torch.Generator().manual_seed(3)).numpy()
    padded = np.pad(square.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric") / 127.5 - 1
    seen = set()
    for picture, view in zip(padded, views, strict=True):
        fits = [
            (dy, dx, mirrored)
            for mirrored in (False, True)
            for dy in range(5)
            for dx in range(5)
            if np.allclose(picture[:, dy : dy + 6, dx : dx + 6][..., :: -1 if mirrored else 1], view, atol=1e-4)
        ]
        assert fits
        seen.add(fits[0])
    assert len(seen) > 10  # and not always the same one


def test_cutout_greys_a_square_and_nothing_else() -> None:
    bright = torch.full((64, 3, 16, 16), 255, dtype=torch.uint8)
    views = RandomViews(flip=False, cutout=0.25).apply(bright, torch.Generator().manual_seed(0))
    hidden = views == 0
    assert torch.equal(views[~hidden], torch.ones_like(views[~hidden]))
    assert (hidden[:, 0] == hidden[:, 1]).all()
    for mask in hidden[:, 0]:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert int(mask.sum()) == len(rows) * len(columns)  # a rectangle
        assert 2 <= len(rows) <= 4  # a square of 4, cut off at the edge
    assert max(int(mask.sum()) for mask in hidden[:, 0]) == 16


def test_a_turned_view_is_what_pillow_turns(images: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    smooth = (
        torch.nn.functional.interpolate(images[:, :, :6].float(), size=(64, 64), mode="bicubic").clamp(0, 255).byte()
    )
    views = RandomViews(flip=False, turn=40).apply(smooth, generator)
    again = torch.Generator().manual_seed(0)
    torch.rand(18, 6, generator=again)
    angles = 40 * (2 * torch.rand(18, 3, generator=again)[:, 0] - 1)
    for picture, view, angle in zip(smooth, views, angles, strict=True):
        turned = Image.fromarray(picture.permute(1, 2, 0).numpy()).rotate(float(angle), Image.Resampling.BILINEAR)
        expected = np.asarray(turned).transpose(2, 0, 1) / 127.5 - 1
        middle = (slice(None), slice(20, 44), slice(20, 44))  # a disc that no corner of the picture leaves
        assert np.abs(view.numpy()[middle] - expected[middle]).mean() < 0.02
    assert angles.abs().max() > 20


def test_stretching_changes_the_ratio_and_colour_only_the_saturation() -> None:
    cross = torch.zeros(32, 3, 64, 64, dtype=torch.uint8)
    cross[:, :, 24:40, 24:40] = 255
    stretched = RandomViews(flip=False, stretch=0.5).apply(cross, torch.Generator().manual_seed(0)) > 0
    ratios = stretched[:, 0].any(1).sum(1) / stretched[:, 0].any(2).sum(1)  # width over height of the square
    assert 1 / 1.6 < float(ratios.min()) < 0.8
    assert 1.25 < float(ratios.max()) < 1.6
    colours = torch.randint(256, (16, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    views = RandomViews(flip=False, colour=0.5).apply(colours, torch.Generator().manual_seed(0))
    plain = to_float(colours)
    torch.testing.assert_close(views.mean(1), plain.mean(1), atol=1e-5, rtol=0)  # the grey picture stays
    spread, wider = (one - one.mean(1, keepdim=True) for one in (plain, views))
    factors = wider.flatten(1).norm(dim=1) / spread.flatten(1).norm(dim=1)
    assert 0.5 <= float(factors.min()) < 0.8
    assert 1.2 < float(factors.max()) <= 1.5


def test_pictures_in_another_size_are_what_torchvision_makes_of_them(images: torch.Tensor) -> None:
    smaller, larger = resize_images(images, (5, 4)), resize_images(images, (16, 12))
    for found, size in ((smaller, [5, 4]), (larger, [16, 12])):
        expected = transforms.resize(images, size, antialias=True)
        assert found.dtype == torch.uint8
        assert int((found.int() - expected.int()).abs().max()) <= 1
    assert resize_images(images, (8, 6)) is images
