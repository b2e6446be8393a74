"""`kdcore teachers` and `kdcore predict`."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from kdcore.teachers.card import ModelCard
from tests.engine.cli.commands import Said

# --- bad usage and bad input ---


def test_pictures_that_cannot_be_opened(said: Said, digit: Path, tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(2501) * 20_000, 1)) + chunk(b"IEND", b"")
    jpeg = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(jpeg, "JPEG")
    files = {
        "text.png": (b"these are words\n" * 20, "text file"),
        "cut.jpg": (jpeg.getvalue()[: len(jpeg.getvalue()) // 2], "damaged or cut off"),
        "empty.png": (b"", "empty"),
        "bomb.png": (b"\x89PNG\r\n\x1a\n" + header + rows, "megapixels"),
    }
    for name, (data, words) in files.items():
        (tmp_path / name).write_bytes(data)
        line = said.refusal("predict", str(tmp_path / name), "--teacher", "digits")
        assert words in line and name in line
    assert "cannot be read" in said.refusal("predict", str(tmp_path / "missing.png"), "--teacher", "digits")
    assert "cannot be read" in said.refusal("predict", str(tmp_path), "--teacher", "digits")
    assert "nosuch" in said.refusal("predict", str(digit), "--teacher", "nosuch")
    for temperature in ("0", "-1", "nan", "inf", "x"):
        line = said.refusal("predict", str(digit), "--teacher", "digits", f"--temperature={temperature}")
        assert "temperature" in line


# --- answers ---


def test_a_measured_card_can_be_written(said: Said, tmp_path: Path) -> None:
    measured = said.data("teachers", "measure", "digits", "--device", "cpu", "--out", str(tmp_path / "new"))
    card = ModelCard.read(tmp_path / "new" / "digits.json")
    assert card.figures == measured["figures"] and card.name == "digits"
    assert card.accuracy == measured["figures"]["accuracy"]["mean"]
    (tmp_path / "file").touch()
    assert "could not be saved" in said.refusal(
        "teachers", "measure", "digits", "--device", "cpu", "--out", str(tmp_path / "file"), status=1
    )


def test_teachers(said: Said) -> None:
    cards = {card["name"]: card for card in said.data("teachers")["teachers"]}
    assert {"name", "dataset", "accuracy", "sha256", "num_params"} <= set(cards["digits"])
    assert "digits" in said.text("teachers")


def test_predict(said: Said, digit: Path) -> None:
    warm = said.data("predict", str(digit), "--teacher", "digits", "--temperature", "4")
    keys = [
        "teacher",
        "temperature",
        "class_names",
        "logits",
        "soft_labels",
        "superclasses",
        "none_of_these",
        "latency_ms",
    ]
    assert list(warm) == keys and warm["temperature"] == 4
    logits = np.array(warm["logits"])
    want = np.exp(logits / 4 - (logits / 4).max())
    assert np.allclose(warm["soft_labels"], want / want.sum(), atol=1e-9)
    assert abs(sum(warm["soft_labels"]) - 1) < 1e-9
    assert said.data("predict", str(digit), "--teacher", "digits")["temperature"] == 1
    assert said.data("predict", str(digit))["teacher"] == "photos"
    assert "soft label" in said.text("predict", str(digit), "--teacher", "digits")
