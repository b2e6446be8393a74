"""What a visitor collects: pictures are read and reduced, placed, removed, and checked before anything is taught."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pages.ui.own_classes.collection import (
    EXTRA,
    MOST_CLASSES,
    MOST_PICTURES,
    SIDE,
    CollectedPicture,
    Collection,
    problems,
    read_pictures,
    renamed,
    with_class,
    with_folders,
    with_pictures,
    without_class,
    without_picture,
)


def png(level: int, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, 255 - level, level)).save(buffer, "PNG")
    return buffer.getvalue()


def made(*keys: str) -> list[CollectedPicture]:
    return [CollectedPicture(key, f"{key}.png", b"", "") for key in keys]


def filled(first: int = 5, second: int = 5) -> Collection:
    collection, _notes = with_pictures(Collection(), 1, made(*(f"a{i}" for i in range(first))))
    collection, _notes = with_pictures(collection, 2, made(*(f"b{i}" for i in range(second))))
    return collection


def test_a_large_picture_is_reduced_a_small_one_keeps_its_pixels_and_a_bad_file_is_one_sentence() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    pictures, sentences = read_pictures(
        [("large.png", png(9, (1000, 500))), ("small.png", buffer.getvalue()), ("notes.png", b"no picture")]
    )
    assert [one.name for one in pictures] == ["large.png", "small.png"]
    assert Image.open(io.BytesIO(pictures[0].png)).size == (SIDE, SIDE // 2)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pictures[1].png))), noise)
    (sentence,) = sentences
    assert '"notes.png"' in sentence


def test_the_same_picture_has_the_same_key_whatever_its_name_and_others_have_others() -> None:
    (one, same, other), _sentences = read_pictures([("a.png", png(1)), ("b.png", png(1)), ("c.png", png(2))])
    assert one.key == same.key != other.key


def test_a_picture_is_added_once_and_removed_alone() -> None:
    collection, notes = with_pictures(Collection(), 1, made("a", "b", "a"))
    assert [one.key for one in collection.pictures(1)] == ["a", "b"]
    assert notes == ("1 picture is there already.",)
    collection = without_picture(collection, 1, "a")
    assert [one.key for one in collection.pictures(1)] == ["b"]
    assert collection.pictures(2) == collection.pictures(EXTRA) == ()


def test_a_class_holds_so_many_pictures_and_says_how_many_were_left_out() -> None:
    collection, notes = with_pictures(Collection(), 1, made(*map(str, range(MOST_PICTURES + 7))))
    assert len(collection.pictures(1)) == MOST_PICTURES
    assert notes == (f"At most {MOST_PICTURES} pictures fit here; 7 were left out.",)


def test_two_to_eight_classes_whose_numbers_are_never_used_twice() -> None:
    collection = Collection()
    assert without_class(collection, 1) == collection
    for _more in range(MOST_CLASSES):
        collection = with_class(collection)
    assert [one.number for one in collection.classes] == list(range(1, MOST_CLASSES + 1))
    collection = without_class(collection, 3)
    assert 3 not in [one.number for one in with_class(without_class(collection, 4)).classes]


def test_folders_go_to_the_class_of_their_name_then_to_empty_ones_and_loose_pictures_have_no_label() -> None:
    start = renamed(Collection(), 2, "oak")
    collection, notes = with_folders(start, {"elm": made("e"), "oak": made("o"), "ash": made("a"), "": made("x")})
    assert {one.name: [p.key for p in one.pictures] for one in collection.classes} == {
        "elm": ["e"], "oak": ["o"], "ash": ["a"]
    }  # fmt: skip
    assert [one.key for one in collection.extra] == ["x"]
    assert notes == ()


def test_more_folders_than_classes_are_named() -> None:
    folders = {f"kind {n}": made(str(n)) for n in range(MOST_CLASSES + 2)}
    collection, notes = with_folders(Collection(), folders)
    assert len(collection.classes) == MOST_CLASSES
    assert "kind 8, kind 9" in notes[0]


def test_what_hinders_the_teaching_is_said_in_one_sentence_each() -> None:
    assert problems(filled(), 5) == ()
    assert problems(filled(first=1), 5) == ("Class 1 has 1 picture, and a class needs at least 5.",)
    same = renamed(renamed(filled(), 1, "Oak"), 2, " oak ")
    assert problems(same, 5) == ("Two classes are called Oak; give one of them another name.",)
    twins, _notes = with_pictures(filled(), 2, made("a3"))
    assert problems(twins, 5) == ("a3.png is in Class 1 and in Class 2; remove it from one of them.",)
