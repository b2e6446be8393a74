"""Draws the classes that a visitor is collecting: a card for each, with its name and its pictures.

Everything here stays in the session's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kdcore.errors import KdError
from pages.ui.components.burst_camera import burst_camera
from pages.ui.components.thumbnails import thumbnails
from pages.ui.kit import formats
from pages.ui.own_classes import collection as own
from pages.ui.own_classes.collection import EXTRA, MOST_CLASSES, Collection, OwnClass
from pages.ui.pictures.pickers import PICTURE_TYPES
from pages.ui.session import browser, state, uploads
from pages.ui.session.i18n import _, ngettext

UPLOADS_KEPT = 500  # files of one session that may be on their way at a time
_COLLECTION, _NOTES, _CAMERA, _TURN = "own_collection", "own_notes", "own_camera", "own_turn"  # session slots


def collection() -> Collection:
    """Return what this session has collected so far."""
    kept = state.kept(_COLLECTION)
    return kept if isinstance(kept, Collection) else Collection()


def forget_collection() -> None:
    """Remove everything that was collected from the session's memory."""
    state.keep(_COLLECTION, None)


def draw_collection() -> DeltaGenerator:
    """Draw the cards of all classes, two in a row, and below them the zip and the pictures without labels.

    Returns:
        A place below the pictures without labels, for what else is to be said of them.
    """
    current = collection()
    for first in range(0, len(current.classes), 2):
        columns = st.columns(2, gap="medium")
        for column, one in zip(columns, current.classes[first : first + 2], strict=False):
            with column:
                _draw_class(one.number, len(current.classes) > own.FEWEST_CLASSES)
    if len(current.classes) < MOST_CLASSES:
        st.button(_("Add a class"), key="own_add_class", icon=":material/add:", on_click=_add_class)
    left, right = st.columns(2, gap="medium")
    with left, st.expander(_("All classes at once, from a zip"), key="own_zip_box"):
        if _uploader("own_zip", ("zip",), _("A zip with one folder of pictures a class"), add_zips, multiple=False):
            st.rerun()  # the classes are drawn above
        _draw_notes(_ZIP)
    title = _("Pictures without labels ({n})").format(n=len(current.extra))
    with right, st.expander(title, key="own_extra_box", expanded=bool(current.extra)):
        st.caption(
            _("The teacher says what it sees in them, and the distilled student learns from that. The baseline cannot "
              "use them: nobody told it what they show.")
        )  # fmt: skip
        if _uploader(f"own_files_{EXTRA}", PICTURE_TYPES, _("Pictures without labels"), add_files, EXTRA):
            st.rerun()  # the number stands in the title
        _draw_pictures(EXTRA)
        return st.container()


_ZIP = -1  # stands, where a class's number would, for the zip's notes


def _draw_class(number: int, removable: bool) -> None:
    with st.container(border=True, key=f"own_class_{number}"):
        head = st.container(horizontal=True, vertical_alignment="center", gap="small")
        label = _("Pictures of {name}").format(name=collection().of_number(number).name)
        _uploader(f"own_files_{number}", PICTURE_TYPES, label, add_files, number)
        with head:
            _draw_head(collection().of_number(number), removable)
        _draw_camera(number)
        _draw_pictures(number)


def _draw_head(one: OwnClass, removable: bool) -> None:
    """Draw a class's name, the number of its pictures, and where it is removable a button that removes it."""
    key = f"own_name_{one.number}"
    state.set_initial(key, one.typed_name)
    if state.widget_value(key) != one.typed_name:  # a zip gave it a name
        state.set_widget(key, one.typed_name)
    st.text_input(
        _("Name of class {n}").format(n=one.number), key=key, placeholder=one.name, max_chars=40,
        label_visibility="collapsed", on_change=_on_name, args=(one.number,),
    )  # fmt: skip
    st.html(f'<span class="kd-own-count">{_count(len(one.pictures))}</span>', width="content")
    if removable:
        st.button(
            "", key=f"own_drop_{one.number}", icon=":material/delete:", type="tertiary",
            help=_("Remove this class with its pictures"), on_click=_drop_class, args=(one.number,),
        )  # fmt: skip


