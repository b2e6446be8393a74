"""HEIC in a process of its own: what the process does cannot end this one, and a new one takes its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from kdcore.errors import PictureError
from kdcore.pictures import heic
from kdcore.pictures.decode import decode_here, open_picture
from kdcore.pictures.heic import HeicDecoder
from tests.picture_files import HEIC


@pytest.fixture
def decoder() -> Iterator[HeicDecoder]:
    decoder = HeicDecoder()
    yield decoder
    decoder.close()


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@pytest.mark.parametrize("name", sorted(HEIC))
def test_the_process_decodes_as_this_process_would(decoder: HeicDecoder, name: str) -> None:
    apart, here = decoder.decode(HEIC[name], "it"), decode_here(HEIC[name], "it")
    assert np.array_equal(np.asarray(apart), np.asarray(here))


def test_a_refusal_is_the_same_sentence_and_the_process_stays(decoder: HeicDecoder) -> None:
    before = children()
    decoder.decode(HEIC["ramp"], "it")
    (process,) = children() - before
    cut = HEIC["ramp"][: len(HEIC["ramp"]) // 2]
    with pytest.raises(PictureError) as apart:
        decoder.decode(cut, '"é.heic"')
    with pytest.raises(PictureError) as here:
        decode_here(cut, '"é.heic"')
    assert str(apart.value) == str(here.value)
    assert children() - before == {process}


def test_a_killed_process_is_replaced(decoder: HeicDecoder) -> None:
    before = children()
    decoder.decode(HEIC["ramp"], "it")
    (pid,) = children() - before
    psutil.Process(pid).kill()
    psutil.wait_procs([psutil.Process(pid)], timeout=30)
    assert decoder.decode(HEIC["ramp"], "it").size == decode_here(HEIC["ramp"], "it").size
    assert pid not in children()
    decoder.close()
    assert children() == before


def test_a_picture_that_takes_too_long_is_refused_and_the_next_one_is_opened(
    decoder: HeicDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as short:
        short.setattr(heic, "LONGEST", 0.0)
        with pytest.raises(PictureError, match="damaged"):
            decoder.decode(HEIC["ramp"], "it")
    assert decoder.decode(HEIC["ramp"], "it")


def test_a_file_that_ends_the_decoder_does_not_end_the_app() -> None:
    broken = HEIC["turned"].replace(b"Exif", b"E\xfeif", 1)  # pi-heif 1.4 reads the type of metadata as UTF-8
    with contextlib.suppress(PictureError):  # a later version may open it
        open_picture(broken)
    assert open_picture(HEIC["turned"])
