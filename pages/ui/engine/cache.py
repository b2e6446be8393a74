"""Cached calls to kdcore that several pages share; each cache has a bounded number of entries.

A function here may be slow at its first call (it imports PyTorch and reads weights) and returns at once afterwards.

The imports inside the functions load PyTorch, which takes seconds, or SQLAlchemy, which Home does not need: a page
appears before they are loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import UnknownName
from kdcore.teachers.card import read_cards
from kdcore.teachers.ensemble_names import is_ensemble, members_of

if TYPE_CHECKING:
    from kdcore.datasets import Dataset, DatasetInfo, DatasetStatus
    from kdcore.machine.device import Device
    from kdcore.store import Store
    from kdcore.teachers.answers import PictureAnswers
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.mistakes import MistakeSummary
    from kdcore.teachers.teacher import Teacher


@st.cache_resource(show_spinner=False)
def device() -> Device:
    """Return the device that this machine computes on."""
    from kdcore.machine.device import pick_device  # loads torch

    return pick_device("auto")


def store() -> Store:
    """Return the runs database of this machine, which is opened once per process and cleaned up every hour.

    Raises:
        StoreError: the database cannot be read or written.
    """
    opened = _opened_store()
    _clean_hourly()
    return opened


@st.cache_resource(show_spinner=False, on_release=lambda opened: opened.close())
def _opened_store() -> Store:
    """Open the runs database; clearing the cache closes it."""
    # These load SQLAlchemy.
    from kdcore import jobs
    from kdcore.store import Store

    opened = Store()
    jobs.advance(opened)  # resumes runs whose workers died, for instance when the machine went down
    return opened


@st.cache_resource(show_spinner=False, ttl=3600)
def _clean_hourly() -> None:
    from kdcore.jobs import housekeeping  # loads SQLAlchemy

    housekeeping.clean(_opened_store())


@st.cache_resource(show_spinner=False, ttl=10)
def _cards() -> tuple[tuple[ModelCard, ...], tuple[str, ...], dict[str, str]]:
    """Return every model card of this machine, the names of the card files that cannot be read, and a hash of each card
    by its name.

    All are looked up again after ten seconds, because a run may have trained a teacher in the meantime.
    """
    cards, damaged = read_cards()
    return cards, damaged, {card.name: hashlib.sha256(repr(card).encode()).hexdigest() for card in cards}


def teacher_cards() -> tuple[ModelCard, ...]:
    """Return the model cards of the teachers on this machine."""
    return tuple(card for card in model_cards() if card.role == "teacher")


def model_cards() -> tuple[ModelCard, ...]:
    """Return the model cards of all networks on this machine, bundled students included."""
    return _cards()[0]


def damaged_card_files() -> tuple[str, ...]:
    """Return the names of the card files that cannot be read."""
    return _cards()[1]


def test_mistakes(name: str) -> MistakeSummary:
    """Measure a network on the test pictures of the dataset that it learned from; the first call takes seconds.

    Raises:
        KdError: the network or its dataset is not on this machine, or not as its card says.
    """
    return _test_mistakes(name, version(name))


@st.cache_resource(show_spinner=False, max_entries=6)
def _test_mistakes(name: str, version: tuple[str, ...]) -> MistakeSummary:
    # `version` only distinguishes cache entries. These load torch.
    from kdcore.datasets import load_dataset
    from kdcore.teachers.mistakes import find_mistakes
    from kdcore.teachers.teacher import load_single

    network = load_single(name)  # not cached, because the answers are
    return find_mistakes(network, load_dataset(network.card.dataset))


def clear_teacher_cache() -> None:
    """Clear the cached cards and teachers; call this after a teacher was downloaded."""
    for cached in (_cards, _teacher):
        cached.clear()


def teacher(name: str) -> Teacher:
    """Return a network of this machine, loaded and frozen; `name` names a teacher, bundled student or ensemble."""
    return _teacher(name, version(name))


def version(name: str) -> tuple[str, ...]:
    """Return what tells apart the networks that had this name one after the other: a hash of each member's card.

    A teacher may be trained anew, in another process too, or added again with the same weights and another card.
    """
    hashes = _cards()[2]
    return tuple(hashes.get(member, "") for member in members_of(name))


@st.cache_resource(show_spinner=False, max_entries=6)
def _teacher(name: str, version: tuple[str, ...]) -> Teacher:
    # `version` only distinguishes cache entries.
    # These load torch.
    from kdcore.teachers.ensembles import ensemble_of_loaded
    from kdcore.teachers.teacher import load_single

    if is_ensemble(name):  # built from the cached members, so that no network is in memory twice
        return ensemble_of_loaded(name, [teacher(member) for member in members_of(name)])
    return load_single(name)


def teacher_card(name: str) -> ModelCard:
    """Return the model card of a teacher or an ensemble.

    Raises:
        KdError: it is not on this machine; for an ensemble, also when its members do not fit together.
    """
    cards = {card.name: card for card in teacher_cards()}
    if is_ensemble(name):
        from kdcore.teachers.ensembles import ensemble_card  # loads torch

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
    from kdcore.datasets import load_dataset  # loads torch

    return load_dataset(name)


@st.cache_resource(show_spinner=False, max_entries=12)
def run_model(run_id: str, arm: str) -> Teacher:
    """Return the network that a finished run trained for `arm` with its first seed.

    It can be cached without a time limit, because a finished run never changes.
    """
    # These load SQLAlchemy and torch.
    from kdcore.jobs import runs_dir
    from kdcore.teachers.teacher import load_model

    return load_model(runs_dir(run_id, store().home) / "models" / f"{arm}.safetensors")


def test_answers(run_id: str | None, models: tuple[tuple[str, str], ...], dataset_name: str) -> PictureAnswers:
    """Return the answers of a teacher and two students to the test pictures; the first call takes seconds.

    Args:
        run_id: the run whose students of the first seed are asked; None for bundled students.
        models: (arm, name of its network) for teacher, distilled and baseline.
    """
    versions = tuple(version(name) for arm, name in models if run_id is None or arm == "teacher")
    return _test_answers(run_id, models, dataset_name, versions)


@st.cache_resource(show_spinner=False, max_entries=4)
def _test_answers(
    run_id: str | None,
    models: tuple[tuple[str, str], ...],
    dataset_name: str,
    versions: tuple[tuple[str, ...], ...],
) -> PictureAnswers:
    # `versions` only distinguishes cache entries. These load torch.
    from kdcore.datasets import load_dataset
    from kdcore.teachers.answers import answer_test_split

    networks = {
        arm: teacher(name) if run_id is None or arm == "teacher" else run_model(run_id, arm) for arm, name in models
    }
    return answer_test_split(networks, load_dataset(dataset_name))


@st.cache_data(show_spinner=False, ttl=30)
def dataset_statuses() -> list[DatasetStatus]:
    """Return whether each known dataset is ready on this machine, in the registry's order.

    The state is looked up again after half a minute.
    """
    from kdcore.datasets import dataset_status, list_datasets  # loads torch

    return [dataset_status(info.name) for info in list_datasets()]


@st.cache_resource(show_spinner=False, ttl=30)
def dataset_infos() -> tuple[DatasetInfo, ...]:
    """Return all known datasets, ready or not; they are looked up again after half a minute."""
    from kdcore.datasets import list_datasets  # loads torch

    return list_datasets()


# Clear functions of caches in rooms above this one, which hold what was computed from datasets.
_upper_room_clears: list[Callable[[], None]] = []


def clear_with_datasets(clear: Callable[[], None]) -> None:
    """Call `clear` too whenever the datasets of this machine change."""
    _upper_room_clears.append(clear)


def clear_dataset_cache() -> None:
    """Look the datasets up again, after one was fetched, added or removed."""
    for cached in (dataset_statuses, dataset_infos, dataset, _test_answers):
        cached.clear()
    for clear in _upper_room_clears:
        clear()


@st.cache_resource(show_spinner=False, max_entries=32, ttl=3600)
def teacher_seconds(name: str) -> float | None:
    """Return about how many seconds it takes to train a teacher on this machine; None without a known recipe."""
    from kdcore.teachers.building.on_demand import estimate_teacher_seconds  # loads torch

    return estimate_teacher_seconds(name)
