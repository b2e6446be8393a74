"""Memory that may still be used, on the machine and in a container."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from kdcore.machine.memory import available_memory

MIB = 2**20


def cgroup(folder: Path, limit: str, used: int, cached: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\nfile {9 * cached}\ninactive_file {cached}\nactive_file 7\n")
    return folder


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = psutil.virtual_memory()._replace(available=1000 * MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: whole)


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "none") == 1000 * MIB
    assert available_memory(cgroup(tmp_path, "max", 1, 0)) == 1000 * MIB


@pytest.mark.parametrize(
    ("limit", "used", "cached", "left"), [(800, 500, 100, 400), (800, 900, 0, 0), (4000, 500, 0, 1000)]
)
def test_in_a_container_it_is_what_its_limit_leaves(
    tmp_path: Path, limit: int, used: int, cached: int, left: int
) -> None:
    assert available_memory(cgroup(tmp_path, str(limit * MIB), used * MIB, cached * MIB)) == left * MIB
