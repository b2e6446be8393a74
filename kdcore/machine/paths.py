"""The three folders in which kdcore keeps and finds its files.

- `home()` is written to: downloads, the cache of teacher_logits, the runs database and the runs' folders.
- `data()` is only read: datasets that the user put there.
- `assets()` is only read: files that ship with the project (bundled models, samples, lessons).

Nothing here creates a folder. The code that writes a file creates its folder and reports a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs


def home() -> Path:
    """The folder that kdcore writes to: the environment variable `KDCORE_HOME`, or the system's user data folder."""
    chosen = os.environ.get("KDCORE_HOME", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_data_dir("kdcore", appauthor=False))


def data() -> Path | None:
    """The read-only folder searched first for datasets, from the environment variable `KDCORE_DATA`; None if unset."""
    chosen = os.environ.get("KDCORE_DATA", "").strip()
    return Path(chosen).expanduser().absolute() if chosen else None


def assets() -> Path:
    """The folder of the files that ship with the code: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "assets"
    return installed if installed.is_dir() else package.parent / "assets"


def has_files(folder: Path, names: Iterable[str]) -> bool:
    """Whether `folder` holds a file of each of these names."""
    return all((folder / name).is_file() for name in names)
