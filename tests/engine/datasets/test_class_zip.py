"""A zip of class folders: what is read of it, and what is refused, each with one sentence."""

from __future__ import annotations

import io
import zipfile

import pytest

from kdcore.datasets import class_zip
from kdcore.datasets.given import GivenPicture, read_class_zip
from kdcore.errors import ConfigError
from tests.engine.datasets.sources import encoded, picture

PNG = encoded(picture(0))


def zipped(files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def names(data: bytes) -> dict[str, list[str]]:
    return {folder: [one.name for one in pictures] for folder, pictures in read_class_zip(data).items()}


def test_class_folders_are_read_and_the_rest_is_left_out() -> None:
    files = {
        "cat/1.png": PNG,
        "cat/indoors/2.png": PNG,
        "dog/3.png": PNG,
        "4.png": PNG,
        "dog/notes.txt": b"not a picture",
        "dog/.DS_Store": b"x",
        "__MACOSX/cat/._1.png": PNG,
    }
    assert names(zipped(files)) == {"cat": ["1.png", "2.png"], "dog": ["3.png"], "": ["4.png"]}
    assert read_class_zip(zipped(files))["dog"] == (GivenPicture("3.png", PNG),)


@pytest.mark.parametrize("around", ["pets/", "pets/train/", "train/"])
def test_folders_around_the_class_folders_are_passed_over(around: str) -> None:
    assert names(zipped({f"{around}cat/1.png": PNG, f"{around}dog/2.png": PNG})) == {"cat": ["1.png"], "dog": ["2.png"]}


def test_one_folder_of_pictures_is_one_class() -> None:
    assert names(zipped({"cat/1.png": PNG, "cat/2.png": PNG})) == {"cat": ["1.png", "2.png"]}


def test_names_in_utf8_without_the_flag_are_read_as_macos_writes_them() -> None:
    data = zipped({"Xpfel/1.png": PNG, "b/2.png": PNG})
    assert set(names(data.replace(b"Xpfel", "Äpfe".encode()))) == {"Äpfe", "b"}
    with pytest.raises(ConfigError, match="unknown encoding"):
        read_class_zip(data.replace(b"Xpfel", b"\xc4pfel"))


@pytest.mark.parametrize("name", ["../cat/1.png", "cat/../../1.png", "/cat/1.png", "C:/cat/1.png", "..\\cat\\1.png"])
def test_a_path_that_climbs_out_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="climbs out"):
        read_class_zip(zipped({name: PNG}))


def test_a_zip_that_swells_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_zip, "MAX_UNPACKED_BYTES", 2**20)
    with pytest.raises(ConfigError, match="swell to more than 1 MB"):
        read_class_zip(zipped({"cat/1.png": PNG + bytes(2**21)}))
    liar = bytearray(zipped({"cat/1.png": PNG + bytes(2**21)}))  # says that the file is small, and is not
    at = liar.rindex(b"PK\x01\x02") + 24
    liar[at : at + 4] = (1_000).to_bytes(4, "little")
    with pytest.raises(ConfigError, match="damaged"):
        read_class_zip(bytes(liar))


def test_other_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = bytearray(zipped({"cat/1.png": PNG}))
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(start) + offset] |= 1
    odd = bytearray(zipped({"cat/1.png": PNG}))
    for start, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        odd[odd.index(start) + offset] = 97
    refused = {
        "is damaged or is none": b"not a zip",
        "holds another one": zipped({"cat/inner.zip": zipped({"1.png": PNG})}),
        "holds no picture": zipped({"cat/notes.txt": b"x"}),
        "protected by a password": bytes(locked),
        "cannot be read here": bytes(odd),
    }
    for sentence, data in refused.items():
        with pytest.raises(ConfigError, match=sentence) as caught:
            read_class_zip(data)
        assert "\n" not in str(caught.value)
    whole = zipped({"cat/1.png": PNG})
    for cut in range(0, len(whole), 97):
        with pytest.raises(ConfigError):
            read_class_zip(whole[:cut])
    monkeypatch.setattr(class_zip, "MAX_FILES", 2)
    with pytest.raises(ConfigError, match="holds 3 files"):
        read_class_zip(zipped({f"cat/{place}.png": PNG for place in range(3)}))
