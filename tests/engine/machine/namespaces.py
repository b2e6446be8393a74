"""A process with a namespace of process ids of its own, as a container has it; only some Linux systems allow it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

NEW_NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


def _is_possible() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NEW_NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


needs_namespaces = pytest.mark.skipif(not _is_possible(), reason="this system allows no namespaces of process ids")
