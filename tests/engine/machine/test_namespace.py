"""Two processes are in the same namespace if a process id means the same process to both."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from kdcore.machine import namespace
from kdcore.machine.namespace import process_namespace
from tests.engine.machine.namespaces import NEW_NAMESPACE, needs_namespaces

ASK = (sys.executable, "-c", "from kdcore.machine.namespace import process_namespace; print(process_namespace())")
ROOT = Path(__file__).resolve().parents[3]


def ask(*before: str) -> str:
    return subprocess.run([*before, *ASK], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def test_a_child_has_the_namespace_of_its_parent() -> None:
    assert ask() == process_namespace() and 0 < len(process_namespace()) <= 255  # the width of its column


@needs_namespaces
def test_each_container_has_its_own() -> None:
    assert len({process_namespace(), ask(*NEW_NAMESPACE)}) == 2


@pytest.mark.parametrize("missing", ["_BOOT_ID", "_OWN_NAMESPACE"])
def test_without_namespaces_the_host_name_serves(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, missing, tmp_path / "missing")
    assert process_namespace() == platform.node()
