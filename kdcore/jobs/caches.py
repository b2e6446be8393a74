"""Removing caches that nothing has used for a while; what is in them is computed again when it is needed."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

DAY = 86_400.0
UNUSED_DAYS = 30  # reading a cache sets its file's modification time, so that the age is the time since its last use
UNPACK_DAYS = 1

_TEACHER_LOGITS = re.compile(r"[0-9a-f]{32}\.safetensors")
_PICTURES = re.compile(r".+-[0-9a-f]{16}\.safetensors")  # the names of `kdcore.datasets.cache`
_UNPACKING = ".unpack-*"  # the folders in which archives are unpacked


def remove_unused_caches(home: Path, now: float) -> int:
    """Remove cached teacher logits and pictures that nobody has used for `UNUSED_DAYS`, and return their number.

    Among them are those of teachers and datasets that were replaced, which nothing will ever ask for again. Folders of
    archives whose unpacking was killed are removed too, and not counted.

    Args:
        home: the folder that holds `teacher_logits` and `datasets`.
        now: seconds since 1970.
    """
    removed = 0
    for folder, names in ((home / "teacher_logits", _TEACHER_LOGITS), (home / "datasets", _PICTURES)):
        for path in _older_than(folder, "*.safetensors", now - UNUSED_DAYS * DAY):
            if names.fullmatch(path.name) and path.is_file():
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed += 1
    for path in _older_than(home / "datasets", f"*/{_UNPACKING}", now - UNPACK_DAYS * DAY):
        shutil.rmtree(path, ignore_errors=True)
    return removed


def _older_than(folder: Path, pattern: str, time: float) -> Iterator[Path]:
    """Yield what matches the pattern in a folder and was last changed before `time`."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob(pattern)):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < time:
                    yield path
