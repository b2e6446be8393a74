"""Keep decoders quiet about odd files: the warnings of Pillow, and what libtiff prints on standard error."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from PIL import _imaging

# The filter ignores warnings that are raised inside Pillow or in the code that calls it here.
_IGNORE = ("ignore", None, Warning, re.compile(r"PIL\.|kdcore\.pictures\."), 0)


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Context in which decoders neither warn nor print; only one thread may be in it at a time.

    Other threads' warnings are as before, which they are not inside of `warnings.catch_warnings`: that replaces the
    filters of the whole process, and restores them wrongly if two threads overlap.
    """
    filters: Any = warnings.filters
    filters.insert(0, _IGNORE)
    handlers = [(set_handler, set_handler(None)) for set_handler in _libtiff_setters()]
    try:
        yield
    finally:
        for set_handler, handler in handlers:
            set_handler(handler)
        now: Any = warnings.filters
        for each in (filters, now):  # two lists, if another thread has replaced the filters meanwhile
            with contextlib.suppress(ValueError):
                each.remove(_IGNORE)


@functools.cache
def _libtiff_setters() -> tuple[Callable[[int | None], int | None], ...]:
    """libtiff's functions that set what it does with errors and with warnings; none where they are out of reach."""
    try:
        library = ctypes.CDLL(_imaging.__file__)  # finds what Pillow is linked with, too
        setters = (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler)
    except (OSError, AttributeError):  # Windows, where libtiff is inside of Pillow
        return ()
    for setter in setters:
        setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setters
