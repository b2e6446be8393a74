"""Load a teacher by its name: a single network or an ensemble."""

from __future__ import annotations

from kdcore.errors import UnknownName
from kdcore.teachers.card import list_teachers
from kdcore.teachers.ensemble_names import is_ensemble, parse_name
from kdcore.teachers.ensembles import ensemble_card, ensemble_of_loaded
from kdcore.teachers.teacher import Teacher, load_single


def load_teacher(name: str, device: str = "cpu") -> Teacher:
    """Load the teacher called `name`; names joined by "+" load an ensemble, as `load_ensemble` does.

    Raises:
        ConfigError: `name` is an illegal name of an ensemble, or its members do not fit together.
        UnknownName: there is no such teacher on this machine.
        TeacherUnavailable: it is a published teacher that must be fetched first.
        ModelFileError: its file is missing, damaged, or not the one that its card describes.
    """
    if is_ensemble(name):
        return load_ensemble(name, device)
    names = [card.name for card in list_teachers()]
    if name not in names:
        from kdcore.teachers.published import PUBLISHED, not_fetched_error  # loads torchvision, which takes a second

        raise not_fetched_error(name) if name in PUBLISHED else UnknownName("teacher", name, names)
    return load_single(name, device)


def load_ensemble(name: str, device: str = "cpu") -> Teacher:
    """Load the members of the ensemble called `name` and freeze them.

    Raises:
        ConfigError: the name is not legal, or its members do not fit together.
        UnknownName: a member is not on this machine.
        ModelFileError: a member's file is missing or damaged.
    """
    card = ensemble_card(name)
    return ensemble_of_loaded(card.name, [load_single(member, device) for member in parse_name(card.name).members])
