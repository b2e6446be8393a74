"""What the tests of the engine share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdcore.store import Store

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig

EPOCHS = 6


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's own, in a home of its own."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    with Store() as store:
        yield store


@dataclass
class Host:
    """A server on this machine that can cut off, damage, refuse and count what it is asked for."""

    files: dict[str, bytes]
    url: str = ""
    cut_at: int | None = None
    damage: int = 0  # so many answers have a wrong byte
    ranges: bool = True
    asked: list[str] = field(default_factory=list)

    def answer(self, name: str, start: int) -> bytes | None:
        self.asked.append(f"{name}@{start}")
        whole = self.files.get(name)
        if whole is None:
            return None
        if self.damage:
            self.damage -= 1
            whole = whole[:-1] + bytes([whole[-1] ^ 1])
        return whole[start:] if self.ranges else whole


@pytest.fixture
def host() -> Iterator[Host]:
    served = Host({})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            body = served.answer(self.path[1:], start)
            if body is None:
                self.send_error(404)
                return
            self.send_response(206 if start and served.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if served.cut_at is None else body[: served.cut_at])

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Any:
    """Trains runs without measuring them: a `tests.engine.unmeasured.Trained`."""
    from tests.engine.unmeasured import Trained

    return Trained(monkeypatch, own_home)


@pytest.fixture
def config() -> RunConfig:
    """A short run on digits."""
    from kdcore.settings.config import make_run_config  # loads torch, which takes seconds

    return make_run_config("digits", labels=60, epochs=EPOCHS, seeds=2, batch_size=20, device="cpu")
