"""Measure a teacher on its dataset's test pictures."""

from __future__ import annotations

from dataclasses import replace

from kdcore.datasets import list_datasets, load_dataset
from kdcore.errors import ConfigError
from kdcore.machine.device import pick_device
from kdcore.teachers.building.figures import measure
from kdcore.teachers.building.photos import NAME as PHOTOS
from kdcore.teachers.building.photos import measure_photos
from kdcore.teachers.card import ModelCard
from kdcore.teachers.ensemble_names import is_ensemble
from kdcore.teachers.fit import fit_to, pictures_note
from kdcore.teachers.load import load_teacher
from kdcore.teachers.measured import save_figures


def measure_teacher(name: str, device: str = "auto") -> ModelCard:
    """Measure a teacher on the test split of its dataset and return its card with the new figures.

    If it learned other pictures than the dataset has now, the notes of the card say so. `photos` is measured on other
    pictures, as `measure_photos` says.

    The figures of an ensemble are also saved, so that its card has them from now on.

    Raises:
        ConfigError: the app has no dataset of the name that its card gives, or that dataset has other
            classes or pictures of another shape now.
        DatasetUnavailable: its dataset is not on this machine.
        StoreError: the figures could not be saved.
        KdError: the teacher cannot be loaded, as in `load_teacher`.
    """
    teacher = load_teacher(name, pick_device(device).torch.type)
    if name == PHOTOS:
        return measure_photos(teacher)
    dataset_name = teacher.card.dataset
    legal = [info.name for info in list_datasets()]
    if dataset_name not in legal:
        raise ConfigError(
            f'"{teacher.name}" learned {dataset_name}, of which there are no test pictures here; measure a teacher of '
            f"one of these: {', '.join(legal)}."
        )
    dataset = load_dataset(dataset_name)
    own_card = teacher.card  # with the classes in the teacher's order, in which its card is looked up later
    teacher = fit_to(dataset, teacher, "train it again, or measure another")
    figures = measure(teacher.logits(dataset.test.images), dataset)
    if is_ensemble(teacher.name):
        save_figures(own_card, figures)
    accuracy = float(figures["accuracy"]["mean"])
    notes = teacher.card.notes
    if not teacher.members:
        notes = " ".join(filter(None, (notes, pictures_note(teacher.card, dataset))))
    return replace(teacher.card, figures=figures, accuracy=accuracy, dataset_sha256=dataset.sha256, notes=notes)
