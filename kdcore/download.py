"""Fetch one file: continued where it stopped, believed only when its checksum fits, and then in place in one step."""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from kdcore.errors import DownloadFailed

CHUNK = 1 << 18  # bytes between two words of progress
SILENT_SECONDS = 20.0  # a server that sends nothing for so long is given up
MARGIN_BYTES = 100 * 2**20  # left free on the disk


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network.

    Attributes:
        urls: where it is, tried in order.
        checksum: of its bytes, in hexadecimal, as torchvision has it: an MD5 (which guards against damage, not against
            malice), or with `algorithm` "sha256" the beginning of a SHA-256.
        size: bytes, about; only for progress and for the room on the disk.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    size: int
    algorithm: str = "md5"


@dataclass(frozen=True)
class FetchProgress:
    """How far a download is; `total_bytes` is over all files that are fetched together."""

    file: str
    done_bytes: int
    total_bytes: int


def is_whole(path: Path, remote: RemoteFile) -> bool:
    """Whether the file is there and its bytes are the right ones."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(remote.algorithm, usedforsecurity=False)).hexdigest()
    except OSError:
        return False
    return bool(remote.checksum) and found.startswith(remote.checksum)


def fetch(remote: RemoteFile, folder: Path) -> Iterator[int]:
    """Bring `remote` into `folder`, unless it is there; yields the bytes that are here so far.

    What arrives goes to `NAME.part`, which a later attempt continues, and takes its name only when its checksum fits;
    bytes that do not fit are thrown away. A generator that is closed early keeps its part.

    Raises:
        DownloadFailed: the network, the disk or the bytes; one sentence.
    """
    path = folder / remote.name
    part = folder / f"{remote.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{remote.name}.lock", timeout=0):
            if is_whole(path, remote):
                yield remote.size
                return
            _check_room(folder, remote, part)
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
    """Try every address; one whose bytes were damaged is asked once more, from the beginning."""
    problems: list[str] = []
    for url in remote.urls:
        for _again in range(2):
            try:
                yield from _receive(url, part)
            except (urllib.error.URLError, TimeoutError, ConnectionError, _CutOff) as error:
                problems.append(f"{urlsplit(url).hostname}: {_reason(error)}")
                break
            if is_whole(part, remote):
                return
            part.unlink(missing_ok=True)
            problems.append(f"{urlsplit(url).hostname}: what arrived was damaged")
    raise DownloadFailed(f"{remote.name} could not be fetched ({'; '.join(dict.fromkeys(problems))})")


class _CutOff(Exception):
    """The server ended before the length that it had promised."""


def _receive(url: str, part: Path) -> Iterator[int]:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=SILENT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "range not satisfiable": the part is whole already, or too long
            raise
        return
    with response:
        continued = response.status == 206
        promised = response.headers.get("Content-Length")
        done = have if continued else 0
        with part.open("ab" if continued else "wb") as file:
            start = done
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                yield done
    if promised is not None and done - start < int(promised):
        raise _CutOff


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code}"
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return "no answer in time"
    return "the connection was cut off" if isinstance(error, _CutOff | ConnectionResetError) else "not reachable"


def _check_room(folder: Path, remote: RemoteFile, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(folder).free
    if free < remote.size - have + MARGIN_BYTES:
        raise DownloadFailed(
            f"{remote.name} needs {remote.size / 1e6:.0f} MB, and only {free / 1e6:.0f} MB are free on the disk of "
            f"{folder}; free some space, or set KDCORE_HOME to another disk."
        )
