"""The environment in which another Python process finds the same copy of kdcore as this one."""

from __future__ import annotations

import os
from pathlib import Path

import kdcore


def environment() -> dict[str, str]:
    """Return this process's environment; where kdcore is not installed, its folder is put on the path."""
    root = Path(kdcore.__file__).resolve().parent.parent
    found = dict(os.environ)
    if not {"site-packages", "dist-packages"} & set(root.parts):
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    return found
