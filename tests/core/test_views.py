"""Views against NumPy: shifting repeats the edge, mirroring mirrors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.views import RandomViews, ViewSet, to_float


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
