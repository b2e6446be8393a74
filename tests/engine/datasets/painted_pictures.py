"""Small pictures of one colour with noise, as the files of a user's own dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}


def paint(folder: Path, colour: str, count: int, size: tuple[int, int] = (80, 70), seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, len(colour)])
    for number in range(count):
        noise = rng.integers(-20, 20, (size[1], size[0], 3))
        pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{colour} {number}.png")
