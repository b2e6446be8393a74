"""Read parquet files of pictures in the layouts that the Hugging Face Hub and pandas write."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdcore.datasets.base import Split
from kdcore.datasets.picture_reader import decode
from kdcore.errors import DatasetUnavailable, PictureError

IMAGE_NAMES = ("image", "img", "images", "picture", "photo", "pixels", "bytes")  # the first that is there is taken
LABEL_NAMES = ("label", "labels", "fine_label", "class", "class_name", "category", "target", "y")
_BATCH_ROWS = 64
_LFS_POINTER = b"version https://git-lfs"

Label = int | str | None


@dataclass(frozen=True)
class PictureTable:
    """A parquet file with a column of pictures and a column of labels.

    Attributes:
        image_column: holds the bytes of a picture file, plain or as the field `bytes` of a struct.
        label_column: holds numbers or names.
        class_names: the name of each label, as the Hub's metadata give them; None if labels speak for themselves.
        rows: number of rows.
    """

    path: Path
    image_column: str
    label_column: str
    class_names: tuple[str, ...] | None
    rows: int

    def labels(self) -> list[Label]:
        """Return the label of each row: a whole number or a name; None where there is none (null, -1 or an empty text).

        Raises:
            DatasetUnavailable: the file is damaged, or the column holds other values or a label without a class name.
        """
        import pyarrow.parquet as pq  # takes 0.1 seconds and is needed for parquet files only

        with _readable(self.path):
            values = pq.ParquetFile(self.path).read(columns=[self.label_column]).column(0).to_pylist()
        labels = [self._label(value) for value in values]
        highest = len(self.class_names) - 1 if self.class_names is not None else None
        for row, label in enumerate(labels):
            if highest is not None and (isinstance(label, str) or (label is not None and not 0 <= label <= highest)):
                raise DatasetUnavailable(
                    f'Row {row} of {self.path.name} has the label {label} in the column "{self.label_column}", and '
                    f"its {highest + 1} classes are 0 to {highest}, or -1 for no label; correct the file."
                )
        return labels

    def _label(self, value: object) -> Label:
        if isinstance(value, float) and (math.isnan(value) or value.is_integer()):
            value = None if math.isnan(value) else int(value)  # pandas makes numbers with gaps to fractions
        if value is None or value == -1:
            return None
        if not isinstance(value, int | str):
            raise DatasetUnavailable(
                f'The column "{self.label_column}" of {self.path.name} holds such as {str(value)[:40]}, and a whole '
                "number or a name for each picture is needed."
            )
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else str(value).strip() or None

    def pictures(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the source name (empty if there is none) and the bytes of each row's picture, a few rows at a time.

        Raises:
            DatasetUnavailable: the file is damaged.
        """
        import pyarrow.parquet as pq  # takes 0.1 seconds and is needed for parquet files only

        with _readable(self.path):
            batches = pq.ParquetFile(self.path).iter_batches(_BATCH_ROWS, columns=[self.image_column])
            for batch in batches:
                for value in batch.column(0).to_pylist():
                    if isinstance(value, dict):
                        yield str(value.get("path") or ""), value.get("bytes")
                    else:
                        yield "", value


def open_table(path: Path) -> PictureTable:
    """Find the columns of pictures and labels in a file, without reading its pictures.

    Raises:
        DatasetUnavailable: the file is missing or damaged, or it is not clear which columns are meant.
    """
    import pyarrow.parquet as pq  # takes 0.1 seconds and is needed for parquet files only

    with _readable(path):
        file = pq.ParquetFile(path)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    features = _features(schema.metadata or {})
    image_column = _choose([name for name in schema.names if _holds_bytes(schema.field(name).type)], IMAGE_NAMES)
    named = {name: _class_names(features.get(name)) for name in schema.names}
    label_column = _choose([name for name in schema.names if named[name] is not None], LABEL_NAMES)
    if label_column is None:
        others = [name for name in schema.names if name != image_column and _holds_labels(schema.field(name).type)]
        known = [name for name in others if name.lower() in LABEL_NAMES]
        label_column = _choose(known or others, LABEL_NAMES)
    if image_column is None or label_column is None:
        columns = ", ".join(f"{name[:40]} ({str(schema.field(name).type)[:40]})" for name in schema.names[:12])
        what = "pictures" if image_column is None else "labels"
        raise DatasetUnavailable(
            f"{path.name} has no column that is clearly that of the {what}; its columns are {columns or 'none'}. "
            'Needed are a column "image" with the bytes of picture files and a column "label" with a number or a name.'
        )
    return PictureTable(path, image_column, label_column, named[label_column], rows)


def read_parquet(path: Path, size: int, channels: int = 3) -> tuple[Split, tuple[str, ...] | None, list[str]]:
    """Read all pictures of one file of a published dataset, in which every row must be right.

    Returns:
        The pictures as a split with images uint8 [N, channels, size, size], grey if `channels` is 1; the class names,
        None if the file does not hold them; and the N source names. Crops of one original picture have the same source
        name up to "#".

    Raises:
        DatasetUnavailable: the file is missing, damaged, or of another layout, or a row has no picture or no label.
    """
    table = open_table(path)
    labels = table.labels()
    images = torch.empty(len(labels), channels, size, size, dtype=torch.uint8)
    sources: list[str] = []
    for row, (source, data) in enumerate(table.pictures()):
        label = labels[row]
        if not isinstance(label, int) or label < 0:
            raise DatasetUnavailable(f"Row {row} of {path.name} has no number as label; fetch the file again.")
        try:
            images[row] = decode(data or b"", source, (channels, size, size), dark_ground=False)[0]
        except PictureError as error:
            raise DatasetUnavailable(f"Row {row} of {path.name} cannot be used: {error}") from error
        sources.append(source)
    return Split(images, torch.tensor(labels, dtype=torch.int64)), table.class_names, sources


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa  # takes 0.1 seconds and is needed for parquet files only

    try:
        yield
    except (OSError, pa.ArrowException, ValueError) as error:
        if _is_lfs_pointer(path):
            raise DatasetUnavailable(
                f"{path.name} only says where Git LFS keeps the file; run git lfs pull, or download the file itself."
            ) from error
        raise DatasetUnavailable(
            f"{path.name} could not be read as a parquet file of pictures ({type(error).__name__}); "
            "fetch the file again or choose another dataset."
        ) from error


def _is_lfs_pointer(path: Path) -> bool:
    """Whether a file is what a clone without Git LFS has in place of a large file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:
        return False


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the Hub's description of the columns; empty if there is none."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: object) -> tuple[str, ...] | None:
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(str(name) for name in names) if isinstance(names, list) and names else None


def _choose(columns: Sequence[str], preferred: Sequence[str]) -> str | None:
    """Return the only one of the columns, or the first that has a preferred name; None if that does not decide."""
    if len(columns) == 1:
        return columns[0]
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in preferred if name in by_name), None)


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa  # takes 0.1 seconds and is needed for parquet files only

    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _holds_labels(kind: Any) -> bool:
    import pyarrow as pa  # takes 0.1 seconds and is needed for parquet files only

    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
    )
    return any(test(kind) for test in tests) or (pa.types.is_dictionary(kind) and _holds_labels(kind.value_type))
