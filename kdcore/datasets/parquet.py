"""Read parquet files in the Hugging Face image layout: a struct of `bytes` and `path`, and an integer label."""

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
    """Return the name of the picture column and the class names, from a table's schema."""
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    class_names = tuple(str(name) for name in features["label"]["names"])
    return next(key for key, value in features.items() if value.get("_type") == "Image"), class_names


def _unreadable(path: Path, error: Exception) -> DatasetUnavailable:
    return DatasetUnavailable(
        f"{path.name} could not be read as a parquet file of pictures ({type(error).__name__}); "
        "fetch the file again or choose another dataset."
    )


def read_parquet(path: Path, size: int, channels: int = 3) -> tuple[Split, tuple[str, ...], list[str]]:
    """Read all pictures of one file, resized to `size` x `size` pixels.

    Returns:
        The pictures as a split with images uint8 [N, channels, size, size], grey if `channels` is 1; the class names;
        and the N source names (column `path`). Crops of one original picture have the same source name up to "#".

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
    """Split rows into train and validation, class by class; within a class, the rows of one group stay together.

    Of each held-out group, only the first row is used for validation; its other rows are dropped. The hashes of the
    groups' names decide which groups are held out, so that the split is the same on every machine and changes little
    when rows are added.

    Args:
        labels: int64 [N].
        groups: N names; rows with the same name are crops of one original picture.
        share: share of each class's groups to hold out, 0 to 1; at least one group is.

    Returns:
        (train, validation): int64 row indices, ascending.
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
            # More than one crop of the same original would give that original more weight in the validation.
            (validation.append(members[name][0]) if place < held else train.extend(members[name]))
    return torch.tensor(sorted(train)), torch.tensor(sorted(validation))
