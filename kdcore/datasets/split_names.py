"""Which split a folder or a parquet file holds, by its name, as people and the Hugging Face Hub name them."""

from __future__ import annotations

import re
from pathlib import PurePath

WORDS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}
_SYSTEM_NAMES = frozenset({"__macosx", "@eadir", "thumbs.db", "desktop.ini"})


def split_of_folder(name: str) -> str | None:
    """Return the split that a folder of this name holds, whatever its case, or None."""
    return _SPLIT_OF.get(name.strip().lower())


def split_in_name(name: str) -> str | None:
    """Return the split whose word stands in a name between other signs than letters, as in `seg_train`; else None."""
    found = {_SPLIT_OF[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLIT_OF}
    return found.pop() if len(found) == 1 else None


def split_of_file(path: PurePath) -> str | None:
    """Return the split that a parquet file holds, or None if its path does not say.

    The Hub writes `data/train-00000-of-00002.parquet`, `CONFIG/train/0000.parquet` and `NAME-test.parquet`. The file's
    own name counts first, then the nearest folder.

    Args:
        path: the path below the folder of the dataset.
    """
    splits = (split_in_name(part) for part in (path.stem, *(folder.name for folder in path.parents)))
    return next((split for split in splits if split is not None), None)


def is_hidden(name: str) -> bool:
    """Whether a file or folder belongs to the system and holds nothing that a user put there."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES
