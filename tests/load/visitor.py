"""A visitor without a browser: one WebSocket session that opens pages as Streamlit's own browser code does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from pages.ui.frame.shell import pages

PAGES = tuple(page.key for page in pages())
COOKIE = "kd_visitor"
LONGEST = 120.0  # seconds to wait for a page: a cold first page draws pictures and measures latency
_DONE = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_WITH_COMPILE_ERROR)


@dataclass(frozen=True)
class PageView:
    """One page as the server answered it.

    Attributes:
        page: the page's key, such as "home".
        seconds: from the request until the server's message that the script has finished.
        bytes: size of all messages of the answer.
        errors: what went wrong, empty if nothing did: sentences in red, exceptions, a lost connection.
    """

    page: str
    seconds: float
    bytes: int
    errors: tuple[str, ...] = ()


class Visitor:
    """One session of the app.

    Like a browser, it keeps the server's cacheable messages and says which it has.
    """

    def __init__(self, socket: ClientConnection, query: dict[str, str]) -> None:
        self._socket = socket
        self._query = query
        self._scripts: dict[str, str] = {}  # a page's path in the URL, and the hash by which a link names its script
        self._cached: set[str] = set()

    async def open(self, page: str) -> PageView:
        """Go to a page: by its URL the first time, by the link in the navigation after that."""
        began, size, errors = time.perf_counter(), 0, []
        try:
            async with asyncio.timeout(LONGEST):
                await self._socket.send(self._request(page).SerializeToString())
                async for data in self._socket:
                    size += len(data)
                    message = ForwardMsg.FromString(bytes(data))
                    errors += _errors(message)
                    self._keep(message)
                    if message.WhichOneof("type") == "script_finished" and message.script_finished in _DONE:
                        break
                else:
                    errors.append("the server closed the connection")
        except (OSError, TimeoutError) as error:
            errors.append(f"{type(error).__name__}: {error}")
        return PageView(page, time.perf_counter() - began, size, tuple(errors))

    def _request(self, page: str) -> BackMsg:
        request = BackMsg()
        name = "" if page == "home" else page
        request.rerun_script.query_string = urlencode(self._query)
        if name in self._scripts:
            request.rerun_script.page_script_hash = self._scripts[name]
        else:
            request.rerun_script.page_name = name
        request.rerun_script.cached_message_hashes.extend(self._cached)
        request.rerun_script.context_info.locale = "en"
        return request

    def _keep(self, message: ForwardMsg) -> None:
        if message.WhichOneof("type") == "new_session":
            shown = message.new_session
            self._scripts = {
                "" if page.page_script_hash == shown.main_script_hash else page.url_pathname: page.page_script_hash
                for page in shown.app_pages
            }
        if message.metadata.cacheable and message.hash:
            self._cached.add(message.hash)


def _errors(message: ForwardMsg) -> list[str]:
    """What a visitor would see as an error, or not see because the script stopped."""
    kind = message.WhichOneof("type")
    if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
        element = message.delta.new_element
        if element.WhichOneof("type") == "exception":
            return [f"{element.exception.type}: {element.exception.message}"]
        if element.WhichOneof("type") == "alert" and element.alert.format == element.alert.ERROR:
            return [element.alert.body]
    if kind == "page_not_found":
        return [f"there is no page {message.page_not_found.page_name!r}"]
    if kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
        return ["the script did not compile"]
    return []


@contextlib.asynccontextmanager
async def visit(url: str, number: int, query: dict[str, str] | None = None) -> AsyncIterator[Visitor]:
    """Connect a visitor whose browser already has the app's cookie; leaving closes the tab.

    Args:
        url: the app's address, such as "http://127.0.0.1:8501".
        number: makes this visitor's id, so that no two visitors share one.
        query: the query string with which every page is opened.
    """
    stream = url.replace("http", "ws", 1) + "/_stcore/stream"
    headers = {"Cookie": f"{COOKIE}={number:032x}", "User-Agent": "kdcore load test"}
    async with connect(
        stream, subprotocols=["streamlit"], additional_headers=headers, max_size=None, proxy=None, open_timeout=LONGEST
    ) as socket:
        yield Visitor(socket, query or {})
