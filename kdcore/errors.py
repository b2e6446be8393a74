"""The errors that the engine raises on purpose.

Each message is one sentence that a visitor can act on: what was wrong, what is legal, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KdError(Exception):
    """The base class of these errors. Callers catch it and show `str(error)`."""


class ConfigError(KdError):
    """A setting or an argument has a value that is not legal."""


class UnknownName(ConfigError):
    """A name is not in its registry; the message lists the legal names.

    Attributes:
        kind: what the name should be, such as "teacher".
        name: the unknown name.
        legal: the legal names.
    """

    def __init__(self, kind: str, name: object, legal: Iterable[str]) -> None:
        self.kind, self.name, self.legal = kind, name, tuple(legal)
        shown = str(name) if len(str(name)) <= 60 else str(name)[:57] + "..."
        close = get_close_matches(str(name), self.legal, n=1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        super().__init__(f'There is no {kind} "{shown}"; choose one of: {", ".join(self.legal)}.{hint}')


class DatasetUnavailable(KdError):
    """A known dataset is not on this machine."""


class TeacherUnavailable(KdError):
    """A known teacher is not on this machine, or could not be fetched."""


class DownloadFailed(KdError):
    """A file could not be fetched, because the network or the disk failed or its checksum is wrong."""


class TrainingDiverged(KdError):
    """A training ended without a usable network, because its numbers became infinite or not a number."""


class PictureError(KdError):
    """A file cannot be read as a picture."""


class ModelFileError(KdError):
    """A weights file or a model card is missing or damaged, or the two do not fit each other."""


class StoreError(KdError):
    """The runs database cannot be read or written."""


class RunNotFound(StoreError):
    """No run has this id."""
