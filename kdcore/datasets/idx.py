"""Read IDX files, the format of MNIST (LeCun, Cortes, Burges): a short header, then bytes; plain or gzip'd."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdcore.errors import DatasetUnavailable

MAX_BYTES = 1 << 28  # more bytes of an unpacked file are not read, as protection against a gzip bomb
_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes as a uint8 tensor of the shape that the file's header gives.

    Raises:
        DatasetUnavailable: the file is missing, damaged, cut off, or holds another type than unsigned bytes.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == _GZIP  # whatever its suffix: browsers unpack a file and leave its name
        with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetUnavailable(f"{path} is missing or damaged; remove it and fetch the dataset again.") from error
    sides = data[3] if len(data) > 4 and data[:3] == b"\0\0\x08" else 0
    shape = tuple(int(side) for side in np.frombuffer(data, ">u4", sides, 4)) if len(data) >= 4 + 4 * sides else ()
    start = 4 + 4 * sides
    if not shape or len(data) - start != int(np.prod(shape, dtype=np.int64)):
        raise DatasetUnavailable(
            f"{path} is damaged or not an IDX file of bytes; remove it and fetch the dataset again."
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy())
