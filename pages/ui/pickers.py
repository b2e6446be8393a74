"""Choosing what a teacher looks at: a drawn creature, a handwritten digit, or the visitor's own picture."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError
from pages.ui import cache, look, state
from pages.ui.i18n import _

if TYPE_CHECKING:
    from kdcore.datasets.creatures import Trait
    from kdcore.teachers import ModelCard

SOURCES = ("creature", "digit", "upload")
FITTING_TEACHER = {"creature": "creatures", "digit": "digits", "upload": "animals"}
WAYS = ("file", "camera")
PICTURE_TYPES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff")


def pick_source() -> str:
    """What kind of picture; the URL's `source`."""
    names = {"creature": _("A drawn creature"), "digit": _("A digit"), "upload": _("Your picture")}
    chosen = st.segmented_control(
        _("Picture"),
        SOURCES,
        default=state.choice("source", SOURCES),
        required=True,
        format_func=lambda source: names[source],
        key="source_pick",
        on_change=_fit_teacher,
    )
    state.set_choice("source", chosen, SOURCES)
    return chosen


def pick_teacher(source: str) -> ModelCard:
    """Which teacher; the URL's `teacher`, else the one that knows such pictures.

    Raises KdError when no teacher is on this machine.
    """
    names = _teachers(source)
    if not names:
        raise KdError(_("No teacher is on this machine; train one with: kdcore teachers train creatures"))
    chosen = st.selectbox(
        _("Teacher"),
        names,
        index=names.index(state.choice("teacher", names)),
        key="teacher_pick",
        width=200,
        on_change=state.hear_choice,
        args=("teacher", "teacher_pick", names),
    )
    state.set_choice("teacher", chosen, names)
    return next(card for card in cache.teacher_cards() if card.name == chosen)


def _teachers(source: str) -> list[str]:
    """The teachers of this machine, the one that knows such pictures first."""
    return sorted(
        (card.name for card in cache.teacher_cards()), key=lambda name: (name != FITTING_TEACHER[source], name)
    )


def describe(card: ModelCard) -> str:
    """A teacher in one line: what it knows, what it sees, how often it is right."""
    _channels, height, width = card.image_shape
    return _("{count} classes, {width} × {height} pixels; right on {accuracy} of the test pictures. {notes}").format(
        count=len(card.class_names),
        width=width,
        height=height,
        accuracy=look.percent(card.accuracy),
        notes=card.notes,
    )


def pick_creature() -> tuple[tuple[str, float], ...]:
    """Sliders on the traits, set to an animal or moved one by one: (name, value) of each."""
    from kdcore.datasets.creatures import SPECIES, TRAITS

    if state.widget(_slot(TRAITS[0])) is None:
        _set_traits(_between("wolf", "dog"))
    st.selectbox(_("Start from"), SPECIES, key="species_pick", on_change=_start_from_species, persist_state="session")
    st.button(_("Draw another one"), on_click=_another, width="stretch")
    with st.container(height=290, border=True, key="kd_traits", gap="xsmall"):
        return tuple((trait.name, _trait_slider(trait)) for trait in TRAITS)


def pick_digit() -> bytes:
    """One of the teacher's unseen test scans, from the clearest to the most ambiguous; a PNG."""
    scans, start = cache.digit_scans()
    digit = st.selectbox(
        _("Digit"), list(scans), index=list(scans).index(start), key="digit_pick", persist_state="session", width=90
    )
    place = st.slider(
        _("From the clearest scan to the most ambiguous"),
        1, len(scans[digit]), len(scans[digit]), key=f"scan_{digit}", persist_state="session", width=320,
    )  # fmt: skip
    return scans[digit][place - 1]


def pick_upload() -> state.VisitorPicture | None:
    """The visitor's own picture, from a file or from the camera, kept for as long as the session lives.

    None before the first.

    Raises PictureError.
    """
    return take_photo() if pick_way() == "camera" else pick_file()


