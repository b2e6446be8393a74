"""What becomes of the bytes that visitors send: never on the disk, and no longer in memory than they are needed."""

from __future__ import annotations

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx


def keep_in_memory() -> None:
    """Starlette spools uploads above 1 MB to temporary files; a visitor's picture must not touch the disk."""
    from starlette.formparsers import MultiPartParser
    from streamlit import config

    limit = int(config.get_option("server.maxUploadSize")) * 2**20 + 2**20
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, limit)


def let_go_of_uploads(newest: int = 2) -> None:
    """Drop the files that this session sent, but for the newest (an upload and a photo).

    Streamlit keeps each until the session ends, up to 32 MB of it, also those whose page was left long ago. What the
    app needs of a file is the picture that it made of it.
    """
    context = get_script_run_ctx()
    if context is None or not isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        return
    sent = list(context.uploaded_file_mgr.file_storage.get(context.session_id, ()))
    for file_id in sent[:-newest]:
        context.uploaded_file_mgr.remove_file(context.session_id, file_id)