def _draw_camera(number: int) -> None:
    """Draw the switch of this class's camera, and the camera if it is on; only one class has it at a time."""
    on = state.kept(_CAMERA) == number
    label = _("Close the camera") if on else _("Use the camera")
    st.button(
        label, key=f"own_camera_{number}", icon=":material/photo_camera:", on_click=state.keep,
        args=(_CAMERA, None if on else number),
    )  # fmt: skip
    if on and browser.may_use_camera():
        burst_camera(key=f"own_burst_{number}", on_shots=_on_shots, args=(number,))
    elif on:
        st.info(
            _("Browsers give a camera only to a page on HTTPS or on localhost, and this address is neither: upload "
              "pictures instead."),
            icon=":material/no_photography:",
        )  # fmt: skip


def _draw_pictures(place: int) -> None:
    _draw_notes(place)
    pictures = collection().pictures(place)
    if pictures:
        shown = [(one.key, one.name, one.thumbnail) for one in pictures]
        thumbnails(shown, key=f"own_thumbs_{place}", on_remove=_on_remove, args=(place,))


def _count(number: int) -> str:
    return ngettext("{n} picture", "{n} pictures", number).format(n=number)


def _uploader(
    key: str, types: Iterable[str], label: str, add: Callable[..., None], *args: int, multiple: bool = True
) -> bool:
    """Draw an uploader whose files, as pairs of a name and bytes, are added by `add`; say whether there were any.

    Then it is empty again, under another key. The files are added here and not in a callback, because a callback that
    the visitor's next action interrupts is not called again: its files would be lost.
    """
    place = st.empty()

    def draw() -> object:
        return place.file_uploader(
            label, type=list(types), accept_multiple_files=multiple, key=f"{key}_{_turn(key)}",
            label_visibility="collapsed",
        )  # fmt: skip

    value = draw()
    if not value:
        return False
    add(*args, uploads.read_files(value))
    state.keep(f"{_TURN}_{key}", _turn(key) + 1)
    uploads.remove_files(value)
    draw()
    return True


def _turn(key: str) -> int:
    """Return how often the uploader `key` was emptied."""
    turn = state.kept(f"{_TURN}_{key}")
    return turn if isinstance(turn, int) else 0


# --- changes of the collection


def _change(changed: Collection, place: int, notes: Iterable[str]) -> None:
    state.keep(_COLLECTION, changed)
    state.keep(_NOTES, (place, tuple(notes)))


def _draw_notes(place: int) -> None:
    """Show the sentences about the last change to a class, once."""
    kept = state.kept(_NOTES)
    if isinstance(kept, tuple) and kept[0] == place:
        state.keep(_NOTES, None)
        for sentence in kept[1][:5]:
            st.warning(formats.as_markdown(sentence))
        if len(kept[1]) > 5:
            st.warning(_("{n} more files could not be used.").format(n=len(kept[1]) - 5))


def add_files(place: int, files: Iterable[tuple[str, bytes]]) -> None:
    """Add files, as pairs of a name and bytes, to a class or to the pictures without labels."""
    pictures, problems = own.read_pictures(files)
    changed, notes = own.with_pictures(collection(), place, pictures)
    _change(changed, place, (*problems, *notes))


def add_zips(files: Iterable[tuple[str, bytes]]) -> None:
    """Add the pictures of zips of class folders; one that cannot be used adds nothing, and a sentence says why."""
    for _name, data in files:
        _add_zip(data)


def _add_zip(data: bytes) -> None:
    from kdcore.datasets.given import read_class_zip  # loads torch, which takes seconds

    try:
        folders = read_class_zip(data)
    except KdError as error:
        _change(collection(), _ZIP, (str(error),))
        return
    read = {name: own.read_pictures((one.name, one.data) for one in given) for name, given in folders.items()}
    changed, notes = own.with_folders(collection(), {name: pictures for name, (pictures, _problems) in read.items()})
    problems = [sentence for _pictures, sentences in read.values() for sentence in sentences]
    _change(changed, _ZIP, (*problems, *notes))


def _on_shots(number: int, shots: list[bytes]) -> None:
    start = len(collection().pictures(number))
    add_files(number, [(_("Photo {n}").format(n=start + place), shot) for place, shot in enumerate(shots, start=1)])


def _on_remove(place: int, key: str) -> None:
    state.keep(_COLLECTION, own.without_picture(collection(), place, key))


def _on_name(number: int) -> None:
    name = cast(str, state.widget_value(f"own_name_{number}") or "")
    state.keep(_COLLECTION, own.renamed(collection(), number, name))


def _add_class() -> None:
    state.keep(_COLLECTION, own.with_class(collection()))


def _drop_class(number: int) -> None:
    state.keep(_COLLECTION, own.without_class(collection(), number))
