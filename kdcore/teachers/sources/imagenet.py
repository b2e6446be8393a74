"""The 1,000 classes of ImageNet (Russakovsky et al. 2015): unique names, and the superclass of each class."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files

NUM_CLASSES = 1000


def superclasses() -> tuple[str, ...]:
    """The superclass of each of the 1,000 classes, in ImageNet's usual order of classes."""
    text = files("kdcore.teachers.sources").joinpath("imagenet_superclasses.json").read_text(encoding="utf-8")
    found = {
        index: name for name, ranges in json.loads(text)["superclasses"].items() for index in _indices(str(ranges))
    }
    return tuple(found[index] for index in range(NUM_CLASSES))


def _indices(ranges: str) -> list[int]:
    """Expand ranges of indices: `"0-2, 7"` -> `[0, 1, 2, 7]`."""
    ends = [part.split("-") for part in ranges.replace(" ", "").split(",")]
    return [index for part in ends for index in range(int(part[0]), int(part[-1]) + 1)]


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Make class names unique, as the app requires: each of several classes called "crane" gets its index appended."""
    many = {name for name, count in Counter(names).items() if count > 1}
    return tuple(f"{name} ({index})" if name in many else name for index, name in enumerate(names))
