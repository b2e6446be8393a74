"""Cached calls to kdcore about pictures: the morph, drawn creatures, uploads and samples.

In what a teacher answered, the arguments `version` and `language` only distinguish cache entries: another teacher may
get the same name, and a scene contains texts.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from kdcore.pictures.decode import open_picture
from kdcore.teachers.ensemble_names import members_of
from pages.ui.engine.cache import clear_with_datasets, dataset, teacher, teacher_cards
from pages.ui.engine.cache import version as version_of
from pages.ui.frame.page_parts import TeacherMissing
from pages.ui.kit import images
from pages.ui.pictures import example, occlusion_view, scenes
from pages.ui.pictures import sample_pictures as samples
from pages.ui.pictures.scenes import Scene

if TYPE_CHECKING:
    from kdcore.teachers.occlusion import OcclusionMaps


def hesitant_example(dataset_name: str, teacher_name: str) -> example.Example:
    """Return a picture of the dataset about which the teacher hesitates, with the teacher's logits.

    Raises:
        TeacherMissing: the teacher, or a member of the ensemble, is not on this machine.
    """
    return _hesitant_example(dataset_name, teacher_name, version_of(teacher_name))


@st.cache_resource(show_spinner=False, max_entries=8)
def _hesitant_example(dataset_name: str, teacher_name: str, version: tuple[str, ...]) -> example.Example:
    from kdcore.teachers.building.on_demand import must_be_trained  # loads torch, which takes seconds

    names = {card.name for card in teacher_cards()}
    for member in members_of(teacher_name):
        if member not in names or must_be_trained(member):
            raise TeacherMissing(member)
    return example.hesitant_example(dataset_name, teacher(teacher_name))


clear_with_datasets(_hesitant_example.clear)


def morph(teacher_name: str, language: str) -> tuple[Scene, bool]:
    """Return the morph of the home page with a teacher's answers, and whether its pictures have full resolution.

    The first call draws the pictures as small drafts, so that the page appears quickly; after `sharpen_morph` they have
    full resolution. `language` only distinguishes cache entries, because a scene contains texts.
    """
    sharp = (teacher_name, language) in _sharp_morphs()
    return _morph(teacher_name, language, scenes.FULL_SIDE if sharp else scenes.DRAFT_SIDE), sharp


def sharpen_morph(teacher_name: str, language: str) -> None:
    """Draw the morph of the home page at full resolution; the first call takes seconds."""
    _morph(teacher_name, language, scenes.FULL_SIDE)
    _sharp_morphs().add((teacher_name, language))


@st.cache_resource(show_spinner=False)
def _sharp_morphs() -> set[tuple[str, str]]:
    return set()


@st.cache_resource(show_spinner=False, max_entries=4)
def _morph(teacher_name: str, language: str, side: int) -> Scene:
    # `language` only distinguishes cache entries, because a scene contains texts.
    return scenes.morph_scene(teacher(teacher_name), side)


def creature(teacher_name: str, traits: tuple[tuple[str, float], ...], language: str) -> Scene:
    """Return the scene of one drawn creature with a teacher's answer; `traits` are (name, value) pairs."""
    return _creature(teacher_name, version_of(teacher_name), traits, language)


@st.cache_resource(show_spinner=False, max_entries=64)
def _creature(
    teacher_name: str, version: tuple[str, ...], traits: tuple[tuple[str, float], ...], language: str
) -> Scene:
    return scenes.creature_scene(teacher(teacher_name), dict(traits))


def picture(teacher_name: str, png: bytes, alt: str) -> Scene:
    """Return a picture and a teacher's answer to it as a `Scene`, from which the page draws both.

    Args:
        png: the picture.
        alt: its text alternative, for screen readers.
    """
    return _picture(teacher_name, version_of(teacher_name), png, alt)


@st.cache_resource(show_spinner=False, max_entries=32)
def _picture(teacher_name: str, version: tuple[str, ...], png: bytes, alt: str) -> Scene:
    return scenes.picture_scene(teacher(teacher_name), png, alt)


def occlusion(teacher_name: str, png: bytes, *, by_kind: bool) -> OcclusionMaps:
    """Return the occlusion maps of a picture, of the teacher's superclasses or of its classes; it can take seconds.

    Args:
        png: the picture.
        by_kind: whether the maps are of the superclasses, where the teacher has any.
    """
    return _occlusion(teacher_name, version_of(teacher_name), png, by_kind)


@st.cache_resource(show_spinner=False, max_entries=32)
def _occlusion(teacher_name: str, version: tuple[str, ...], png: bytes, by_kind: bool) -> OcclusionMaps:
    from kdcore.teachers.occlusion import occlusion_maps  # loads torch, which takes seconds

    asked = teacher(teacher_name)
    groups = asked.card.superclasses if by_kind else asked.card.class_names
    return occlusion_maps(asked, asked.prepare(Image.open(io.BytesIO(png))), groups)


def occlusion_map(
    teacher_name: str, png: bytes, name: str, scale: float, language: str, *, by_kind: bool
) -> occlusion_view.MapView:
    """Return one of the maps of `occlusion` as it is drawn; drawing it takes as long as the rest of a page.

    Args:
        name: the class, or kind, of the map.
        scale: the end of the colour scale, in nats.
    """
    return _occlusion_map(teacher_name, version_of(teacher_name), png, by_kind, name, scale, language)


@st.cache_resource(show_spinner=False, max_entries=64)
def _occlusion_map(
    teacher_name: str, version: tuple[str, ...], png: bytes, by_kind: bool, name: str, scale: float, language: str
) -> occlusion_view.MapView:
    return occlusion_view.map_view(_occlusion(teacher_name, version, png, by_kind), name, scale)


@st.cache_resource(show_spinner=False, max_entries=6)
def warm_up(teacher_name: str) -> None:
    """Ask the teacher about a blank picture, so that it is loaded and answers the visitor's picture within a second."""
    scenes.picture_scene(teacher(teacher_name), opened_picture(scenes.blank_png(), ""), "")


@st.cache_data(show_spinner=False, max_entries=8)
def opened_picture(data: bytes, name: str) -> bytes:
    """Decode the bytes of a picture file and return the picture upright, as a PNG.

    Args:
        name: the file's name, for error messages.

    Raises:
        PictureError: the bytes are not a picture that can be opened safely.
    """
    return images.png_of(open_picture(data, name))


@st.cache_data(show_spinner=False, max_entries=64)
def creature_picture(traits: tuple[tuple[str, float], ...]) -> bytes:
    """Return the PNG of a creature in the resolution in which networks see it; `traits` are (name, value) pairs."""
    return scenes.creature_png(dict(traits))


@st.cache_data(show_spinner=False, max_entries=1)
def sample_pictures() -> tuple[samples.SamplePicture, ...]:
    """Return the photos that come with the app, in the order in which the page shows them."""
    return samples.sample_pictures()


@st.cache_data(show_spinner=False, max_entries=16)
def sample_thumbnail(sample: samples.SamplePicture) -> str:
    """Return the thumbnail of a photo that comes with the app, as a data URL."""
    return samples.thumbnail_url(sample)


@st.cache_data(show_spinner=False, max_entries=1)
def digit_scans() -> tuple[dict[str, list[bytes]], str]:
    """Return PNGs of each digit's test scans, from clear to ambiguous for the teacher, and the digit to show first."""
    return scenes.digit_scans(teacher("digits"), dataset("digits"))
