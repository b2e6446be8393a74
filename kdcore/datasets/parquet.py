"""Parquet files in the Hugging Face image layout: a struct of `bytes` and `path`, and an integer label."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kdcore.datasets.base import Split
from kdcore.errors import DatasetUnavailable


def _features(schema: Any) -> tuple[str, tuple[str, ...]]:
    """The picture column's name and the class names."""
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    class_names = tuple(str(name) for name in features["label"]["names"])
    return next(key for key, value in features.items() if value.get("_type") == "Image"), class_names


def _unreadable(path: Path, error: Exception) -> DatasetUnavailable:
    return DatasetUnavailable(
        f"{path.name} could not be read as pictures in parquet ({type(error).__name__}); "
        "fetch the file again or choose another dataset."
    )


def read_parquet(path: Path, size: int, channels: int = 3) -> tuple[Split, tuple[str, ...], list[str]]:
    """All pictures of one file as `size` x `size` pixels, with class names and each picture's source name.

    The source name up to "#" names the original picture: several crops of one original share it.

    Returns:
        Split with images uint8 [N, channels, size, size], grey if `channels` is 1; class names; one source
        name a picture.

    Raises:
        DatasetUnavailable: the file is missing, damaged, or of another layout.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        image_column, class_names = _features(table.schema)
        pictures = table.column(image_column).combine_chunks()
        encoded, names = pictures.field("bytes"), pictures.field("path").to_pylist()
        labels = torch.from_numpy(table.column("label").to_numpy().astype(np.int64))
    except (OSError, pa.ArrowException, KeyError, TypeError, StopIteration, ValueError) as error:
        raise _unreadable(path, error) from error
    images = np.empty((len(labels), size, size, channels), dtype=np.uint8)
    for row, data in enumerate(encoded):
        with Image.open(io.BytesIO(data.as_buffer())) as picture:
            pixels = picture.convert("L" if channels == 1 else "RGB")
            fitted = pixels if pixels.size == (size, size) else pixels.resize((size, size))
            images[row] = np.asarray(fitted).reshape(size, size, channels)
    split = Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), labels)
    return split, class_names, [str(name) for name in names]


def hold_out(labels: torch.Tensor, groups: list[str], share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Split rows into train and validation, class by class, never across a group.

    A group's place is decided by the hash of its name, so that the split is the same everywhere and does not
    move when rows are added.

    Returns:
        (train, validation): int64 row indices.
    """
    by_class: dict[int, dict[str, list[int]]] = {}
    for row, (label, group) in enumerate(zip(labels.tolist(), groups, strict=True)):
        by_class.setdefault(label, {}).setdefault(group, []).append(row)
    train: list[int] = []
    validation: list[int] = []
    for members in by_class.values():
        ordered = sorted(members, key=lambda name: hashlib.sha256(name.encode()).digest())
        held = max(1, round(share * len(ordered)))
        for place, name in enumerate(ordered):
            # One crop of an original is enough to validate on; the others would only count it again.
            (validation.append(members[name][0]) if place < held else train.extend(members[name]))
    return torch.tensor(sorted(train)), torch.tensor(sorted(validation))
