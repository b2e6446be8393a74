"""Lets go of the sessions of visitors who have left."""

from __future__ import annotations

import contextlib

from streamlit import runtime


def forget_ended_sessions() -> None:
    """Let Streamlit forget the sessions that ended longer ago than a visitor may come back to them.

    Streamlit keeps up to 128 such sessions, with the pictures that they hold, until another visitor leaves: after the
    last visitor of the day, all night. It has no public way to ask for this; where a later version keeps its sessions
    differently, nothing happens.
    """
    if not runtime.exists():
        return
    with contextlib.suppress(AttributeError, RuntimeError):  # another version; or the server is about to end
        here = runtime.get_instance()
        expire = here._session_mgr._session_storage._cache.expire  # type: ignore[attr-defined]
        here._get_async_objs().eventloop.call_soon_threadsafe(expire)  # sessions belong to that thread
