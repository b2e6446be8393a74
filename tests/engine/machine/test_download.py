"""Downloads: resumed, verified, never taken for complete when they are not, and one sentence if one fails."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdcore.errors import DownloadFailed
from kdcore.machine.download import RemoteFile, fetch
from tests.engine.conftest import Host


def remote(host: Host, name: str = "a.bin", size: int = 700_000) -> RemoteFile:
    body = np.random.default_rng(0).bytes(size)
    host.files[name] = body
    return RemoteFile(name, (host.url + name,), hashlib.md5(body, usedforsecurity=False).hexdigest(), size)


def test_a_file_arrives_whole_with_progress_and_is_not_fetched_twice(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    received = list(fetch(wanted, tmp_path))
    assert received == sorted(received)
    assert received[-1] == 700_000
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]
    assert list(fetch(wanted, tmp_path)) == [700_000]
    assert len(host.asked) == 1


def test_what_was_cut_off_is_continued_where_it_stopped(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    host.cut_at = 300_000
    with pytest.raises(DownloadFailed, match="cut off"):
        list(fetch(wanted, tmp_path))
    assert not (tmp_path / "a.bin").exists()
    host.cut_at = None
    list(fetch(wanted, tmp_path))
    assert host.asked[-1] == "a.bin@300000"
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]


def test_a_visitor_who_stops_keeps_what_has_come(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    arriving = fetch(wanted, tmp_path)
    received = next(arriving)
    arriving.close()
    assert not (tmp_path / "a.bin").exists()
    list(fetch(wanted, tmp_path))
    assert host.asked[-1] == f"a.bin@{received}"


def test_a_server_that_knows_no_ranges_starts_again(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    host.ranges = False
    list(fetch(wanted, tmp_path))
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]


@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_bytes_are_fetched_once_more_and_never_kept(host: Host, tmp_path: Path, damaged: int) -> None:
    wanted = remote(host)
    host.damage = damaged
    if damaged == 2:
        with pytest.raises(DownloadFailed, match="damaged"):
            list(fetch(wanted, tmp_path))
        assert not (tmp_path / "a.bin").exists()
        assert not (tmp_path / "a.bin.part").exists()
    list(fetch(wanted, tmp_path))
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]


def test_a_sha256_is_compared_as_far_as_it_is_known(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    sha256 = hashlib.sha256(host.files["a.bin"]).hexdigest()
    list(fetch(replace(wanted, checksum=sha256[:8], algorithm="sha256"), tmp_path))
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]
    (tmp_path / "a.bin").unlink()
    for wrong in ("0" * 8, sha256[:7] + ("0" if sha256[7] != "0" else "1"), ""):
        with pytest.raises(DownloadFailed, match="damaged"):
            list(fetch(replace(wanted, checksum=wrong, algorithm="sha256"), tmp_path))
        assert {path.name for path in tmp_path.iterdir()} <= {"a.bin.lock"}


def test_a_damaged_file_in_place_is_repaired(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    (tmp_path / "a.bin").write_bytes(b"half")
    list(fetch(wanted, tmp_path))
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]


def test_the_next_mirror_is_tried(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    list(fetch(replace(wanted, urls=(f"{host.url}not-here", *wanted.urls)), tmp_path))
    assert host.asked[0] == "not-here@0"
    assert (tmp_path / "a.bin").is_file()


def test_without_room_nothing_is_asked_for(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="MB are free"):
        list(fetch(replace(remote(host), size=10**18), tmp_path))
    assert not host.asked


def test_two_at_once_do_not_write_over_each_other(host: Host, tmp_path: Path) -> None:
    wanted = remote(host)
    first = fetch(wanted, tmp_path)
    next(first)
    with pytest.raises(DownloadFailed, match="already"):
        list(fetch(wanted, tmp_path))
    list(first)
    assert (tmp_path / "a.bin").read_bytes() == host.files["a.bin"]
