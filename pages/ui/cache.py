"""The only `st.cache_*` of the app: each entry bounded, each value computed by kdcore.

Everything here may be slow the first time (torch is imported, weights are read) and is instant afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.ensemble_names import is_ensemble, members_of
from pages.ui import scenes

if TYPE_CHECKING:
    from kdcore.answers import Answers
    from kdcore.datasets import Dataset, DatasetInfo, DatasetStatus
    from kdcore.device import Device
    from kdcore.mistakes import Reading
    from kdcore.model_cards import ModelCard
    from kdcore.store import Store
    from kdcore.teachers import Teacher
    from pages.ui.dataset_views import DatasetView
    from pages.ui.examples import Example
    from pages.ui.scenes import Scene
    from pages.ui.teacher_offers import Offer
    from pages.ui.viewmodels import Curve


@st.cache_resource(show_spinner=False)
def device() -> Device:
    """Where this machine computes."""
    from kdcore.device import pick_device

    return pick_device("auto")


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The runs database of this machine; raises StoreError."""
    from kdcore import housekeeping, jobs
    from kdcore.store import Store

    opened = Store()
    jobs.advance(opened)  # a run whose worker died with the machine is found now, and goes on
    housekeeping.clean(opened)
    return opened


@st.cache_resource(show_spinner=False, ttl=10)
def _cards() -> tuple[tuple[ModelCard, ...], tuple[str, ...]]:
    """Every card of this machine, and the names of those that cannot be read; a run may just have trained one."""
    from kdcore.model_cards import read_cards

    return read_cards()


def teacher_cards() -> tuple[ModelCard, ...]:
    """The teachers of this machine, as their cards describe them."""
    return tuple(card for card in model_cards() if card.role == "teacher")


def model_cards() -> tuple[ModelCard, ...]:
    """The cards of all networks of this machine, bundled students too."""
    return _cards()[0]


def damaged_cards() -> tuple[str, ...]:
    """The names of card files that cannot be read."""
    return _cards()[1]


@st.cache_resource(show_spinner=False, max_entries=6)
def card_reading(name: str, sha256: str) -> Reading:
    """A network before the test pictures of the dataset that it learned; takes seconds. `sha256` tells files apart.

    Raises:
        KdError: the network or its dataset is not on this machine, or not as its card says.
    """
    from kdcore.datasets import load_dataset
    from kdcore.mistakes import read_test
    from kdcore.teachers import load_bundled

    network = load_bundled(name)  # not kept: the answers are
    return read_test(network, load_dataset(network.card.dataset))


@st.cache_resource(show_spinner=False)
def published_offers() -> tuple[Offer, ...]:
    """The teachers that could be fetched, whether they are here or not; torchvision is imported for it."""
    from pages.ui import teacher_offers

    return teacher_offers.published_offers()


def forget_teachers() -> None:
    """After one was fetched: look again."""
    for kept in (_cards, teacher):
        kept.clear()


@st.cache_resource(show_spinner=False, max_entries=6)
def teacher(name: str) -> Teacher:
    """A bundled model, loaded and frozen; `name` is a card's name, a bundled student's or an ensemble's."""
    from kdcore.ensembles import assemble
    from kdcore.teachers import load_bundled

    if is_ensemble(name):  # of the members that are loaded already, so that none is in memory twice
        return assemble(name, [teacher(member) for member in members_of(name)])
    return load_bundled(name)


def teacher_card(name: str) -> ModelCard:
    """The card of a teacher or an ensemble; raises KdError for one that is not here."""
    from kdcore.ensembles import ensemble_card
    from kdcore.errors import UnknownName

    cards = {card.name: card for card in teacher_cards()}
    if is_ensemble(name):
        return ensemble_card(name, cards.values())
    if name not in cards:
        raise UnknownName("teacher", name, cards)
    return cards[name]


@st.cache_resource(show_spinner=False, max_entries=3)
def dataset(name: str) -> Dataset:
    """A dataset in memory; raises DatasetUnavailable."""
    from kdcore.datasets import load_dataset

    return load_dataset(name)


@st.cache_resource(show_spinner=False, max_entries=12)
def run_model(run_id: str, arm: str) -> Teacher:
    """A trained arm of a finished run: the network of its first seed. A run never changes once it is over."""
    from kdcore.jobs import runs_dir
    from kdcore.teachers import load_model

    return load_model(runs_dir(run_id, store().home) / "models" / f"{arm}.safetensors")


@st.cache_resource(show_spinner=False, max_entries=4)
def test_answers(run_id: str | None, models: tuple[tuple[str, str], ...], dataset_name: str) -> Answers:
    """What three networks answer to the test pictures: those of a run's first seed, or bundled ones; takes seconds.

    Args:
        models: (arm, name of its network) of teacher, distilled and baseline.
    """
    from kdcore.answers import answer_test
    from kdcore.datasets import load_dataset

    bundled = {arm: name for arm, name in models if run_id is None or arm == "teacher"}
    networks = {
        arm: teacher(bundled[arm]) if run_id is None or arm in bundled else run_model(run_id, arm)
        for arm, _name in models
    }
    return answer_test(networks, load_dataset(dataset_name))


