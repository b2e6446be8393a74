"""All of the app's `st.cache_data` and `st.cache_resource` functions, each with a bounded number of entries.

A function here may be slow at its first call (it imports PyTorch and reads weights) and returns at once afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.teachers.ensemble_names import is_ensemble, members_of
from pages.ui import scenes

if TYPE_CHECKING:
    from kdcore.datasets import Dataset, DatasetInfo, DatasetStatus
    from kdcore.machine.device import Device
    from kdcore.store import Store
    from kdcore.teachers.answers import Answers
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.mistakes import Reading
    from kdcore.teachers.teacher import Teacher
    from pages.ui.dataset_views import DatasetView
    from pages.ui.examples import Example
    from pages.ui.scenes import Scene
    from pages.ui.teacher_offers import Offer
    from pages.ui.viewmodels import Curve


@st.cache_resource(show_spinner=False)
def device() -> Device:
    """Return the device that this machine computes on."""
    from kdcore.machine.device import pick_device

    return pick_device("auto")


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Open the runs database of this machine, once per process, and clean it up.

    Raises:
        StoreError: the database cannot be read or written.
    """
    from kdcore import jobs
    from kdcore.jobs import housekeeping
    from kdcore.store import Store

    opened = Store()
    jobs.advance(opened)  # resumes runs whose workers died, for instance when the machine went down
    housekeeping.clean(opened)
    return opened


@st.cache_resource(show_spinner=False, ttl=10)
def _cards() -> tuple[tuple[ModelCard, ...], tuple[str, ...]]:
    """Return every model card of this machine, and the names of the card files that cannot be read.

    Both are looked up again after ten seconds, because a run may have trained a teacher in the meantime.
    """
    from kdcore.teachers.card import read_cards

    return read_cards()


def teacher_cards() -> tuple[ModelCard, ...]:
    """Return the model cards of the teachers on this machine."""
    return tuple(card for card in model_cards() if card.role == "teacher")


def model_cards() -> tuple[ModelCard, ...]:
    """Return the model cards of all networks on this machine, bundled students included."""
    return _cards()[0]


def damaged_cards() -> tuple[str, ...]:
    """Return the names of the card files that cannot be read."""
    return _cards()[1]


@st.cache_resource(show_spinner=False, max_entries=6)
def card_reading(name: str, sha256: str) -> Reading:
    """Measure a network on the test pictures of the dataset that it learned from; the first call takes seconds.

    Args:
        sha256: hash of the weights file, so that a changed file gets a new cache entry.

    Raises:
        KdError: the network or its dataset is not on this machine, or not as its card says.
    """
    from kdcore.datasets import load_dataset
    from kdcore.teachers.mistakes import read_test
    from kdcore.teachers.teacher import load_bundled

    network = load_bundled(name)  # not cached, because the answers are
    return read_test(network, load_dataset(network.card.dataset))


@st.cache_resource(show_spinner=False)
def published_offers() -> tuple[Offer, ...]:
    """Return the published teachers that can be downloaded, those already here included; imports torchvision."""
    from pages.ui import teacher_offers

    return teacher_offers.published_offers()


def forget_teachers() -> None:
    """Clear the cached cards and teachers; call this after a teacher was downloaded."""
    for kept in (_cards, teacher):
        kept.clear()


@st.cache_resource(show_spinner=False, max_entries=6)
def teacher(name: str) -> Teacher:
    """Return a network of this machine, loaded and frozen; `name` is that of a teacher, bundled student or ensemble."""
    from kdcore.teachers.ensembles import assemble
    from kdcore.teachers.teacher import load_bundled

    if is_ensemble(name):  # built from the cached members, so that no network is in memory twice
        return assemble(name, [teacher(member) for member in members_of(name)])
    return load_bundled(name)


def teacher_card(name: str) -> ModelCard:
    """Return the model card of a teacher or an ensemble.

    Raises:
        KdError: it is not on this machine; for an ensemble, also when its members do not fit together.
    """
    from kdcore.errors import UnknownName
    from kdcore.teachers.ensembles import ensemble_card

    cards = {card.name: card for card in teacher_cards()}
    if is_ensemble(name):
        return ensemble_card(name, cards.values())
    if name not in cards:
        raise UnknownName("teacher", name, cards)
    return cards[name]


@st.cache_resource(show_spinner=False, max_entries=3)
def dataset(name: str) -> Dataset:
    """Return a dataset, loaded into memory.

    Raises:
        UnknownName: no dataset has this name.
        DatasetUnavailable: it is not on this machine, or damaged.
    """
    from kdcore.datasets import load_dataset

    return load_dataset(name)


@st.cache_resource(show_spinner=False, max_entries=12)
def run_model(run_id: str, arm: str) -> Teacher:
    """Return the network that a finished run trained for `arm` with its first seed.

    It can be cached without a time limit, because a finished run never changes.
    """
    from kdcore.jobs import runs_dir
    from kdcore.teachers.teacher import load_model

    return load_model(runs_dir(run_id, store().home) / "models" / f"{arm}.safetensors")


@st.cache_resource(show_spinner=False, max_entries=4)
def test_answers(run_id: str | None, models: tuple[tuple[str, str], ...], dataset_name: str) -> Answers:
    """Return the answers of a teacher and two students to the test pictures; the first call takes seconds.

    Args:
        run_id: the run whose students of the first seed are asked; None for bundled students.
        models: (arm, name of its network) for teacher, distilled and baseline.
    """
    from kdcore.datasets import load_dataset
    from kdcore.teachers.answers import answer_test

    bundled = {arm: name for arm, name in models if run_id is None or arm == "teacher"}
    networks = {
        arm: teacher(bundled[arm]) if run_id is None or arm in bundled else run_model(run_id, arm)
        for arm, _name in models
    }
    return answer_test(networks, load_dataset(dataset_name))


