"""Every error that the engine raises on purpose.

Each message is one sentence a visitor can act on: what was wrong, what is legal, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KdError(Exception):
    """The root: catch this and show `str(error)`."""


class ConfigError(KdError):
    """A value that is not legal."""


class UnknownName(ConfigError):
    """A name that is in no registry; the message lists the legal ones."""

    def __init__(self, kind: str, name: object, legal: Iterable[str]) -> None:
        self.kind, self.name, self.legal = kind, name, tuple(legal)
        shown = str(name) if len(str(name)) <= 60 else str(name)[:57] + "..."
        close = get_close_matches(str(name), self.legal, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        super().__init__(f'There is no {kind} "{shown}"; choose one of: {", ".join(self.legal)}.{hint}')


class DatasetUnavailable(KdError):
    """A dataset that is known but not on this machine."""


class TeacherUnavailable(KdError):
    """A teacher that is known but not on this machine."""


class DownloadFailed(KdError):
    """A file that could not be fetched: the network, the disk or its bytes."""


class PictureError(KdError):
    """A file that cannot be read as a picture."""


class ModelFileError(KdError):
    """Weights or a model card that are missing, damaged or of another shape."""


class StoreError(KdError):
    """The runs database cannot be read or written."""


class RunNotFound(StoreError):
    """No run has this id."""
