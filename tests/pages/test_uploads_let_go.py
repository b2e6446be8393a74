"""Uploaded files: a session keeps its newest ones in memory, and those of other sessions are not touched."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from pages.ui.session import uploads


def test_only_the_newest_files_of_a_session_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = MemoryUploadedFileManager("/upload")
    for session, count in (("mine", 5), ("another", 3)):
        for number in range(count):
            manager.add_file(session, UploadedFileRec(f"{session} {number}", "a.png", "image/png", bytes(10)))
    context = SimpleNamespace(session_id="mine", uploaded_file_mgr=manager)
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: context)
    uploads.remove_old_uploads()
    assert list(manager.file_storage["mine"]) == ["mine 3", "mine 4"]
    assert len(manager.file_storage["another"]) == 3
    uploads.remove_old_uploads()
    assert list(manager.file_storage["mine"]) == ["mine 3", "mine 4"]


def test_a_session_without_files_and_a_script_without_a_session_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = MemoryUploadedFileManager("/upload")
    monkeypatch.setattr(
        uploads, "get_script_run_ctx", lambda: SimpleNamespace(session_id="mine", uploaded_file_mgr=manager)
    )
    uploads.remove_old_uploads()
    assert "mine" not in manager.file_storage
    monkeypatch.setattr(uploads, "get_script_run_ctx", lambda: None)
    uploads.remove_old_uploads()
