"""The visitor's browser: the random id in its cookie, the address of the app that it opened, and its theme."""

from __future__ import annotations

import re
import uuid
from urllib.parse import urlsplit

import streamlit as st

VISITOR_COOKIE = "kd_visitor"
_VISITOR = "_visitor_id"
_ID = re.compile(r"[0-9a-f]{32}")


def visitor_id() -> str:
    """Return this browser's random id: 32 hexadecimal digits, kept in a cookie so that it survives a reload."""
    if _VISITOR not in st.session_state:
        cookie = str(st.context.cookies.get(VISITOR_COOKIE, ""))
        st.session_state[_VISITOR] = cookie if _ID.fullmatch(cookie) else uuid.uuid4().hex
    return str(st.session_state[_VISITOR])


def visitor_is_remembered() -> bool:
    """Whether the browser sent the cookie with the visitor's id, so that it need not be written again."""
    return st.context.cookies.get(VISITOR_COOKIE) == visitor_id()


def is_local() -> bool:
    """Whether the visitor sits at the machine that runs the app.

    True when the request came from a loopback address, to a loopback host name, and through no proxy.
    """
    headers = st.context.headers
    if any(headers.get(name) for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded")):
        return False
    host = str(headers.get("Host", "")).rsplit(":", 1)[0].strip("[]")
    address = st.context.ip_address
    return host in ("localhost", "127.0.0.1", "::1") and (address is None or address in ("127.0.0.1", "::1"))


def may_use_camera() -> bool:
    """Whether browsers allow a page at this address to use the camera: only on HTTPS or on the machine itself."""
    url = urlsplit(st.context.url or "")
    host = url.hostname or "localhost"
    loopback = host in ("localhost", "::1") or host.endswith(".localhost") or re.fullmatch(r"127(\.\d+){3}", host)
    return url.scheme != "http" or bool(loopback)


def is_dark() -> bool:
    """Whether the visitor uses the dark theme."""
    return st.context.theme.type == "dark"
