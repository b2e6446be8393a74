"""Memory that a training gives back and takes again in every step."""

from __future__ import annotations

import ctypes
import sys

# glibc's numbers for mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for a process that trains and then ends.

    A step needs the tensors that the step before freed. glibc gives large ones back to the system, which hands them
    out again page by page, each of them cleared; with networks as small as students that costs a quarter of a step,
    and half of a pass over many pictures. What is kept is at most what the process once had at the same time.

    Returns:
        Whether the allocator takes such wishes: glibc's does, others are left alone.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
