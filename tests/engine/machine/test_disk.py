"""Free space, and writes to a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcore.machine import disk
from kdcore.machine.disk import free_space, retry_while_full, write_failure_reason


def test_free_space_is_that_of_the_disk_where_the_folder_will_be(tmp_path: Path) -> None:
    found = free_space(tmp_path / "not" / "yet")
    assert found is not None and found > 0
    (tmp_path / "file").write_text("")
    assert free_space(tmp_path / "file" / "below") is not None


def test_only_a_full_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RETRY_PAUSE_SECONDS", 0.001)
    answers = [OSError(code, "no") for code in disk.DISK_FULL_ERRORS]

    def write() -> None:
        if answers:
            raise answers.pop()

    retry_while_full(write)
    assert answers == []
    answers = [OSError(30, "never reached"), OSError(30, "Read-only file system")]
    with pytest.raises(OSError, match="Read-only"):
        retry_while_full(write)
    assert len(answers) == 1
    assert "(no); set KDCORE_HOME" in write_failure_reason(OSError(30, "no"))
    assert write_failure_reason(OSError(disk.DISK_FULL_ERRORS[0], "no")).startswith("because the disk is full")
