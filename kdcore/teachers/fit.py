"""Whether a teacher fits a dataset: the same classes, in any order, and pictures of the same shape; or by its kinds."""

from __future__ import annotations

from kdcore.datasets import Dataset
from kdcore.errors import ConfigError
from kdcore.teachers.by_kind import by_kind, knows_kinds
from kdcore.teachers.card import ModelCard, same_classes
from kdcore.teachers.ensemble_names import is_ensemble
from kdcore.teachers.ensembles import ensemble_of_loaded
from kdcore.teachers.teacher import Teacher


def fit_to(dataset: Dataset, teacher: Teacher, instead: str) -> Teacher:
    """Return the teacher with its classes, and so its logits, in the order of the dataset's.

    A single teacher whose kinds are the dataset's classes fits too, and is returned as `by_kind` makes it.

    Args:
        instead: what to do if it does not fit; the end of the error's sentence.

    Raises:
        ConfigError: it knows other classes, or takes pictures of another shape.
    """
    card, names = teacher.card, dataset.class_names
    if not same_classes(card.class_names, names):
        same_colours = card.image_shape[0] == dataset.image_shape[0]
        if knows_kinds(card, names) and same_colours and not teacher.members:
            return by_kind(teacher, names, dataset.image_shape)
        lacking = [name for name in names if name not in card.class_names]
        extra = [name for name in card.class_names if name not in names]
        what = f'it does not know "{lacking[0]}"' if lacking else f'it also knows "{extra[0]}"'
        raise ConfigError(f'{_called(card)} knows other classes than the dataset "{dataset.name}" ({what}); {instead}.')
    check_shape(card, dataset.name, dataset.image_shape, instead)
    return in_order(teacher, names)


def in_order(teacher: Teacher, class_names: tuple[str, ...]) -> Teacher:
    """Return the teacher, or the ensemble, with its classes in this order; they must be the same names."""
    if teacher.card.class_names == class_names:
        return teacher
    if teacher.members:
        return ensemble_of_loaded(teacher.name, [member.in_order(class_names) for member in teacher.members])
    return teacher.in_order(class_names)


def check_shape(card: ModelCard, dataset: str, image_shape: tuple[int, int, int], instead: str) -> None:
    """Refuse a teacher that takes pictures of another shape than the dataset's.

    The members of an ensemble resize pictures, so only grey and colour must agree there.

    Args:
        dataset: the dataset's name.
        image_shape: (C, H, W) of its pictures.
        instead: as in `fit_to`.

    Raises:
        ConfigError: the shapes differ.
    """
    compared = 1 if is_ensemble(card.name) else 3
    if card.image_shape[:compared] != image_shape[:compared]:
        raise ConfigError(
            f'{_called(card)} takes pictures of {_shape(card.image_shape)}, and those of "{dataset}" have '
            f"{_shape(image_shape)}; {instead}."
        )


def _called(card: ModelCard) -> str:
    return f'The {"teacher" if card.role == "teacher" else "student"} "{card.name}"'


def _shape(image_shape: tuple[int, int, int]) -> str:
    channels, height, width = image_shape
    return f"{width}x{height} pixels in {'grey' if channels == 1 else 'colour'}"


def pictures_note(card: ModelCard, dataset: Dataset) -> str:
    """The sentence to say before a teacher is used on pictures that it may not have learned; "" where it learned them.

    Args:
        card: of a single network.
    """
    if card.dataset_sha256 == dataset.sha256:
        return ""
    if not card.dataset_sha256:
        return f'The card of the teacher "{card.name}" does not say which pictures it learned (dataset_sha256).'
    return (
        f'The teacher "{card.name}" learned other pictures than {dataset.name} holds on this machine, so the figures '
        "on its card do not hold for these, and it may have learned some of the test pictures."
    )
