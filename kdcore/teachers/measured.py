"""The figures of ensembles that were measured on this machine: an ensemble has no card file that could hold them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdcore.errors import StoreError
from kdcore.machine import paths
from kdcore.machine.tensor_files import write_atomically
from kdcore.teachers.card import ModelCard


def with_saved_figures(card: ModelCard) -> ModelCard:
    """Add the saved figures of an ensemble to its card; without a readable file, return the card as it is."""
    try:
        figures = json.loads(_figures_path(card).read_text(encoding="utf-8"))
        return replace(card, figures=figures, accuracy=float(figures["accuracy"]["mean"]))
    except (OSError, ValueError, KeyError, TypeError):
        return card


def save_figures(card: ModelCard, figures: dict[str, Any]) -> None:
    """Save the figures of an ensemble, so that `with_saved_figures` finds them.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    try:
        write_atomically(_figures_path(card), (json.dumps(figures) + "\n").encode())
    except OSError as error:
        raise StoreError(f"The figures could not be saved ({error.strerror}); free some disk space.") from error


def _figures_path(card: ModelCard) -> Path:
    return paths.home() / "measured" / f"{card.sha256}.json"
