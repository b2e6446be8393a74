"""`digits`: scikit-learn's 1,797 handwritten digits, 8x8 scans (Alpaydin and Kaynak 1998); needs no download."""

from __future__ import annotations

import numpy as np
import torch

from kdcore.datasets.base import Dataset, Split

NAME = "digits"
TRAIN, VALIDATION = 1_077, 360


def load() -> Dataset:
    """Load 1,077 train, 360 validation and 360 test pictures, each uint8 [1, 8, 8].

    The split is random with a fixed seed; it is not stratified by class or by the 43 writers.
    """
    from sklearn.datasets import load_digits  # loads scikit-learn, which takes seconds

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # the scans have 17 levels
    images = torch.from_numpy(pixels)[:, None]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    splits = [
        Split(images[rows].contiguous(), labels[rows])
        for rows in order.split([TRAIN, VALIDATION, len(labels) - TRAIN - VALIDATION])
    ]
    names = tuple(str(name) for name in bunch.target_names)
    return Dataset.from_splits(NAME, names, names, *splits)
