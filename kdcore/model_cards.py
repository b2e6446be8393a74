"""Model cards: what is known about each trained network, as JSON beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

from kdcore import paths
from kdcore.errors import ModelFileError


@dataclass(frozen=True)
class ModelCard:
    """What is known about one weights file; stands beside it as JSON.

    Attributes:
        role: "teacher", "baseline" or "distilled".
        model: the network's name in the model registry.
        image_shape: (C, H, W) of the pictures it takes.
        calibration: its logits are multiplied by this before anybody sees them; fitted on validation (temperature
            scaling, Guo et al. 2017).
        crop: share of the picture's side that the network looks at, in the middle.
        resize: pixels of the short side to which a picture is brought before the middle is cut out; None: as many as
            the network takes.
        interpolation: how it is resized, "bilinear" or "bicubic".
        none_below: a picture whose `soft_labels.familiarity` is below this is none of the classes; None: not known.
        accuracy: share of the test split right; for a student the mean over `seeds`; None: not measured here.
        figures: what else was measured on the test split, with intervals.
        recipe: what it was trained with; `command` rebuilds it.
        seeds: the seeds behind the figures; the weights are those of the first.
    """

    name: str
    role: str
    dataset: str
    dataset_sha256: str
    model: str
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...]
    image_shape: tuple[int, int, int]
    calibration: float
    accuracy: float | None
    figures: dict[str, Any]
    num_params: int
    macs: int
    size_bytes: int
    sha256: str
    recipe: dict[str, Any]
    command: str
    seeds: tuple[int, ...]
    date: str
    notes: str = ""
    crop: float = 1.0
    resize: int | None = None
    interpolation: str = "bilinear"
    none_below: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """The card at `path`.

        Raises:
            ModelFileError: missing, damaged, or of another version.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
            for name in ("class_names", "superclasses", "image_shape", "seeds"):
                values[name] = tuple(values[name])
            card = cls(**values)
            card._check()
            return card
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"The model card {path.name} is missing or damaged; train or fetch it again."
            ) from error

    def _check(self) -> None:
        """Raises TypeError for a value of another kind than the pages and the command line can show."""
        texts = ("name", "role", "dataset", "dataset_sha256", "model", "sha256", "command", "date", "notes")
        numbers = ("calibration", "num_params", "macs", "size_bytes", "crop")
        kinds: dict[type | tuple[type, ...], tuple[str, ...]] = {
            str: texts,
            (int, float): numbers,
            (int, float, NoneType): ("accuracy", "none_below"),
            dict: ("figures", "recipe"),
        }
        for kind, names in kinds.items():
            for name in names:
                if not isinstance(getattr(self, name), kind):
                    raise TypeError(name)
        if len(self.image_shape) != 3 or len(self.superclasses) != len(self.class_names):
            raise TypeError("image_shape, superclasses")


def own_folder() -> Path:
    """Where models that did not come with the program are kept."""
    return paths.home() / "models"


def folders() -> tuple[Path, ...]:
    """Where models are looked for, in order: bundled ones, then those of this machine."""
    return paths.assets() / "models", own_folder()


def list_teachers() -> tuple[ModelCard, ...]:
    """The cards of all teachers on this machine."""
    return tuple(card for card in list_cards() if card.role == "teacher")


def list_cards() -> tuple[ModelCard, ...]:
    """Every model card on this machine, students too, by name; a damaged one is left out."""
    return read_cards()[0]


def damaged_cards() -> tuple[str, ...]:
    """The file names of the cards that `list_cards` leaves out because they cannot be read."""
    return read_cards()[1]


def read_cards() -> tuple[tuple[ModelCard, ...], tuple[str, ...]]:
    """`list_cards` and `damaged_cards` in one reading."""
    cards: dict[str, ModelCard] = {}
    damaged = []
    for folder in folders():
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                card = ModelCard.read(path)
            except ModelFileError:
                damaged.append(path.name)
                continue
            cards.setdefault(card.name, card)
    return tuple(cards[name] for name in sorted(cards)), tuple(damaged)
