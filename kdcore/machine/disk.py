"""Disk space: how much a run needs, whether it is free, and how a full disk is handled and reported."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

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


def retry_while_full(write: Callable[[], None]) -> None:
    """Call `write`, and repeat it for up to `RETRY_TOTAL_SECONDS` while the disk is full, because space may be freed.

    Raises:
        OSError: the disk is still full after that time, or `write` failed for another reason.
    """
    end = time.monotonic() + RETRY_TOTAL_SECONDS
    while True:
        try:
            write()
            return
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS or time.monotonic() > end:
                raise
        time.sleep(RETRY_PAUSE_SECONDS)


def write_failure_reason(error: OSError) -> str:
    """The end of an error sentence about a file that could not be written: the reason, and what the user can do."""
    if error.errno in DISK_FULL_ERRORS:
        return "because the disk is full; free some space and resume the run"
    why = error.strerror or type(error).__name__
    return f"({why}); set KDCORE_HOME to a folder that may be written, or repair this one, and resume the run"
