"""Disk space: how much is free, and how a write that fails for a while is retried and a full disk reported."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
RETRY_TOTAL_SECONDS = 20.0  # how long a write to a full disk is retried
RETRY_PAUSE_SECONDS = 1.0  # pause between two attempts


def free_space(folder: Path) -> int | None:
    """Free bytes on the disk of `folder`, which need not exist yet; None if the system cannot say."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None


def retry(write: Callable[[], None], seconds: float, is_temporary: Callable[[Exception], bool]) -> None:
    """Call `write`, and repeat it every `RETRY_PAUSE_SECONDS` for up to `seconds` while its error is a temporary one.

    Raises:
        Exception: of `write`, if `is_temporary` is false for it, or once the time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            write()
            return
        except Exception as error:
            if not is_temporary(error) or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_PAUSE_SECONDS)


def retry_while_full(write: Callable[[], None]) -> None:
    """Call `write`, and repeat it for up to `RETRY_TOTAL_SECONDS` while the disk is full, because space may be freed.

    Raises:
        OSError: the disk is still full after that time, or `write` failed for another reason.
    """
    retry(write, RETRY_TOTAL_SECONDS, lambda error: isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS)


def write_failure_reason(error: OSError) -> str:
    """The end of an error sentence about a file that could not be written: the reason, and what the user can do."""
    if error.errno in DISK_FULL_ERRORS:
        return "because the disk is full; free some space and resume the run"
    why = error.strerror or type(error).__name__
    return f"({why}); set KDCORE_HOME to a folder that may be written, or repair this one, and resume the run"
