"""Trained networks with their model cards: the bundled teachers and students, and those of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from kdcore.checkpoints import load_tensors, save_tensors, write_whole
from kdcore.device import Device, pick_device
from kdcore.ensemble_names import is_ensemble
from kdcore.errors import ModelFileError, StoreError, UnknownName
from kdcore.inference import predict_logits
from kdcore.model_cards import ModelCard, folders, list_cards, list_teachers
from kdcore.models import build_model
from kdcore.views import zoom_middle


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
    """A frozen network with its card; its logits are calibrated.

    `members` are the teachers that an ensemble averages; empty for one network.
    """

    card: ModelCard
    network: FrozenNetwork
    device: Device
    members: tuple[Teacher, ...] = ()

    @property
    def name(self) -> str:
        return self.card.name

    def logits(self, images: Tensor) -> Tensor:
        """Calibrated logits: uint8 [N, C, H, W] -> float32 [N, K] on the CPU."""
        return predict_logits(self.network, images, self.device) * self.card.calibration

    def prepare(self, picture: Image.Image) -> Tensor:
        """A picture as this network takes it: the middle square, resized; uint8 [1, C, H, W]."""
        return prepare_picture(picture, self.card.image_shape, self.card.resize, self.card.interpolation)


def prepare_picture(
    picture: Image.Image,
    image_shape: tuple[int, int, int],
    short_side: int | None = None,
    interpolation: str = "bilinear",
) -> Tensor:
    """The middle square of an RGB picture, resized with anti-aliasing: uint8 [1, C, H, W].

    With a `short_side` the picture is brought to that size first and the middle [H, W] of it is cut out, as
    torchvision's own presets do.

    Grey networks (C = 1) learned bright strokes on dark, so a picture with a bright border is inverted.
    """
    from kdcore.vision import InterpolationMode, transforms

    channels, height, width = image_shape
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    image = torch.from_numpy(pixels.copy()).view(*pixels.shape[:2], channels).permute(2, 0, 1)[None]
    side = min(image.shape[-2:])
    if short_side is not None:  # far from the middle nothing counts, and a long strip would become a huge one
        image = transforms.center_crop(image, [min(size, 2 * side) for size in image.shape[-2:]])
        image = transforms.resize(image, [short_side], interpolation=InterpolationMode(interpolation), antialias=True)
        side = height
    image = transforms.center_crop(image, [side, side])
    if channels == 1:
        border = torch.cat([image[..., 0, :], image[..., -1, :], image[..., :, 0], image[..., :, -1]], -1)
        if border.float().mean() > 127:
            image = 255 - image
    resized: Tensor = transforms.resize(
        image, [height, width], interpolation=InterpolationMode(interpolation), antialias=True
    )
    return resized.contiguous()


def load_teacher(name: str, device: str = "cpu") -> Teacher:
    """The teacher called `name`; names joined by "+" are an ensemble (`ensembles.load_ensemble`).

    Raises:
        ConfigError: an ensemble whose members do not fit together.
        UnknownName: no such teacher on this machine.
        TeacherUnavailable: a published one that must be fetched first.
        ModelFileError: its file is missing, damaged, or not the one that its card describes.
    """
    if is_ensemble(name):
        from kdcore.ensembles import load_ensemble

        return load_ensemble(name, device)
    names = [card.name for card in list_teachers()]
    if name not in names:
        from kdcore.published_teachers import PUBLISHED, missing

        raise missing(name) if name in PUBLISHED else UnknownName("teacher", name, names)
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
