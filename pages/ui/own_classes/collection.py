"""The pictures that a visitor has given for classes of their own, before anything is taught. Pure, no streamlit.

A collection is a frozen value; every change returns a new one. Pictures are kept reduced, so that a session stays
small in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from kdcore.errors import PictureError
from kdcore.pictures.decode import open_picture
from pages.ui.kit.formats import join_names
from pages.ui.kit.images import data_url, png_of
from pages.ui.session.i18n import _, ngettext

FEWEST_CLASSES, MOST_CLASSES = 2, 8
MOST_PICTURES = 60  # of one class
MOST_EXTRA = 200  # without labels
EXTRA = 0  # stands, where a class's number would, for the pictures without labels
SIDE, THUMBNAIL_SIDE = 256, 72  # longest side in pixels of a kept picture, and of its thumbnail


@dataclass(frozen=True)
class CollectedPicture:
    """One picture of a collection.

    Attributes:
        key: hash of its pixels; equal pictures have equal keys.
        name: the file's name, for sentences.
        png: the picture, at most `SIDE` pixels a side.
        thumbnail: a data URL.
    """

    key: str
    name: str
    png: bytes
    thumbnail: str


@dataclass(frozen=True)
class OwnClass:
    """One class: its number, which never changes, the name that was typed ("" for none yet), and its pictures."""

    number: int
    typed_name: str = ""
    pictures: tuple[CollectedPicture, ...] = ()

    @property
    def name(self) -> str:
        return self.typed_name or _("Class {n}").format(n=self.number)


@dataclass(frozen=True)
class Collection:
    """Classes with their pictures, and the pictures without labels."""

    classes: tuple[OwnClass, ...] = (OwnClass(1), OwnClass(2))
    extra: tuple[CollectedPicture, ...] = ()

    def pictures(self, place: int) -> tuple[CollectedPicture, ...]:
        """Return the pictures of the class with the number `place`, or those without labels for `EXTRA`."""
        return self.extra if place == EXTRA else self.of_number(place).pictures

    def of_number(self, number: int) -> OwnClass:
        """Return the class with this number; an empty one where there is none."""
        return next((one for one in self.classes if one.number == number), OwnClass(number))

    def _with_pictures(self, place: int, pictures: tuple[CollectedPicture, ...]) -> Collection:
        if place == EXTRA:
            return replace(self, extra=pictures)
        return replace(
            self,
            classes=tuple(replace(one, pictures=pictures) if one.number == place else one for one in self.classes),
        )


def read_pictures(files: Iterable[tuple[str, bytes]]) -> tuple[list[CollectedPicture], list[str]]:
    """Decode files, given as pairs of a name and its bytes, and reduce them.

    Returns:
        The pictures, and one sentence for each file that cannot be opened.
    """
    pictures, problems = [], []
    for name, data in files:
        try:
            picture = open_picture(data, name).convert("RGB")
        except PictureError as error:
            problems.append(str(error))
            continue
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        key = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()[:24]
        small = picture.copy()
        small.thumbnail((THUMBNAIL_SIDE * 2, THUMBNAIL_SIDE * 2))
        thumbnail = data_url(small, "WEBP", quality=80, method=2)
        pictures.append(CollectedPicture(key, name, png_of(picture), thumbnail))
    return pictures, problems


def with_pictures(
    collection: Collection, place: int, new: Sequence[CollectedPicture]
) -> tuple[Collection, tuple[str, ...]]:
    """Add pictures to a class, or to those without labels, up to the limit; one that is there already is left out.

    Returns:
        The collection, and whole sentences about what was left out.
    """
    there = collection.pictures(place)
    known = {one.key for one in there}
    fresh = list({one.key: one for one in new if one.key not in known}.values())
    most = MOST_EXTRA if place == EXTRA else MOST_PICTURES
    taken = fresh[: max(0, most - len(there))]
    notes = []
    if copies := len(new) - len(fresh):
        text = ngettext("{n} picture is there already.", "{n} pictures are there already.", copies)
        notes.append(text.format(n=copies))
    if len(taken) < len(fresh):
        text = _("At most {most} pictures fit here; {n} were left out.")
        notes.append(text.format(most=most, n=len(fresh) - len(taken)))
    return collection._with_pictures(place, (*there, *taken)), tuple(notes)


def without_picture(collection: Collection, place: int, key: str) -> Collection:
    """Remove the picture with this key from a class, or from those without labels."""
    return collection._with_pictures(place, tuple(one for one in collection.pictures(place) if one.key != key))


def with_class(collection: Collection, name: str = "") -> Collection:
    """Add an empty class, unless there are `MOST_CLASSES` already."""
    if len(collection.classes) >= MOST_CLASSES:
        return collection
    number = 1 + max((one.number for one in collection.classes), default=0)
    return replace(collection, classes=(*collection.classes, OwnClass(number, name)))


def without_class(collection: Collection, number: int) -> Collection:
    """Remove a class with its pictures, unless only `FEWEST_CLASSES` are left."""
    if len(collection.classes) <= FEWEST_CLASSES:
        return collection
    return replace(collection, classes=tuple(one for one in collection.classes if one.number != number))


def renamed(collection: Collection, number: int, name: str) -> Collection:
    """Give a class the name that was typed."""
    name = " ".join(name.split())
    return replace(
        collection,
        classes=tuple(replace(one, typed_name=name) if one.number == number else one for one in collection.classes),
    )


def with_folders(
    collection: Collection, folders: Mapping[str, Sequence[CollectedPicture]]
) -> tuple[Collection, tuple[str, ...]]:
    """Add the pictures of class folders, by the folder's name; those under "" have no label.

    A folder goes to the class of its name, else to the first class without name and pictures, else to a new class.

    Returns:
        The collection, and whole sentences about what was left out.
    """
    notes: list[str] = []
    left_out = []
    for folder, pictures in folders.items():
        place, changed = (EXTRA, collection) if not folder else _place_for(collection, folder)
        if place is None:
            left_out.append(folder)
            continue
        collection, more = with_pictures(changed, place, pictures)
        notes += more
    if left_out:
        text = _("At most {most} classes can be taught at once, so these folders were left out: {names}.")
        notes.append(text.format(most=MOST_CLASSES, names=join_names(left_out)))
    return collection, tuple(notes)


def _place_for(collection: Collection, name: str) -> tuple[int | None, Collection]:
    """Return the number of the class that a folder's pictures belong to, or None if there is no room, and the
    collection with this class."""
    for one in collection.classes:
        if one.name == name:
            return one.number, collection
    for one in collection.classes:
        if not one.typed_name and not one.pictures:
            return one.number, renamed(collection, one.number, name)
    larger = with_class(collection, name)
    return (None, collection) if larger is collection else (larger.classes[-1].number, larger)


def problems(collection: Collection, fewest: int) -> tuple[str, ...]:
    """Return whole sentences about what must change before the classes can be taught; empty if nothing must.

    Args:
        fewest: number of pictures that each class needs.
    """
    found = []
    names = [one.name.casefold() for one in collection.classes]
    if double := next((one.name for one in collection.classes if names.count(one.name.casefold()) > 1), None):
        found.append(_("Two classes are called {name}; give one of them another name.").format(name=double))
    for one in collection.classes:
        if len(one.pictures) < fewest:
            text = ngettext(
                "{name} has {n} picture, and a class needs at least {fewest}.",
                "{name} has {n} pictures, and a class needs at least {fewest}.",
                len(one.pictures),
            )
            found.append(text.format(name=one.name, n=len(one.pictures), fewest=fewest))
    return (*found, *_twins(collection))


def _twins(collection: Collection) -> tuple[str, ...]:
    """Return a sentence about the first picture that is in two classes; a teacher cannot be told both."""
    first: dict[str, str] = {}
    for one in collection.classes:
        for picture in one.pictures:
            other = first.setdefault(picture.key, one.name)
            if other != one.name:
                text = _("{picture} is in {one} and in {other}; remove it from one of them.")
                return (text.format(picture=picture.name, one=other, other=one.name),)
    return ()
