"""What a run says about its teachers before it uses them: sentences for the person who reads the result."""

from __future__ import annotations

from collections.abc import Mapping

from kdcore.datasets import Dataset
from kdcore.networks.inference import accuracy_of
from kdcore.teachers import card_facts
from kdcore.teachers.card import ModelCard, teachers_by_name
from kdcore.teachers.ensemble_names import members_of
from kdcore.teachers.fit import pictures_note
from kdcore.teachers.teacher import Teacher
from kdcore.training.fitting import VALIDATION_PICTURES


def teacher_notes(
    teachers: Mapping[str, Teacher], dataset: Dataset, before: Mapping[str, ModelCard]
) -> tuple[str, ...]:
    """Return a sentence for each teacher that was trained anew, or that learned other pictures than the dataset's, and
    one for each that is at chance.

    Args:
        teachers: the teachers of the run by name; of an ensemble, its members count for the first kind of sentence.
        before: the cards before missing teachers were trained.
    """
    now, notes = teachers_by_name(), []
    for name in dict.fromkeys(member for teacher in teachers for member in members_of(teacher)):
        if name in before and name in now and before[name] != now[name]:
            changed = f"The pictures or the classes of {dataset.name} are others than before"
            notes.append(f'{changed}, so its teacher "{name}" was trained anew.')
        elif name in now:
            notes.append(pictures_note(now[name], dataset))
    notes += [chance_note(teacher, dataset) for teacher in teachers.values()]
    return tuple(filter(None, notes))


def chance_note(teacher: Teacher, dataset: Dataset) -> str:
    """Return the sentence for a teacher that is right on no more of the validation pictures than somebody who always
    answers with their largest class; "" for a better one.

    Its accuracy is taken from its card if it was measured there on the same pictures; otherwise it is measured on as
    many of them as the curves use, because a large teacher would take long for all.
    """
    pictures = dataset.validation
    figure = card_facts.figure(teacher.card, "validation_accuracy")
    if figure is not None and teacher.card.dataset_sha256 == dataset.sha256:
        accuracy = figure.mean
    else:
        pictures = pictures.sample(VALIDATION_PICTURES)
        accuracy = accuracy_of(teacher.logits(pictures.images), pictures.hard_labels)
    chance = int(pictures.hard_labels.bincount().max()) / len(pictures)
    if accuracy > chance:
        return ""
    return (
        f'The teacher "{teacher.name}" is at chance on the validation pictures of {dataset.name} (right on '
        f"{100 * accuracy:.1f} %, and their largest class alone is {100 * chance:.1f} %), so there is nothing to learn "
        "from it; choose another teacher, or give it more pictures to learn from."
    )
