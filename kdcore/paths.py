"""Where kdcore keeps and finds its files: three folders, each decided in one place.

- `home()` is written to: downloads, the teacher-logit cache, the runs database and the runs' folders.
- `data()` is only read: datasets that somebody else put there.
- `assets()` is only read: what ships with the project (bundled models, samples, lessons).

Nothing here creates a folder; whoever writes does that, and turns a failure into its own sentence.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """The folder that kdcore writes to: `KDCORE_HOME`, or the user data folder of this system."""
    chosen = os.environ.get("KDCORE_HOME", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_data_dir("kdcore", appauthor=False))


def data() -> Path | None:
    """The read-only folder that is searched first for datasets: `KDCORE_DATA`, or None when it is not set."""
    chosen = os.environ.get("KDCORE_DATA", "").strip()
    return Path(chosen).expanduser().absolute() if chosen else None


def assets() -> Path:
    """The files that travel with the code: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "assets"
    return installed if installed.is_dir() else package.parent / "assets"
