"""Small pictures, class folders and parquet files for the tests of own and published datasets."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HUB_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(seed: int, side: int = 36) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def fill(folder: Path, count: int, first: int, side: int = 36) -> None:
    """Write `count` pictures with the seeds from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(first + number, side).save(folder / f"{number}.png")


def write_table(file: Path, columns: dict[str, Any], features: dict[str, Any] | None = None) -> Path:
    """Write columns as a parquet file, with the Hub's description of them if there is one."""
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    return file


def hub_table(
    file: Path,
    data: Sequence[bytes | None],
    labels: Sequence[int | None],
    names: Sequence[str] = ("a", "b"),
    paths: Sequence[str | None] | None = None,
    columns: tuple[str, str] = ("image", "label"),
) -> Path:
    """Write a file as the Hub does: a struct of bytes and path, numbers as labels, class names in the metadata."""
    image, label = columns
    rows = [{"bytes": one, "path": path} for one, path in zip(data, paths or [None] * len(data), strict=True)]
    features = {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
    return write_table(file, {image: pa.array(rows, HUB_IMAGE), label: pa.array(labels, pa.int64())}, features)


def pngs(count: int, first: int = 0) -> list[bytes]:
    return [encoded(picture(first + number)) for number in range(count)]
