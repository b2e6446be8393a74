"""Model cards: what is known about each trained network, as JSON beside its weights."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

from kdcore.errors import ModelFileError
from kdcore.machine import paths

# A control's own teacher is called TEACHER and one of these; no other teacher and no dataset may have such a name.
CONTROL_ENDINGS = ("-smoothed", "-undertrained")
# What decides the logits that a network gives for a tensor of pictures, apart from the order of its classes.
_DECIDES_LOGITS = (
    "sha256", "model", "image_shape", "calibration", "crop", "resize", "interpolation", "normalisation",
)  # fmt: skip
UNKNOWN_DATASET = "unknown"  # what a card says whose network learned from pictures that nobody named


@dataclass(frozen=True)
class Normalisation:
    """How pixel values are scaled before a network: (value - mean) / std for each channel, for values of 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelCard:
    """What is known about one weights file; it is kept beside that file as JSON.

    Attributes:
        role: "teacher", "baseline" or "distilled".
        dataset: the dataset that the network was trained on; an ensemble joins those of its members with "+".
        dataset_sha256: SHA-256 of that dataset; empty where it is not known.
        model: the network's name in the model registry.
        superclasses: the superclass of each class, in the order of `class_names`.
        image_shape: (C, H, W) of the pictures that the network takes.
        calibration: the network's raw logits are multiplied by this factor; it was fitted on validation (temperature
            scaling, Guo et al. 2017).
        accuracy: share of the test split that is classified correctly, 0 to 1; for a student the mean over `seeds`;
            None where it was not measured on this machine.
        figures: what else was measured on the test split, with intervals.
        macs: multiply-accumulate operations for one picture.
        size_bytes: size of the weights file.
        sha256: SHA-256 of the weights file.
        recipe: the settings of the training.
        command: the command that trains, fetches or adds this model; for an ensemble, the one that measures it.
        seeds: the seeds behind the figures; the weights are those of the first seed.
        date: when the card was made, as YYYY-MM-DD.
        crop: the network is shown only the middle of a picture, this share of each side (0 to 1), enlarged.
        resize: a picture is first resized to so many pixels on its short side, then its middle is cut out; None to cut
            out the middle square and resize that to `image_shape`.
        interpolation: how pictures are resized, "bilinear" or "bicubic".
        none_below: a picture whose `soft_labels.familiarity` is below this counts as none of the classes; None where
            no threshold is known.
        normalisation: the normalisation that the network was trained with; None for that of every network here, or for
            the one that a network of another library brings with it.
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
    normalisation: Normalisation | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def logits_key(self) -> dict[str, Any]:
        """Everything that decides the network's logits except for the order of the classes, as JSON."""
        facts = self.to_json()
        return {name: facts[name] for name in _DECIDES_LOGITS}

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read the card at `path`.

        Raises:
            ModelFileError: the card is missing or damaged, or another version wrote it.
        """
        try:
            data = json.loads(path.read_bytes())  # from bytes: editors add byte-order marks
            values = {f.name: data[f.name] for f in fields(cls) if f.name in data}
            for name in ("class_names", "superclasses", "image_shape", "seeds"):
                values[name] = tuple(values[name])
            if (scaling := values.get("normalisation")) is not None:
                values["normalisation"] = Normalisation(tuple(scaling["mean"]), tuple(scaling["std"]))
            card = cls(**values)
            card._check_types()
            return card
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"The model card {path.name} is missing or damaged; train or fetch it again."
            ) from error

    def _check_types(self) -> None:
        """Raise TypeError for a value whose type the pages and the command line cannot show."""
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


def same_classes(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether two networks or datasets have the same classes, in whatever order.

    Names that are written with the same letters are equal, however Unicode composes these.
    """
    return sorted(map(composed, first)) == sorted(map(composed, second))


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC), in which equal letters are equal text."""
    return unicodedata.normalize("NFC", name)


def was_trained_here(card: ModelCard) -> bool:
    """Whether this machine trained the teacher by its recipe, so that it can train it again at any time."""
    is_bundled = (model_folders()[0] / f"{card.name}.json").is_file()
    return not is_bundled and card.command.endswith(f" teachers train {card.name}")


def own_model_folder() -> Path:
    """The folder for models that did not come with the program: those added, fetched or trained on this machine."""
    return paths.home() / "models"


def model_folders() -> tuple[Path, ...]:
    """The folders in which models are looked up, in this order: the bundled models, then those of this machine."""
    return paths.assets() / "models", own_model_folder()


def list_teachers() -> tuple[ModelCard, ...]:
    """The cards of all teachers on this machine."""
    return tuple(card for card in list_cards() if card.role == "teacher")


def teachers_by_name() -> dict[str, ModelCard]:
    """The cards of all teachers on this machine, by name."""
    return {card.name: card for card in list_teachers()}


def list_cards() -> tuple[ModelCard, ...]:
    """Every readable model card on this machine, of teachers and students, sorted by name."""
    return read_cards()[0]


def damaged_cards() -> tuple[str, ...]:
    """The file names of the cards that cannot be read and are therefore missing from `list_cards`."""
    return read_cards()[1]


def read_cards() -> tuple[tuple[ModelCard, ...], tuple[str, ...]]:
    """Return `list_cards()` and `damaged_cards()`, reading the files only once."""
    cards: dict[str, ModelCard] = {}
    damaged = []
    for folder in model_folders():
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                card = ModelCard.read(path)
            except ModelFileError:
                damaged.append(path.name)
                continue
            cards.setdefault(card.name, card)
    return tuple(cards[name] for name in sorted(cards)), tuple(damaged)
