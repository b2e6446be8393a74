"""Controls with which a visitor chooses a teacher and the picture it looks at.

The picture is a drawn creature, a handwritten digit, a dataset's test picture, or the visitor's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import streamlit as st

from kdcore.errors import KdError
from kdcore.teachers.card_facts import figure
from kdcore.teachers.ensemble_names import is_ensemble
from pages.ui.datasets import cached
from pages.ui.engine import cache
from pages.ui.kit import look
from pages.ui.pictures import cached as picture_cached
from pages.ui.pictures import sample_picker
from pages.ui.session import browser, state
from pages.ui.session.i18n import _
from pages.ui.session.visitor_picture import VisitorPicture, last_picture
from pages.ui.teachers import ensemble_pickers

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard

SOURCES = ("creature", "digit", "dataset", "upload")
FITTING_TEACHER = {"creature": "creatures", "digit": "digits", "upload": "photos"}
# Dataset -> source of pictures that suits the networks that learned it.
FITTING_SOURCE = {"creatures": "creature", "digits": "digit"}
SAMPLE_KEY = "sample_of"  # key in the URL of the dataset that a picture is taken from
UPLOAD_WAYS = ("file", "camera")
PICTURE_TYPES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif")


def pick_source() -> str:
    """Let the visitor choose the kind of picture and return it, one of `SOURCES`; the URL keeps it as `source`."""
    names = {
        "creature": _("Creature"),
        "digit": _("Digit"),
        "dataset": _("Dataset"),
        "upload": _("Your picture"),
    }
    chosen = st.segmented_control(
        _("Picture"),
        SOURCES,
        default=state.choice("source", SOURCES),
        required=True,
        format_func=lambda source: names[source],
        key="source_pick",
        on_change=_on_source_change,
    )
    state.set_choice("source", chosen, SOURCES)
    return chosen


def pick_teacher(source: str) -> ModelCard:
    """Let the visitor choose a teacher or an ensemble, and return its card; the URL keeps the choice as `teacher`.

    The default is the teacher that knows pictures of this source.

    Raises:
        KdError: no teacher is on this machine.
    """
    names = _teachers(source)
    if not names:
        raise KdError(_("No teacher is on this machine; train one with: kdcore teachers train creatures"))
    url_ensemble = ensemble_pickers.ensemble_in_url("teacher")
    first = state.choice("teacher", names)
    if url_ensemble is not None:
        current = state.widget_value("teacher_pick")
        first = str(current) if current in url_ensemble.members else url_ensemble.members[0]
    chosen = st.selectbox(
        _("Teacher"),
        names,
        index=names.index(first),
        key="teacher_pick",
        width=170,
        on_change=state.on_choice,
        args=("teacher", "teacher_pick", names),
    )
    name = ensemble_pickers.pick_members(chosen, url_ensemble, names[0])
    state.set_choice("teacher", name, names)
    return cache.teacher_card(name)


def _teachers(source: str) -> list[str]:
    """Return the names of this machine's teachers, starting with the one that knows pictures of this source."""
    fitting = FITTING_TEACHER.get(source) or _teacher_of(state.choice(SAMPLE_KEY, _ready_datasets()))
    return sorted((card.name for card in cache.teacher_cards()), key=lambda name: (name != fitting, name))


def _teacher_of(dataset: str) -> str:
    """Return the name of the teacher with which runs on this dataset start by default."""
    from kdcore.settings.defaults import defaults_for  # loads torch, which takes seconds

    return defaults_for(dataset).teacher


def _ready_datasets() -> list[str]:
    return [status.name for status in cache.dataset_statuses() if status.ready]


def teacher_description(card: ModelCard) -> str:
    """Return a line on a teacher: number of classes, size of its pictures, accuracy and notes."""
    _channels, height, width = card.image_shape
    text = _("{count} classes, {width} × {height} pixels; {quality}. {notes}")
    notes = ensemble_pickers.ensemble_description(card.name) if is_ensemble(card.name) else card.notes
    return text.format(count=len(card.class_names), width=width, height=height, quality=_quality(card), notes=notes)


def _quality(card: ModelCard) -> str:
    """Return a teacher's accuracy in words, and whether it was measured here or published."""
    if (measured := figure(card, "accuracy")) is not None:
        return _("right on {accuracy} of the test pictures").format(accuracy=look.percent(measured.mean))
    if (published := figure(card, "published_accuracy")) is not None:
        text = _("right on {accuracy} as published, and not measured here")
        return text.format(accuracy=look.percent(published.mean))
    return _("not measured on test pictures here")


