"""How a picture is brought to what a network expects."""

from __future__ import annotations

import io

import torch
from PIL import Image

from kdcore.datasets import load_dataset
from kdcore.pictures.prepare import prepare_picture


def test_preparation_takes_the_middle_square() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))
    pixels = prepare_picture(picture, (3, 32, 32))
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels.dtype == torch.uint8
    assert (pixels[0, 2] > 250).all()
    assert (pixels[0, 0, :, 1:-1] < 5).all()


def test_dark_strokes_on_paper_become_bright_on_dark() -> None:
    paper = Image.new("RGB", (80, 80), "white")
    paper.paste("black", (30, 10, 50, 70))
    dark = Image.new("RGB", (80, 80), "black")
    dark.paste("white", (30, 10, 50, 70))
    assert torch.equal(prepare_picture(paper, (1, 8, 8)), prepare_picture(dark, (1, 8, 8)))


def test_a_picture_survives_its_way_through_a_file() -> None:
    """A digit of 8x8 pixels that is saved as PNG and read again is unchanged."""
    digit = load_dataset("digits").test.images[0, 0]
    buffer = io.BytesIO()
    Image.fromarray(digit.numpy()).save(buffer, "PNG")
    again = prepare_picture(Image.open(buffer), (1, 8, 8))
    assert torch.equal(again[0, 0], digit)
