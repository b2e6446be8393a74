"""Measure a teacher on the test split of its dataset; the figures of ensembles are kept on this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kdcore.errors import StoreError
from kdcore.machine import paths
from kdcore.machine.tensor_files import write_atomically
from kdcore.teachers.card import ModelCard


def with_saved_figures(card: ModelCard) -> ModelCard:
    """Add the saved figures of an ensemble to its card; without a readable file, return the card as it is."""
    try:
        figures = json.loads((paths.home() / "measured" / f"{card.sha256}.json").read_text(encoding="utf-8"))
        return replace(card, figures=figures, accuracy=float(figures["accuracy"]["mean"]))
    except (OSError, ValueError, KeyError, TypeError):
        return card


def save_figures(card: ModelCard, figures: dict[str, Any]) -> None:
    place = paths.home() / "measured" / f"{card.sha256}.json"
    try:
        write_atomically(place, (json.dumps(figures) + "\n").encode())
    except OSError as error:
        raise StoreError(f"The figures could not be saved ({error.strerror}); free some disk space.") from error