@st.cache_resource(show_spinner=False, max_entries=8)
def telling_example(dataset_name: str, teacher_name: str) -> Example:
    """Return a picture of the dataset about which the teacher hesitates, with the teacher's logits.

    Raises:
        NoTeacherYet: the teacher, or a member of the ensemble, is not on this machine.
    """
    from pages.ui.examples import NoTeacherYet, telling_example

    here = {card.name for card in teacher_cards()}
    for member in members_of(teacher_name):
        if member not in here:
            raise NoTeacherYet(member)
    return telling_example(dataset_name, teacher(teacher_name))


@st.cache_data(show_spinner=False, ttl=30)
def dataset_statuses() -> list[DatasetStatus]:
    """Return whether each known dataset is ready on this machine, in the registry's order.

    The state is looked up again after half a minute.
    """
    from kdcore.datasets import dataset_status, list_datasets

    return [dataset_status(info.name) for info in list_datasets()]


@st.cache_resource(show_spinner=False, ttl=30)
def dataset_infos() -> tuple[DatasetInfo, ...]:
    """Return all known datasets, ready or not; they are looked up again after half a minute."""
    from kdcore.datasets import list_datasets

    return list_datasets()


def dataset_view(name: str) -> DatasetView:
    """Return the counts and a few pictures of each class of a dataset, without keeping the dataset in memory.

    Raises:
        DatasetUnavailable: the dataset is not on this machine, or damaged.
    """
    place = next((status.where for status in dataset_statuses() if status.name == name), "")
    return _dataset_view(name, place, Path(place).stat().st_mtime if place and Path(place).exists() else 0.0)


@st.cache_resource(show_spinner=False, max_entries=8)
def _dataset_view(name: str, place: str, changed: float) -> DatasetView:
    # `place` and `changed` only distinguish cache entries: the files of a dataset may be replaced or moved.
    from kdcore.datasets import load_dataset
    from pages.ui.dataset_views import dataset_view

    return dataset_view(load_dataset(name))


def forget_datasets() -> None:
    """Clear what is cached of datasets; call this after one was downloaded, added or removed."""
    for kept in (dataset_statuses, dataset_infos, dataset, telling_example, test_answers):
        kept.clear()


@st.cache_resource(show_spinner=False, max_entries=32, ttl=3600)
def teacher_seconds(name: str) -> float | None:
    """Return about how many seconds it takes to train a teacher on this machine; None without a known recipe."""
    from kdcore.teachers.building.on_demand import teacher_seconds

    return teacher_seconds(name)


def morph(teacher_name: str, language: str) -> tuple[Scene, bool]:
    """Return the morph of the home page with a teacher's answers, and whether its pictures have full resolution.

    The first call draws the pictures as small drafts, so that the page appears quickly; after `sharpen_morph` they have
    full resolution. `language` only distinguishes cache entries, because a scene contains texts.
    """
    sharp = (teacher_name, language) in _sharp_morphs()
    return _morph(teacher_name, language, scenes.EYE if sharp else scenes.DRAFT), sharp


def sharpen_morph(teacher_name: str, language: str) -> None:
    """Draw the morph of the home page at full resolution; the first call takes seconds."""
    _morph(teacher_name, language, scenes.EYE)
    _sharp_morphs().add((teacher_name, language))


@st.cache_resource(show_spinner=False)
def _sharp_morphs() -> set[tuple[str, str]]:
    return set()


@st.cache_resource(show_spinner=False, max_entries=4)
def _morph(teacher_name: str, language: str, eye: int) -> Scene:
    # `language` only distinguishes cache entries, because a scene contains texts.
    return scenes.morph_scene(teacher(teacher_name), eye)


@st.cache_resource(show_spinner=False, max_entries=64)
def creature(teacher_name: str, traits: tuple[tuple[str, float], ...], language: str) -> Scene:
    """Return the scene of one drawn creature with a teacher's answer; `traits` are (name, value) pairs."""
    return scenes.creature_scene(teacher(teacher_name), dict(traits))


@st.cache_resource(show_spinner=False, max_entries=32)
def picture(teacher_name: str, png: bytes, alt: str) -> Scene:
    """Return the scene of a picture with a teacher's answer; `alt` is the picture's text alternative."""
    return scenes.picture_scene(teacher(teacher_name), png, alt)


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
    from kdcore.pictures.decode import open_picture

    return scenes.png_of(open_picture(data, name))


@st.cache_data(show_spinner=False, max_entries=64)
def creature_picture(traits: tuple[tuple[str, float], ...]) -> bytes:
    """Return the PNG of a creature in the resolution in which networks see it; `traits` are (name, value) pairs."""
    return scenes.creature_png(dict(traits))


@st.cache_data(show_spinner=False, max_entries=1)
def digit_scans() -> tuple[dict[str, list[bytes]], str]:
    """Return PNGs of each digit's test scans, from clear to ambiguous for the teacher, and the digit to show first."""
    return scenes.digit_scans(teacher("digits"), dataset("digits"))


@st.cache_resource(show_spinner=False, max_entries=24)
def run_curves(run_id: str, attempts: int, status: str) -> dict[str, Curve]:
    """Return the validation accuracy of each arm of a finished run.

    `attempts` and `status` only distinguish cache entries: they change when a run is resumed.
    """
    return read_curves(run_id)


def read_curves(run_id: str) -> dict[str, Curve]:
    """Return the validation accuracy so far of each arm of a run."""
    from pages.ui.viewmodels import run_view

    return dict(run_view([stored.event for stored in store().events(run_id)]).accuracy)
