"""How glibc's allocator treats freed memory: kept for the next step while a process trains, returned while it waits."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

# Parameter numbers of glibc's mallopt(3), from <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NO_TRIM_THRESHOLD = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C allocator keep freed memory instead of returning it to the system.

    Call it in a process that trains and then ends. Each training step allocates tensors of the sizes that the step
    before freed. By default glibc returns large blocks to the system, which hands them out again page by page, each
    page cleared; for networks as small as the students this costs a quarter of a training step and half of an
    inference pass over many pictures. The process never keeps more than its peak memory use.

    Returns:
        True if the settings were accepted (glibc); False with another C library, which is left unchanged.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NO_TRIM_THRESHOLD))


def return_freed_memory() -> None:
    """Return memory that Python and the C allocator have freed to the system, in a process that will wait for long."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