def pick_way() -> str:
    """A file or the camera; a file at first, so that no browser asks for the camera before somebody wants it."""
    names = {"file": _("Upload"), "camera": _("Camera")}
    return st.segmented_control(
        _("From"), WAYS, default=WAYS[0], required=True, format_func=lambda way: names[way], key="upload_way"
    )


def pick_file() -> state.VisitorPicture | None:
    """A picture from a file, else the visitor's last one; raises PictureError."""
    file = st.file_uploader(
        _("Choose a picture"),
        label_visibility="collapsed",
        type=PICTURE_TYPES,
        key="upload",
        help=_("It stays in this machine's memory and is written nowhere."),
    )
    if file is None:
        return state.picture("upload")
    return state.VisitorPicture(cache.opened_picture(file.getvalue(), file.name), file.name, "upload")


def take_photo() -> state.VisitorPicture | None:
    """A picture from the visitor's camera, else the last one; a sentence where no browser would give its camera.

    Raises PictureError.
    """
    if not state.may_use_camera():
        st.info(
            _("Browsers give a camera only to a page on HTTPS or on localhost, and this address is neither: upload a "
              "picture instead, or open the page on the machine itself."),
            icon=":material/no_photography:",
        )  # fmt: skip
        return state.picture("upload")
    file = st.camera_input(_("Take a photo"), key="camera", label_visibility="collapsed")
    if file is not None:
        name = _("Your photo")
        return state.VisitorPicture(cache.opened_picture(file.getvalue(), name), name, "upload")
    st.caption(
        _("The browser asks first; a camera once refused is allowed again beside the address. The photo stays in this "
          "machine's memory and is written nowhere.")
    )  # fmt: skip
    return state.picture("upload")


def _fit_teacher() -> None:
    """Another kind of picture brings the teacher that knows it; a teacher chosen for the last kind is let go."""
    state.hear_choice("source", "source_pick", SOURCES)
    names = _teachers(state.choice("source", SOURCES))
    if names:
        state.set_choice("teacher", names[0], names)
        state.preset("teacher_pick", names[0])


def _slot(trait: Trait) -> str:
    return f"trait_{trait.name}"


def _step(trait: Trait) -> float:
    return 1.0 if trait.high - trait.low > 10 else 0.1 if trait.high - trait.low > 5 else 0.01


def _trait_slider(trait: Trait) -> float:
    return float(
        st.slider(
            f"{trait.title}, {trait.unit}" if trait.unit else trait.title,
            float(trait.low), float(trait.high), step=_step(trait), format="%.2f" if _step(trait) < 0.1 else "%.0f",
            key=_slot(trait), help=trait.description, persist_state="session",
        )
    )  # fmt: skip


def _set_traits(values: list[float]) -> None:
    """Move every slider; what cannot be drawn becomes the nearest end, and the truth is that of what is drawn."""
    from kdcore.datasets.creatures import TRAITS

    for trait, value in zip(TRAITS, values, strict=True):
        step = _step(trait)
        on_grid = trait.low + round((value - trait.low) / step) * step
        state.preset(_slot(trait), round(min(trait.high, max(trait.low, on_grid)), 4))


def _between(one: str, other: str) -> list[float]:
    """A fifth of the way from one animal to the other: sure enough to be called one, and visibly not only that."""
    from kdcore.datasets.creatures import morph

    return [float(value) for value in morph((one, other), 6)[1]]


def _start_from_species() -> None:
    from kdcore.datasets.creatures import prototype

    _set_traits([float(value) for value in prototype(str(state.widget("species_pick")))])


def _another() -> None:
    from kdcore.datasets.creatures import SPECIES, sample_traits

    wanted = SPECIES.index(str(state.widget("species_pick")))
    traits, species = sample_traits(200, seed=secrets.randbelow(2**31))
    _set_traits([float(value) for value in traits[species == wanted][0]])
