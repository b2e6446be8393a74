"""The cards of the bundled models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kdcore.teachers.card import ModelCard

BUNDLED = Path(__file__).parents[3] / "assets" / "models"


def card(name: str = "creatures", **changes: Any) -> ModelCard:
    return replace(ModelCard.read(BUNDLED / f"{name}.json"), **changes)
