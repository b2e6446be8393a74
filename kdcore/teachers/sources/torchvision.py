"""Fetch or find the weights of a published teacher, check them, and convert them to safetensors with a model card."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from kdcore.errors import DownloadFailed, ModelFileError, TeacherUnavailable
from kdcore.machine import paths
from kdcore.machine.download import FetchProgress, RemoteFile, fetch, is_complete
from kdcore.machine.tensor_files import file_sha256, load_tensors
from kdcore.machine.torchvision_import import classifier_weights
from kdcore.networks.registry import build_model
from kdcore.networks.weights import load_weights
from kdcore.teachers.card import ModelCard, model_folders
from kdcore.teachers.published import PublishedTeacher, names_here, published_accuracy, published_teacher, remote_file
from kdcore.teachers.sources import imagenet
from kdcore.teachers.sources.own import check_not_of_dataset
from kdcore.teachers.sources.pretrained import save_pretrained

DATASET = "imagenet"
PUBLISHED_ACCURACY_NOTE = "Its accuracy is the published one, not measured here."
UNVERIFIED_NOTE = "Its weights were put here by hand; nobody checked that they are the published ones."


def cache_folder() -> Path:
    """The folder to which weights are downloaded, and into which a user may put a file by hand."""
    return paths.home() / "downloads"


def fetch_published(name: str, new_name: str | None = None) -> Iterator[FetchProgress]:
    """Bring one of torchvision's classifiers to this machine; does nothing if it is already here.

    Instead of fetching, it takes a file that is already here: torchvision's `.pth` in `cache_folder()` or in PyTorch's
    own cache, if its checksum is right, or the same tensors as `NAME.safetensors` in `cache_folder()`. An interrupted
    download is continued. The downloaded file is removed after its conversion to safetensors with a model card.

    Args:
        name: torchvision's name of the classifier.
        new_name: the new teacher's name, which must be free; None for torchvision's name.

    Yields:
        The progress of the download.

    Raises:
        UnknownName: torchvision has no such classifier.
        ConfigError: the name belongs to a dataset's own teacher.
        TeacherUnavailable: it cannot be fetched; the message says what to do instead.
        ModelFileError: the file does not hold the weights of this network.
        StoreError: the disk is full or cannot be written.
    """
    teacher, teacher_name = published_teacher(name), new_name or name
    check_not_of_dataset(teacher_name)
    if _is_intact_here(teacher_name):
        return
    by_hand = cache_folder() / f"{name}.safetensors"
    if by_hand.is_file():
        yield FetchProgress(by_hand.name, by_hand.stat().st_size, by_hand.stat().st_size)
        _save_teacher(teacher, load_tensors(by_hand)[0], teacher_name, verified=False)
        return
    remote = remote_file(teacher)
    weights_file = Path(torch.hub.get_dir()) / "checkpoints" / remote.name
    if not is_complete(weights_file, remote):
        weights_file = cache_folder() / remote.name
        try:
            for done in fetch(remote, cache_folder()):
                yield FetchProgress(remote.name, min(done, remote.size), remote.size)
        except DownloadFailed as error:
            mismatch = ""
            if weights_file.is_file():
                mismatch = f"{remote.name} in {weights_file.parent} is not what torchvision published, and "
            raise TeacherUnavailable(
                f"{mismatch}{str(error).rstrip('.')}. Get {remote.urls[0]} elsewhere and put it into "
                f"{cache_folder()}, or choose a teacher that is here: {names_here()}."
            ) from error
    _save_teacher(teacher, _load_published(weights_file, remote), teacher_name, verified=True)
    if weights_file.parent == cache_folder():
        for path in (weights_file, weights_file.with_name(f"{weights_file.name}.lock")):
            path.unlink(missing_ok=True)


def _is_intact_here(name: str) -> bool:
    """Whether this machine has the model's card and exactly the file that it describes (False for a damaged file)."""
    for folder in model_folders():
        with contextlib.suppress(ModelFileError, OSError):
            card = ModelCard.read(folder / f"{name}.json")
            return file_sha256(folder / f"{name}.safetensors") == card.sha256
    return False


def _load_published(path: Path, remote: RemoteFile) -> dict[str, Tensor]:
    """Check a published `.pth` file by its checksum and load its tensors.

    Unlike safetensors, this format could run code when it is read, so the checksum comes first.

    Raises:
        ModelFileError: the checksum is wrong, or the file holds no weights.
    """
    if not is_complete(path, remote):
        raise ModelFileError(f"{path.name} is not what torchvision published (its SHA-256 differs); remove it.")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds of errors for bad bytes
        raise ModelFileError(f"{path.name} could not be read as weights; remove it and fetch it again.") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ModelFileError(f"{path.name} holds no weights; remove it and fetch it again.")
    return {_modern_key(str(key)): value for key, value in tensors.items()}


def _modern_key(key: str) -> str:
    """Translate the names in old DenseNet files: what they call `norm.1.weight` is `norm1.weight` today."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key)


def _save_teacher(
    teacher: PublishedTeacher, tensors: dict[str, Tensor], teacher_name: str, verified: bool
) -> ModelCard:
    """Save the weights and a new card in this machine's folder of models.

    Args:
        teacher_name: the new teacher's name.
        verified: whether a checksum proved the file to be the published one; only then the card states the published
            accuracy.

    Raises:
        ModelFileError: the tensors are not this network's.
        StoreError: the disk is full or cannot be written.
    """
    weights = classifier_weights(teacher.name, teacher.weights)
    preset, class_names = weights.transforms(), imagenet.unique_names(weights.meta["categories"])
    model, shape = f"torchvision:{teacher.name}", (3, preset.crop_size[0], preset.crop_size[0])
    network = build_model(model, shape, len(class_names), seed=0)  # its weights are loaded next
    try:
        load_weights(network, tensors)
    except RuntimeError as error:
        raise ModelFileError(f"The file does not hold the weights of {model}; remove it and fetch it again.") from error
    recipe = {
        "weights": f"{type(weights).__name__}.{weights.name}",
        "source": weights.url,
        "recipe": weights.meta["recipe"],
        **teacher.training,
    }
    accuracy = published_accuracy(teacher)
    return save_pretrained(
        network,
        name=teacher_name,
        dataset=DATASET,
        model=model,
        class_names=class_names,
        superclasses=imagenet.superclasses(),
        image_shape=shape,
        accuracy=accuracy if verified else None,
        figures={"published_accuracy": {"mean": accuracy, "of": "ImageNet-1K"}} if verified else {},
        recipe=recipe,
        command=f"kdcore teachers get {teacher.name}",
        notes=f"{teacher.notes} {PUBLISHED_ACCURACY_NOTE if verified else UNVERIFIED_NOTE}",
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )
