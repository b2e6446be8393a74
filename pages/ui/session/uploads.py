"""Handling of the files that visitors upload: they never reach the disk, and they leave memory once they are read."""

from __future__ import annotations

from starlette.formparsers import MultiPartParser
from streamlit import config
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile


def keep_uploads_in_memory() -> None:
    """Keep uploads in memory: Starlette would write those above 1 MB to temporary files.

    A visitor's picture must not reach the disk.
    """
    limit = int(config.get_option("server.maxUploadSize")) * 2**20 + 2**20
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, limit)


def remove_old_uploads(newest: int = 2) -> None:
    """Remove the files that this session uploaded from memory, except the `newest` (an upload and a photo).

    Streamlit would keep every file, of up to 32 MB, until the session ends, even after the visitor left its page. The
    app needs only the decoded picture, which it keeps itself.
    """
    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    file_ids = list(context.uploaded_file_mgr.file_storage.get(context.session_id, ()))
    for file_id in file_ids[:-newest]:
        context.uploaded_file_mgr.remove_file(context.session_id, file_id)


def read_files(value: object) -> list[tuple[str, bytes]]:
    """Return the name and the bytes of each file in the value of an uploader."""
    return [(file.name, file.getvalue()) for file in _files(value)]


def remove_files(value: object) -> None:
    """Remove the files in the value of an uploader from memory."""
    context = get_script_run_ctx()
    if context is not None:
        for file in _files(value):
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)


def _files(value: object) -> list[UploadedFile]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, UploadedFile)]
