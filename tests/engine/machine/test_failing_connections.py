"""Downloads over connections that fail: each failure has its own sentence, and none is taken for a full disk."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kdcore.errors import DownloadFailed
from kdcore.machine import download
from kdcore.machine.download import RemoteFile, fetch

BODY = bytes(range(256)) * 2000


class Chunked(http.server.BaseHTTPRequestHandler):
    """Sends its answer in chunks and closes the connection in the middle of the second."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n" % 1000 + BODY[:1000] + b"\r\n" + b"%x\r\n" % 5000 + BODY[1000:1200])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class NoHttp(Chunked):
    def do_GET(self) -> None:
        self.wfile.write(b"220 this is another protocol\r\n")
        self.close_connection = True


@pytest.fixture(params=[Chunked, NoHttp])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[type, int]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        yield request.param, host.server_address[1]
        host.shutdown()
        thread.join()


def sentence(url: str, folder: Path) -> str:
    remote = RemoteFile("a.bin", (url,), hashlib.md5(BODY, usedforsecurity=False).hexdigest(), len(BODY))
    with pytest.raises(DownloadFailed) as failure:
        list(fetch(remote, folder))
    text = str(failure.value)
    assert "disk" not in text and "KDCORE_HOME" not in text and "\n" not in text
    return text


def test_a_cut_answer_and_one_that_is_not_http(server: tuple[type, int], tmp_path: Path) -> None:
    kind, port = server
    text = sentence(f"http://127.0.0.1:{port}/a.bin", tmp_path)
    assert ("cut off" if kind is Chunked else "not HTTP") in text


def test_a_server_without_tls(server: tuple[type, int], tmp_path: Path) -> None:
    assert "secure connection failed" in sentence(f"https://127.0.0.1:{server[1]}/a.bin", tmp_path)


class ClosedProxy(Chunked):
    def do_CONNECT(self) -> None:
        self.send_error(407, "Proxy Authentication Required")


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://127.0.0.1:{port}", "the proxy answered 407 Proxy Authentication Required"),
        ("http://proxy:port", "an address that cannot be used; check the proxy"),
    ],
)
def test_a_proxy_that_refuses_and_one_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, words: str
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ClosedProxy) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("https_proxy", proxy.format(port=host.server_address[1]))
        monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies that were set when it was made
        text = sentence("https://example.org/a.bin", tmp_path)
        host.shutdown()
        thread.join()
    assert words in text


class Failing:
    """An answer whose body ends with an error."""

    status, headers = 200, {"Content-Length": str(len(BODY))}

    def __init__(self, error: Exception) -> None:
        self.parts: list[Any] = [BODY[:4000], error]

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, _size: int) -> bytes:
        part = self.parts.pop(0)
        if isinstance(part, Exception):
            raise part
        return bytes(part)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record"), "secure connection failed"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "cut off"),
        (ConnectionResetError(104, "reset"), "cut off"),
        (TimeoutError("timed out"), "no answer in time"),
        (OSError(113, "No route to host"), "not reachable"),
    ],
)
def test_an_error_while_the_body_arrives(
    error: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *_, **__: Failing(error))
    assert words in sentence("https://somewhere.invalid/a.bin", tmp_path)
    assert (tmp_path / "a.bin.part").stat().st_size == 4000, "what came is kept"


def test_a_certificate_that_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise download.urllib.error.URLError(ssl.SSLCertVerificationError(1, "certificate verify failed"))

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    assert "certificate is not trusted" in sentence("https://somewhere.invalid/a.bin", tmp_path)


def test_a_full_disk_is_still_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin.part").mkdir()  # cannot be opened as a file
    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *_, **__: Failing(ValueError()))
    remote = RemoteFile("a.bin", ("https://somewhere.invalid/a.bin",), "00", len(BODY))
    with pytest.raises(DownloadFailed, match="cannot be written"):
        list(fetch(remote, tmp_path))
