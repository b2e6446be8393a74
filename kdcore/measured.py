"""Figures of a teacher on the test split of its dataset, measured on this machine; those of ensembles are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kdcore import paths
from kdcore.checkpoints import write_whole
from kdcore.ensemble_names import is_ensemble
from kdcore.errors import ConfigError, StoreError
from kdcore.model_cards import ModelCard


def measure_teacher(name: str, device: str = "auto") -> ModelCard:
    """The card of a teacher with its figures measured anew; an ensemble's are kept and stand on its card from now on.

    Raises:
        ConfigError: it learned a dataset that has no test pictures here, or other classes than that has now.
        DatasetUnavailable: its dataset is not on this machine.
        StoreError: the figures could not be kept.
        KdError: as `load_teacher`.
    """
    from kdcore.datasets import list_datasets, load_dataset
    from kdcore.device import pick_device
    from kdcore.teacher_figures import measure
    from kdcore.teachers import load_teacher

    teacher = load_teacher(name, pick_device(device).torch.type)
    learned = teacher.card.dataset
    known = [info.name for info in list_datasets()]
    if learned not in known:
        raise ConfigError(
            f'"{teacher.name}" learned {learned}, of which there are no test pictures here; measure a teacher of one '
            f"of these: {', '.join(known)}."
        )
    dataset = load_dataset(learned)
    if dataset.class_names != teacher.card.class_names:
        raise ConfigError(f'"{teacher.name}" knows other classes than {learned} has on this machine; train it again.')
    figures = measure(teacher.logits(dataset.test.images), dataset)
    if is_ensemble(teacher.name):
        _keep(teacher.card, figures)
    return replace(
        teacher.card, figures=figures, accuracy=float(figures["accuracy"]["mean"]), dataset_sha256=dataset.sha256
    )


def with_figures(card: ModelCard) -> ModelCard:
    """The card of an ensemble with what was measured of it; a file that is missing or damaged is as none."""
    try:
        figures = json.loads((paths.home() / "measured" / f"{card.sha256}.json").read_text(encoding="utf-8"))
        return replace(card, figures=figures, accuracy=float(figures["accuracy"]["mean"]))
    except (OSError, ValueError, KeyError, TypeError):
        return card


def _keep(card: ModelCard, figures: dict[str, Any]) -> None:
    place = paths.home() / "measured" / f"{card.sha256}.json"
    try:
        write_whole(place, (json.dumps(figures) + "\n").encode())
    except OSError as error:
        raise StoreError(f"The figures could not be kept ({error.strerror}); free some disk space.") from error
