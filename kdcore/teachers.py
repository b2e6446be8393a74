"""Trained networks with their model cards: the bundled teachers and students, and those of a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from kdcore import paths
from kdcore.checkpoints import load_tensors, save_tensors, write_whole
from kdcore.device import Device, pick_device
from kdcore.errors import ModelFileError, StoreError, UnknownName
from kdcore.inference import predict_logits
from kdcore.models import build_model
from kdcore.views import zoom_middle


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
        accuracy: share of the test split right; for a student the mean over `seeds`.
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
    accuracy: float
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
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"The model card {path.name} is missing or damaged; train or fetch it again."
            ) from error


class FrozenNetwork(nn.Module):
    """A network that stays in eval mode and takes no gradient, whatever is called on it.

    It looks at the middle `crop` of a picture's side.
    """

    def __init__(self, network: nn.Module, crop: float = 1.0) -> None:
        super().__init__()
        self.crop = crop
        self.network = network.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> FrozenNetwork:
        """Stays in eval mode: batch norm and dropout of a teacher never move."""
        return self

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, K]
        with torch.inference_mode():
            logits: Tensor = self.network(zoom_middle(pictures, self.crop))
        return logits


@dataclass(frozen=True, eq=False)
class Teacher:
    """A frozen network with its card; its logits are calibrated."""

    card: ModelCard
    network: FrozenNetwork
    device: Device

    @property
    def name(self) -> str:
        return self.card.name

    def logits(self, images: Tensor) -> Tensor:
        """Calibrated logits: uint8 [N, C, H, W] -> float32 [N, K] on the CPU."""
        return predict_logits(self.network, images, self.device) * self.card.calibration

    def prepare(self, picture: Image.Image) -> Tensor:
        """A picture as this network takes it: the middle square, resized; uint8 [1, C, H, W]."""
        return prepare_picture(picture, self.card.image_shape)


def prepare_picture(picture: Image.Image, image_shape: tuple[int, int, int]) -> Tensor:
    """The middle square of an RGB picture, resized with anti-aliasing: uint8 [1, C, H, W].

    Grey networks (C = 1) learned bright strokes on dark, so a picture with a bright border is inverted.
    """
    from kdcore.vision import transforms

    channels, height, width = image_shape
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    image = torch.from_numpy(pixels.copy()).view(*pixels.shape[:2], channels).permute(2, 0, 1)[None]
    side = min(image.shape[-2:])
    image = transforms.center_crop(image, [side, side])
    if channels == 1:
        border = torch.cat([image[..., 0, :], image[..., -1, :], image[..., :, 0], image[..., :, -1]], -1)
        if border.float().mean() > 127:
            image = 255 - image
    resized: Tensor = transforms.resize(image, [height, width], antialias=True)
    return resized.contiguous()


def folders() -> tuple[Path, ...]:
    """Where models are looked for, in order: bundled ones, then those trained on this machine."""
    return paths.assets() / "models", paths.home() / "models"


def list_cards() -> tuple[ModelCard, ...]:
    """Every model card on this machine, students too, by name; a damaged one is left out."""
    cards: dict[str, ModelCard] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                card = ModelCard.read(path)
            except ModelFileError:
                continue
            cards.setdefault(card.name, card)
    return tuple(cards[name] for name in sorted(cards))


def list_teachers() -> tuple[ModelCard, ...]:
    """The cards of all teachers on this machine."""
    return tuple(card for card in list_cards() if card.role == "teacher")


def load_teacher(name: str, device: str = "cpu") -> Teacher:
    """The teacher called `name`.

    Raises:
        UnknownName: no such teacher on this machine.
        ModelFileError: its file is missing, damaged, or not the one that its card describes.
    """
    names = [card.name for card in list_teachers()]
    if name not in names:
        raise UnknownName("teacher", name, names)
    return load_bundled(name, device)


def load_bundled(name: str, device: str = "cpu") -> Teacher:
    """Any bundled model, students too, frozen.

    Raises:
        UnknownName, ModelFileError: as `load_teacher`.
    """
    for folder in folders():
        if (folder / f"{name}.json").is_file():
            return load_model(folder / f"{name}.safetensors", device)
    raise UnknownName("model", name, (card.name for card in list_cards()))


def load_model(path: Path, device: str = "cpu") -> Teacher:
    """The network in a `.safetensors` file with its card beside it, frozen.

    Raises:
        ModelFileError: missing, damaged, of another shape, or not the file that its card describes.
    """
    card = ModelCard.read(path.with_suffix(".json"))
    here = pick_device(device)
    tensors, _ = load_tensors(path, card.sha256)
    network = build_model(card.model, card.image_shape, len(card.class_names))
    try:
        network.load_state_dict({key: value.float() for key, value in tensors.items()})
    except RuntimeError as error:
        raise ModelFileError(f"{path.name} does not fit the network {card.model} that its card names.") from error
    here.place(network)
    return Teacher(card, FrozenNetwork(network, card.crop), here)


def save_model(folder: Path, network: nn.Module, card: dict[str, Any], half: bool = False) -> ModelCard:
    """Write weights and card into `folder` and return the card, its hash and size filled in.

    Args:
        card: every field of `ModelCard` but `sha256` and `size_bytes`.
        half: keep matrices and kernels in fp16, which halves the file.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    path = folder / f"{card['name']}.safetensors"
    tensors = {key: value.half() if half and value.ndim > 1 else value for key, value in network.state_dict().items()}
    sha256 = save_tensors(path, tensors)
    whole = ModelCard(**card, sha256=sha256, size_bytes=path.stat().st_size)
    try:
        text = json.dumps(whole.to_json(), indent=1, ensure_ascii=False) + "\n"
        write_whole(path.with_suffix(".json"), text.encode())
    except OSError as error:
        raise StoreError(
            f"The card of {whole.name} could not be saved ({error.strerror}); free some disk space."
        ) from error
    return whole
