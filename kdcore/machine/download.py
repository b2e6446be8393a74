"""Download one file: an interrupted download is resumed, the checksum is verified, and the file appears complete."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from kdcore.errors import DownloadFailed

CHUNK = 1 << 18  # bytes read between two progress reports
TIMEOUT_SECONDS = 20.0  # timeout for a server that sends nothing
MARGIN_BYTES = 100 * 2**20  # that a download must leave free on the disk
_PROXY_REFUSED = "Tunnel connection failed: "  # how http.client begins the error of a proxy that opens no connection


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network.

    Attributes:
        urls: addresses, tried in order.
        checksum: in hexadecimal, as torchvision publishes it: an MD5 (which detects damage, but not a malicious file),
            or, with `algorithm` "sha256", the first digits of a SHA-256.
        size: approximate size in bytes, used for progress and to check the free disk space.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    size: int
    algorithm: str = "md5"


@dataclass(frozen=True)
class FetchProgress:
    """Progress of a download.

    Attributes:
        file: name of the file that is being fetched.
        done_bytes, total_bytes: over all files that are fetched together.
    """

    file: str
    done_bytes: int
    total_bytes: int


def is_complete(path: Path, remote: RemoteFile) -> bool:
    """Whether the file exists and its checksum matches."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(remote.algorithm, usedforsecurity=False)).hexdigest()
    except OSError:
        return False
    return bool(remote.checksum) and found.startswith(remote.checksum)


def fetch(remote: RemoteFile, folder: Path) -> Iterator[int]:
    """Download `remote` into `folder`, unless it is there already; yields the number of bytes received so far.

    Received bytes go to `NAME.part`, which is renamed once its checksum matches and deleted if it does not. If the
    download fails or the generator is closed early, the part stays, and a later call resumes it.

    Raises:
        DownloadFailed: the server cannot be reached, the data is damaged, the disk is full or not writable, or another
            process fetches the same file.
    """
    path = folder / remote.name
    part = folder / f"{remote.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{remote.name}.lock", timeout=0):
            if is_complete(path, remote):
                yield remote.size
                return
            _check_free_space(folder, remote, part)
            yield from _fetch_from_any(remote, part)
            part.replace(path)
    except Timeout as error:
        raise DownloadFailed(f"{remote.name} is being fetched by another process already; wait for it.") from error
    except OSError as error:
        raise DownloadFailed(
            f"{remote.name} cannot be written to {folder} ({error.strerror or error}); free some disk space, or set "
            "KDCORE_HOME to a folder that may be written."
        ) from error


def _fetch_from_any(remote: RemoteFile, part: Path) -> Iterator[int]:
    """Try every address in order; if the data from one is damaged, try it once more from the beginning."""
    problems: list[str] = []
    for url in remote.urls:
        for _again in range(2):
            try:
                yield from _download_part(url, part)
            except (urllib.error.URLError, _ConnectionFailed) as error:
                problems.append(f"{urlsplit(url).hostname}: {_reason(error)}")
                break
            if is_complete(part, remote):
                return
            part.unlink(missing_ok=True)
            problems.append(f"{urlsplit(url).hostname}: what arrived was damaged")
    raise DownloadFailed(f"{remote.name} could not be fetched ({'; '.join(dict.fromkeys(problems))})")


class _ConnectionFailed(Exception):
    """The network failed, not the disk; `reason` is the error that said so."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Context for what only asks the network, whose errors are `OSError`s like those of the disk."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: an address that is none
        raise _ConnectionFailed(error) from error


def _download_part(url: str, part: Path) -> Iterator[int]:
    received = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={received}-"} if received else {})
    try:
        with _network():
            response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "range not satisfiable": the part is complete already, or too long
            raise
        return
    with response:
        is_resumed = response.status == 206
        announced_bytes = response.headers.get("Content-Length")
        done = received if is_resumed else 0
        with part.open("ab" if is_resumed else "wb") as file:
            start = done
            while chunk := _read(response):
                file.write(chunk)
                done += len(chunk)
                yield done
    if announced_bytes is not None and done - start < int(announced_bytes):
        raise _ConnectionFailed(http.client.IncompleteRead(b""))


def _read(response: http.client.HTTPResponse) -> bytes:
    with _network():
        return response.read(CHUNK)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLCertVerificationError | ssl.SSLEOFError):
        what = getattr(reason, "reason", None) or "TLS"  # OpenSSL's name of the error, such as WRONG_VERSION_NUMBER
        return f"the secure connection failed ({what.replace('_', ' ')})"
    if str(reason).startswith(_PROXY_REFUSED):
        return f"the proxy answered {str(reason).removeprefix(_PROXY_REFUSED)}"
    return next((words for kinds, words in _REASONS if isinstance(reason, kinds)), "not reachable")


_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (  # the first that fits
    (
        (ssl.SSLCertVerificationError,),
        "its certificate is not trusted here; check this machine's clock and its certificates",
    ),
    ((TimeoutError,), "no answer in time"),
    ((http.client.IncompleteRead, ConnectionResetError, ssl.SSLEOFError), "the connection was cut off"),
    ((http.client.InvalidURL, ValueError), "an address that cannot be used; check the proxy that is set"),
    ((http.client.HTTPException,), "an answer that is not HTTP"),
)


def _check_free_space(folder: Path, remote: RemoteFile, part: Path) -> None:
    received = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(folder).free
    if free < remote.size - received + MARGIN_BYTES:
        raise DownloadFailed(
            f"{remote.name} needs {remote.size / 1e6:.0f} MB, and only {free / 1e6:.0f} MB are free on the disk of "
            f"{folder}; free some space, or set KDCORE_HOME to another disk."
        )
