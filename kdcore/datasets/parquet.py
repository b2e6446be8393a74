"""Read parquet files in the Hugging Face image layout: a struct of `bytes` and `path`, and an integer label."""

from __future__ import annotations

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
    image_column = next(name for name, feature in features.items() if feature.get("_type") == "Image")
    return image_column, class_names


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
    # Loading pyarrow takes 0.1 seconds and is needed for parquet files only.
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