@st.cache_resource(show_spinner=False, max_entries=8)
def telling_example(dataset_name: str, teacher_name: str) -> Example:
    """A picture of the dataset that the teacher hesitates about, with its logits; raises NoTeacherYet."""
    from pages.ui.examples import NoTeacherYet, telling_example

    here = {card.name for card in teacher_cards()}
    for member in members_of(teacher_name):
        if member not in here:
            raise NoTeacherYet(member)
    return telling_example(dataset_name, teacher(teacher_name))


@st.cache_data(show_spinner=False, ttl=30)
def dataset_statuses() -> list[DatasetStatus]:
    """Which datasets are ready here, in the registry's order; looked up again after half a minute."""
    from kdcore.datasets import dataset_status, list_datasets

    return [dataset_status(info.name) for info in list_datasets()]


@st.cache_resource(show_spinner=False, ttl=30)
def dataset_infos() -> tuple[DatasetInfo, ...]:
    """All datasets that are known here, ready or not; looked up again after half a minute."""
    from kdcore.datasets import list_datasets

    return list_datasets()


def dataset_view(name: str) -> DatasetView:
    """Counts and a few pictures a class; the dataset itself is let go again. Raises DatasetUnavailable."""
    place = next((status.where for status in dataset_statuses() if status.name == name), "")
    return _dataset_view(name, place, Path(place).stat().st_mtime if place and Path(place).exists() else 0.0)


@st.cache_resource(show_spinner=False, max_entries=8)
def _dataset_view(name: str, place: str, changed: float) -> DatasetView:
    # Where it is and when that changed tell entries apart: other files may take the place of the first.
    from kdcore.datasets import load_dataset
    from pages.ui.dataset_views import dataset_view

    return dataset_view(load_dataset(name))


def forget_datasets() -> None:
    """After one was fetched, added or removed: look again."""
    for kept in (dataset_statuses, dataset_infos, dataset, telling_example, test_answers):
        kept.clear()


@st.cache_resource(show_spinner=False, max_entries=32, ttl=3600)
def teacher_seconds(name: str) -> float | None:
    """About how long a teacher that is not on this machine would train; None where nobody knows its recipe."""
    from kdcore.default_teachers import teacher_seconds

    return teacher_seconds(name)


def morph(teacher_name: str, language: str) -> tuple[Scene, bool]:
    """The morph of the home page before a teacher, and whether it is drawn sharply yet.

    A draft comes at once, so that the first page need not wait for the renderer; `sharpen_morph` draws the rest.
    """
    sharp = (teacher_name, language) in _sharp_morphs()
    return _morph(teacher_name, language, scenes.EYE if sharp else scenes.DRAFT), sharp


def sharpen_morph(teacher_name: str, language: str) -> None:
    """Draw the morph as sharply as the page shows it; takes seconds, once."""
    _morph(teacher_name, language, scenes.EYE)
    _sharp_morphs().add((teacher_name, language))


@st.cache_resource(show_spinner=False)
def _sharp_morphs() -> set[tuple[str, str]]:
    return set()


@st.cache_resource(show_spinner=False, max_entries=4)
def _morph(teacher_name: str, language: str, eye: int) -> Scene:
    # `language` only tells entries apart: a scene holds words.
    return scenes.morph_scene(teacher(teacher_name), eye)


@st.cache_resource(show_spinner=False, max_entries=64)
def creature(teacher_name: str, traits: tuple[tuple[str, float], ...], language: str) -> Scene:
    """One drawn creature before a teacher."""
    return scenes.creature_scene(teacher(teacher_name), dict(traits))


@st.cache_resource(show_spinner=False, max_entries=32)
def picture(teacher_name: str, png: bytes, alt: str) -> Scene:
    """Any picture before a teacher."""
    return scenes.picture_scene(teacher(teacher_name), png, alt)


@st.cache_resource(show_spinner=False, max_entries=6)
def warm_up(teacher_name: str) -> None:
    """Ask the teacher about a blank picture, so that the visitor's own is answered within a second."""
    scenes.picture_scene(teacher(teacher_name), opened_picture(scenes.blank_png(), ""), "")


@st.cache_data(show_spinner=False, max_entries=8)
def opened_picture(data: bytes, name: str) -> bytes:
    """The bytes of a file as a safe, upright PNG; raises PictureError."""
    from kdcore.pictures import open_picture

    return scenes.png_of(open_picture(data, name))


@st.cache_data(show_spinner=False, max_entries=64)
def creature_picture(traits: tuple[tuple[str, float], ...]) -> bytes:
    """A creature as networks see it."""
    return scenes.creature_png(dict(traits))


@st.cache_data(show_spinner=False, max_entries=1)
def digit_scans() -> tuple[dict[str, list[bytes]], str]:
    """The test scans of each digit, from the one that its teacher is surest of; and the digit to begin with."""
    return scenes.digit_scans(teacher("digits"), dataset("digits"))


@st.cache_resource(show_spinner=False, max_entries=24)
def run_curves(run_id: str, attempts: int, status: str) -> dict[str, Curve]:
    """A finished run's accuracy on validation, arm by arm; a run that is resumed has another attempt or status."""
    return read_curves(run_id)


def read_curves(run_id: str) -> dict[str, Curve]:
    """A run's accuracy on validation so far, arm by arm."""
    from pages.ui.viewmodels import run_view

    return dict(run_view([stored.event for stored in store().events(run_id)]).accuracy)
