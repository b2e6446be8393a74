"""Pictures that show none of the things that a teacher of photos knows: pages of text, drawings and noise."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_WORDS = (
    "the of and a to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many"
)
SIDE_PIXELS = 256  # of drawings and noise


def text_pages(count: int, seed: int) -> list[Image.Image]:
    """Pages of random words in dark ink on bright paper, in different sizes."""
    chance = np.random.default_rng(seed)
    return [_text_page(chance) for _ in range(count)]


def _text_page(chance: np.random.Generator) -> Image.Image:
    width, height = (int(side) for side in chance.integers(300, 700, 2))
    page = Image.new("RGB", (width, height), _colour(chance, 225, 256))
    draw, size = ImageDraw.Draw(page), int(chance.integers(10, 34))
    font, ink = ImageFont.load_default(size), _colour(chance, 0, 80)
    for top in range(int(chance.integers(5, 40)), height - size, round(1.4 * size)):
        words = chance.choice(_WORDS.split(), width // (3 * size))
        draw.text((20, top), " ".join(words), fill=ink, font=font)
    return page


def drawings(count: int, seed: int) -> list[Image.Image]:
    """Drawings of random circles, boxes, lines and arcs, some of them filled, which show no thing."""
    chance = np.random.default_rng(seed)
    return [_drawing(chance) for _ in range(count)]


def _drawing(chance: np.random.Generator) -> Image.Image:
    sheet = Image.new("RGB", (SIDE_PIXELS, SIDE_PIXELS), _colour(chance, 150, 256))
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(chance.integers(3, 12))):
        left, right = sorted(int(x) for x in chance.integers(10, SIDE_PIXELS - 10, 2))
        top, bottom = sorted(int(y) for y in chance.integers(10, SIDE_PIXELS - 10, 2))
        box, width = (left, top, right + 2, bottom + 2), int(chance.integers(1, 7))
        ink = _colour(chance, 0, 256)
        fill = _colour(chance, 0, 256) if chance.random() < 0.4 else None
        shape = int(chance.integers(4))
        if shape == 0:
            draw.ellipse(box, outline=ink, fill=fill, width=width)
        elif shape == 1:
            draw.rectangle(box, outline=ink, fill=fill, width=width)
        elif shape == 2:
            draw.line(box, fill=ink, width=width)
        else:
            draw.arc(box, int(chance.integers(360)), int(chance.integers(360)), fill=ink, width=width)
    return sheet


def noise(count: int, seed: int) -> list[Image.Image]:
    """Noise whose grains have 1, 4, 16 or 64 pixels a side."""
    chance = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        cells = SIDE_PIXELS // 4 ** (number % 4)
        grains = Image.fromarray(chance.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pictures.append(grains.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BICUBIC))
    return pictures


def _colour(chance: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    """A colour whose three values are from `low` to below `high`."""
    red, green, blue = (int(value) for value in chance.integers(low, high, 3))
    return red, green, blue