def pick_digit() -> bytes:
    """Let the visitor choose a digit and one of its test scans, and return the scan as a PNG.

    The scans are ordered from clear to ambiguous by the teacher's own probabilities; it has not learned from them.
    """
    scans, start = picture_cached.digit_scans()
    digit = st.selectbox(
        _("Digit"), list(scans), index=list(scans).index(start), key="digit_pick", persist_state="session", width=90
    )
    number = st.slider(
        _("From clear to ambiguous"),
        1, len(scans[digit]), len(scans[digit]), key=f"scan_{digit}", persist_state="session", width=215,
    )  # fmt: skip
    return scans[digit][number - 1]


def pick_sample() -> tuple[VisitorPicture | None, str]:
    """Let the visitor choose one of a dataset's test pictures, from which no teacher has learned.

    Returns:
        The picture and the dataset's name; None and "" where the dataset has no test pictures.

    Raises:
        DatasetUnavailable: the dataset is not on this machine, or damaged.
    """
    names = _ready_datasets()
    name = st.selectbox(
        _("Dataset"), names, index=names.index(state.choice(SAMPLE_KEY, names)), key="sample_pick", width=150,
        on_change=_on_sample_change,
    )  # fmt: skip
    with st.spinner(_("Reading {title}: the first time can take half a minute…").format(title=name)):
        classes = {one.name: one for one in cached.dataset_view(name).classes if one.samples}
    if not classes:
        return None, ""
    label = st.selectbox(_("Class"), list(classes), key=f"sample_class_{name}", persist_state="session", width=150)
    samples = classes[label].samples
    clicks = state.kept("sample_turn")
    number = clicks if isinstance(clicks, int) else 0
    st.button(_("Another one"), key="sample_next", on_click=state.keep, args=("sample_turn", number + 1))
    title = _("Really a {name}").format(name=label)
    return VisitorPicture(samples[number % len(samples)], title, "dataset"), name


def pick_upload() -> VisitorPicture | None:
    """Let the visitor choose an own picture from a file or the camera; the session keeps the last one.

    Returns:
        The picture, or None before the first one.

    Raises:
        PictureError: the file is not a picture that can be opened safely.
    """
    return take_photo() if pick_way() == "camera" else pick_file()


def pick_way() -> str:
    """Let the visitor choose between "file" and "camera", and return the choice.

    The default is a file, so that no browser asks for permission to use the camera before the visitor wants it.
    """
    names = {"file": _("Upload"), "camera": _("Camera")}
    return st.segmented_control(
        _("From"),
        UPLOAD_WAYS,
        default=UPLOAD_WAYS[0],
        required=True,
        format_func=lambda way: names[way],
        key="upload_way",
    )


def pick_file(width: int | Literal["stretch"] = "stretch") -> VisitorPicture | None:
    """Let the visitor upload a picture from a file, and return it, or the last own picture where none is uploaded.

    Args:
        width: width of the control in pixels, or "stretch".

    Raises:
        PictureError: the file is not a picture that can be opened safely.
    """
    file = st.file_uploader(
        _("Choose a picture"),
        label_visibility="collapsed",
        type=PICTURE_TYPES,
        key="upload",
        width=width,
        on_change=sample_picker.let_go,
        help=_("It stays in this machine's memory and is written nowhere."),
    )
    if file is None:
        return last_picture("upload")
    return VisitorPicture(picture_cached.opened_picture(file.getvalue(), file.name), file.name, "upload")


def take_photo() -> VisitorPicture | None:
    """Let the visitor take a photo, and return it, or the last own picture where none is taken.

    Where browsers allow no camera at this address, a sentence explains why.

    Raises:
        PictureError: the photo cannot be opened.
    """
    if not browser.may_use_camera():
        st.info(
            _("Browsers give a camera only to a page on HTTPS or on localhost, and this address is neither: upload a "
              "picture instead, or open the page on the machine itself."),
            icon=":material/no_photography:",
        )  # fmt: skip
        return last_picture("upload")
    file = st.camera_input(
        _("Take a photo"), key="camera", label_visibility="collapsed", on_change=sample_picker.let_go
    )
    if file is not None:
        name = _("Your photo")
        return VisitorPicture(picture_cached.opened_picture(file.getvalue(), name), name, "upload")
    st.caption(
        _("The browser asks for permission first. If you refused it once, allow the camera again beside the address. "
          "The photo stays in this machine's memory and is written nowhere.")
    )  # fmt: skip
    return last_picture("upload")


def _on_source_change() -> None:
    """Select the teacher that knows the newly chosen kind of picture, in place of the teacher chosen before."""
    state.on_choice("source", "source_pick", SOURCES)
    _take_first_teacher(state.choice("source", SOURCES))


def _take_first_teacher(source: str) -> None:
    """Select the teacher that knows pictures of this source, in the list and in the URL."""
    names = _teachers(source)
    if names:
        state.set_choice("teacher", names[0], names)
        state.set_widget("teacher_pick", names[0])


def _on_sample_change() -> None:
    """Select the teacher that knows the newly chosen dataset."""
    state.on_choice(SAMPLE_KEY, "sample_pick", _ready_datasets())
    _take_first_teacher("dataset")
