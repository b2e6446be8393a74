"""Pictures of no class: as many as asked, the same for the same seed, and each unlike the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from kdcore.teachers.building.no_class_pictures import drawings, noise, text_pages


@pytest.mark.parametrize("make", [drawings, noise, text_pages])
def test_the_seed_decides_the_pictures(make: Callable[[int, int], list[Image.Image]]) -> None:
    first, again, other = make(5, 0), make(5, 0), make(5, 1)
    contents = [picture.tobytes() for picture in first]
    assert contents == [picture.tobytes() for picture in again]
    assert not set(contents) & {picture.tobytes() for picture in other} and len(set(contents)) == 5
    assert all(picture.mode == "RGB" and np.asarray(picture).std() > 1 for picture in first)


def test_a_text_page_is_dark_ink_on_bright_paper() -> None:
    for page in text_pages(5, 0):
        grey = np.asarray(page.convert("L"))
        assert np.median(grey) > 200 and 0.01 < (grey < 128).mean() < 0.4
