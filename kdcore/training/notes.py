"""What a run says about its teachers before it uses them: sentences for the person who reads the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kdcore.datasets import Dataset
from kdcore.teachers.card import ModelCard, list_teachers
from kdcore.teachers.ensemble_names import members_of
from kdcore.teachers.fit import pictures_note


def cards_by_name() -> dict[str, ModelCard]:
    """Return the cards of all teachers on this machine by name."""
    return {card.name: card for card in list_teachers()}


def teacher_notes(names: Iterable[str], dataset: Dataset, before: Mapping[str, ModelCard]) -> tuple[str, ...]:
    """Return a sentence for each teacher that was trained anew, or that learned other pictures than the dataset's.

    Args:
        names: the teachers of the run; of an ensemble, its members count.
        before: the cards before missing teachers were trained.
    """
    now, notes = cards_by_name(), []
    for name in dict.fromkeys(member for teacher in names for member in members_of(teacher)):
        if name in before and name in now and before[name] != now[name]:
            changed = f"The pictures or the classes of {dataset.name} are others than before"
            notes.append(f'{changed}, so its teacher "{name}" was trained anew.')
        elif name in now:
            notes.append(pictures_note(now[name], dataset))
    return tuple(filter(None, notes))
