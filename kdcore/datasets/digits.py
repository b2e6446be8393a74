"""`digits`: scikit-learn's 1,797 handwritten digits, 8x8 scans (Alpaydin and Kaynak 1998); needs no download."""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kdcore.datasets.base import Dataset, Split
from kdcore.errors import DatasetUnavailable

NAME = "digits"
TRAIN, VALIDATION = 1_077, 360


def load() -> Dataset:
    """Load 1,077 train, 360 validation and 360 test pictures, each uint8 [1, 8, 8].

    The split is random with a fixed seed; it is not stratified by class or by the 43 writers.
    """
    table = _read_table()
    pixels = np.rint(table[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)  # the scans have 17 levels
    images, labels = torch.from_numpy(pixels), torch.from_numpy(table[:, -1].astype(np.int64))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    splits = [
        Split(images[rows].contiguous(), labels[rows])
        for rows in order.split([TRAIN, VALIDATION, len(labels) - TRAIN - VALIDATION])
    ]
    names = tuple("0123456789")
    return Dataset.from_splits(NAME, names, names, *splits)


def _read_table() -> NDArray[np.float64]:
    """Read the file that scikit-learn ships, one row a picture: 64 pixels in 0 to 16 and the hard label, [N, 65].

    scikit-learn itself is not imported: that takes seconds, adds warning filters, and draws from `random`.

    Raises:
        DatasetUnavailable: scikit-learn is not installed whole.
    """
    package = importlib.util.find_spec("sklearn")
    folder = package.submodule_search_locations[0] if package and package.submodule_search_locations else ""
    try:
        return np.loadtxt(Path(folder, "datasets", "data", "digits.csv.gz"), delimiter=",")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetUnavailable("The file of digits is missing or damaged; install scikit-learn again.") from error
