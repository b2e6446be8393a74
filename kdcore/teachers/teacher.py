"""Load and save trained networks together with their model cards: teachers, and students of a run or bundled ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from kdcore.errors import ModelFileError, StoreError, UnknownName
from kdcore.machine.device import Device, pick_device
from kdcore.machine.disk import write_failure_reason
from kdcore.machine.tensor_files import load_tensors, save_tensors, write_atomically
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.inference import predict_logits
from kdcore.networks.normalisation import add_input_normalisation
from kdcore.networks.registry import build_model
from kdcore.networks.weights import load_weights
from kdcore.pictures.prepare import prepare_picture
from kdcore.teachers.card import ModelCard, composed, list_cards, model_folders
from kdcore.teachers.packaged import PACKAGED, load_packaged


@dataclass(frozen=True, eq=False)
class Teacher:
    """A frozen network with its card; its logits are calibrated. Trained students are loaded as this class too.

    Attributes:
        members: the teachers that an ensemble averages; empty for a single network.
    """

    card: ModelCard
    network: FrozenNetwork
    device: Device
    members: tuple[Teacher, ...] = ()

    @property
    def name(self) -> str:
        return self.card.name

    def logits(self, images: Tensor) -> Tensor:
        """Calibrated logits: uint8 [N, C, H, W] -> float32 [N, K] on the CPU. A logit of -inf rules its class out.

        Raises:
            ModelFileError: a logit is not a number or +inf, or all classes of a picture are ruled out.
        """
        return check_logits(predict_logits(self.network, images, self.device) * self.card.calibration, self.name)

    def logits_key(self) -> dict[str, Any]:
        """Everything that decides the logits, also which class each of them belongs to, as JSON.

        After `in_order` the card names the classes in their new order: only `columns` says where each of them was.
        """
        columns = self.network.columns
        order = None if columns is None else columns.tolist()
        return {**self.card.logits_key(), "columns": order, "members": [one.logits_key() for one in self.members]}

    def in_order(self, class_names: Sequence[str]) -> Teacher:
        """The same single network, with its classes in the order of `class_names`, which must be the same names."""
        places = {composed(name): place for place, name in enumerate(self.card.class_names)}
        order = [places[composed(name)] for name in class_names]
        columns = torch.tensor(order, device=self.device.torch)
        if self.network.columns is not None:
            columns = self.network.columns[columns]
        superclasses = tuple(self.card.superclasses[place] for place in order)
        card = replace(self.card, class_names=tuple(class_names), superclasses=superclasses)
        return Teacher(card, FrozenNetwork(self.network.network, self.network.crop, columns), self.device)

    def prepare(self, picture: Image.Image) -> Tensor:
        """Bring a picture to the shape that this network takes: its middle, resized; uint8 [1, C, H, W]."""
        return prepare_picture(picture, self.card.image_shape, self.card.resize, self.card.interpolation)


def build_network(card: ModelCard, seed: int | None = None) -> nn.Module:
    """Build the network that a card names, with random weights, for pictures of -1 to 1.

    Args:
        seed: of the weights, as in `build_model`.

    Raises:
        ConfigError: there is no such network, or it cannot take such pictures.
    """
    network = build_model(card.model, card.image_shape, len(card.class_names), seed=seed)
    if card.normalisation is not None:
        add_input_normalisation(network, card.normalisation.mean, card.normalisation.std)
    return network


def check_logits(logits: Tensor, name: str) -> Tensor:
    """Return a network's logits, [..., K], if soft labels can be computed from them.

    Args:
        name: of the network, for the message.

    Raises:
        ModelFileError: a logit is not a number or +inf, or all classes of a picture are ruled out by -inf.
    """
    if bool(logits.amax(-1).isfinite().all()):  # the largest logit is NaN if any of them is
        return logits
    raise ModelFileError(
        f"The network {name} answers some pictures with logits that are not a number or infinite, and only -inf is "
        "legal, for a class that it rules out; mend its weights or choose another one."
    )


def load_single(name: str, device: str = "cpu") -> Teacher:
    """Load the model called `name`, a teacher or a student, from the bundled models or those of this machine.

    Raises:
        UnknownName: there is no such model on this machine.
        TeacherUnavailable: its weights come in a package that is not installed.
        ModelFileError: its file is missing, damaged, or not the one that its card describes.
    """
    for folder in model_folders():
        if (folder / f"{name}.json").is_file():
            if name in PACKAGED:
                card = ModelCard.read(folder / f"{name}.json")
                return teacher_of_tensors(card, load_packaged(card), device)
            return load_model(folder / f"{name}.safetensors", device)
    raise UnknownName("model", name, (card.name for card in list_cards()))


def load_model(path: Path, device: str = "cpu") -> Teacher:
    """Load the network in a `.safetensors` file, whose card lies beside it, and freeze it.

    Raises:
        ModelFileError: the file or its card is missing or damaged, its tensors do not fit the network that the card
            names, or it is not the file that the card describes.
    """
    card = ModelCard.read(path.with_suffix(".json"))
    return teacher_of_tensors(card, load_tensors(path, card.sha256)[0], device)


def teacher_of_tensors(card: ModelCard, tensors: dict[str, Tensor], device: str = "cpu") -> Teacher:
    """Build the network that a card names, with the weights `tensors`, and freeze it.

    Raises:
        ModelFileError: the tensors do not fit the network.
    """
    target_device = pick_device(device)
    network = build_network(card, seed=0)  # its weights are loaded next
    try:
        load_weights(network, tensors)
    except RuntimeError as error:
        raise ModelFileError(
            f"The file with the weights of {card.name} does not fit the network {card.model} that its card names."
        ) from error
    target_device.place(network)
    return Teacher(card, FrozenNetwork(network, card.crop), target_device)


def save_model(folder: Path, network: nn.Module, card: dict[str, Any], half: bool = False) -> ModelCard:
    """Write weights and card into `folder`; returns the card with the hash and the size of the file filled in.

    Args:
        card: the fields of `ModelCard` except `sha256` and `size_bytes`.
        half: store all tensors of two or more dimensions in fp16, which halves the file.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    path = folder / f"{card['name']}.safetensors"
    tensors = {key: value.half() if half and value.ndim > 1 else value for key, value in network.state_dict().items()}
    sha256 = save_tensors(path, tensors)
    finished_card = ModelCard(**card, sha256=sha256, size_bytes=path.stat().st_size)
    write_card(finished_card, path.with_suffix(".json"))
    return finished_card


def write_card(card: ModelCard, path: Path) -> None:
    """Write a card to `path` as JSON.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    text = json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise StoreError(f"The card of {card.name} could not be saved {write_failure_reason(error)}.") from error
