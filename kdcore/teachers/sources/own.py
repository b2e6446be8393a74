"""Teachers that a user adds: a `.safetensors` file with a model card beside it, both treated as untrusted.

Reading such a file cannot run code. The weights are copied first, and the copy is what is checked and kept, so that the
original cannot change between the check and the use.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kdcore.datasets import list_datasets
from kdcore.errors import ConfigError, ModelFileError, StoreError, UnknownName
from kdcore.machine.disk import write_failure_reason
from kdcore.machine.tensor_files import load_tensors
from kdcore.networks.registry import count_macs, count_params
from kdcore.networks.weights import load_weights, may_lack, names_in_network
from kdcore.pictures.views import to_float
from kdcore.teachers.card import (
    CONTROL_ENDINGS,
    ModelCard,
    list_cards,
    list_teachers,
    model_folders,
    own_model_folder,
)
from kdcore.teachers.published import PUBLISHED
from kdcore.teachers.teacher import build_network, check_logits, write_card
from kdcore.teachers.untrusted_card import read_card

SUFFIX = ".safetensors"
# Formats that may hold code have a file suffix that begins with one of these.
CODE_SUFFIXES = (".pt", ".pk", ".pic", ".bin", ".ckpt", ".job", ".np", ".tar", ".zip")
MAX_FILE_BYTES = 4 * 2**30
FLOATS = ("F16", "BF16", "F32", "F64", "F8_")  # what safetensors calls kinds of real numbers, or how these begin
_PART = re.compile(r"-\d+-of-\d+$")  # what the names of the parts of a network end in
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def add_teacher(path: Path, name: str | None = None) -> ModelCard:
    """Check the weights at `path` and the card beside them, and add a copy to the teachers of this machine.

    Args:
        path: `NAME.safetensors`; `NAME.json` beside it must hold at least `model`, `class_names` and `image_shape`.
        name: the new teacher's name; None to take the name on the card, or the file's name if the card has none.

    Returns:
        The card of the new teacher.

    Raises:
        ConfigError: the path or the name cannot be used, or the file is not safetensors.
        ModelFileError: weights or card are damaged, too large, or do not fit each other.
        StoreError: the copy cannot be written.
    """
    path = path.expanduser().absolute()
    _check_path(path)
    card = read_card(path)
    card = replace(card, name=check_new_name(name or card.name or path.stem.lower()))
    with _temporary_copy(path) as (copy, sha256):
        if card.sha256 not in ("", sha256):
            raise ModelFileError(f"{path.name} is not the file that its card describes: the SHA-256 differs.")
        card = replace(card, sha256=sha256, size_bytes=copy.stat().st_size)
        card = _check_network(card, copy, path.name)
        try:
            copy.replace(own_model_folder() / f"{card.name}{SUFFIX}")
        except OSError as error:
            raise StoreError(f"The teacher {card.name} could not be saved {write_failure_reason(error)}.") from error
        write_card(card, own_model_folder() / f"{card.name}.json")
    return card


def remove_teacher(name: str) -> None:
    """Delete a teacher that was added, fetched or trained on this machine.

    Raises:
        ConfigError: the teacher comes with the program, so it cannot be removed.
        UnknownName: this machine's own folder has no such teacher.
        StoreError: its files cannot be removed.
    """
    card_names = {path.stem for path in own_model_folder().glob("*.json")}
    removable = sorted(card_names & {card.name for card in list_teachers()})
    if name not in removable:
        if name in _bundled():
            names = ", ".join(removable) or "none"
            raise ConfigError(f"{name} comes with the program and stays; you can remove: {names}.")
        raise UnknownName("own teacher", name, removable or ("none",))
    try:
        (own_model_folder() / f"{name}.json").unlink()
        (own_model_folder() / f"{name}{SUFFIX}").unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"The teacher {name} could not be removed ({error.strerror}); try again.") from error


def check_new_name(name: str) -> str:
    """Return `name` if a new teacher may have it.

    Raises:
        ConfigError: `name` has illegal characters, is too long, or is taken.
    """
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 60 else f"{name[:57]}..."
        raise ConfigError(
            f'"{shown}" is no name for a teacher; use up to 40 small letters, digits, hyphens and underscores (--name).'
        )
    check_not_of_dataset(name)
    if name in _bundled() or name in PUBLISHED:
        raise ConfigError(f"{name} is the name of a teacher that this program knows; give yours another (--name).")
    if name in {card.name for card in list_cards()} or (own_model_folder() / f"{name}.json").exists():
        raise ConfigError(f"There is a {name} already; remove it first (kdcore teachers remove {name}), or use --name.")
    return name


def check_not_of_dataset(name: str) -> None:
    """Refuse a name that belongs to the own teacher of a dataset or of a control, which are trained when needed.

    Raises:
        ConfigError: it is such a name.
    """
    if name in {info.name for info in list_datasets()}:
        raise ConfigError(
            f'There is a dataset "{name}", whose own teacher has its name; give yours another (--name), and choose it '
            f"with --teacher."
        )
    if name.endswith(CONTROL_ENDINGS):
        raise ConfigError(
            f"Names that end in {' or '.join(CONTROL_ENDINGS)} belong to the teachers of controls; give yours another "
            "(--name)."
        )


def _bundled() -> set[str]:
    return {path.stem for path in model_folders()[0].glob("*.json")}


def _check_path(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix.startswith(CODE_SUFFIXES):
        raise ConfigError(
            f"{path.name} may hold code that runs when it is opened, and is refused; where you trust it, convert it: "
            f'safetensors.torch.save_file(model.state_dict(), "{path.stem}{SUFFIX}").'
        )
    _check_not_in_parts(path)
    if suffix != SUFFIX:
        raise ConfigError(f"{path.name} is no {SUFFIX} file; give one with a model card (.json) beside it.")
    if not path.is_file():
        raise ConfigError(f"There is no file {path}; give the path of a {SUFFIX} file.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ModelFileError(f"{path.name} is larger than {MAX_FILE_BYTES / 2**30:.0f} GB; give a smaller network.")


def _check_not_in_parts(path: Path) -> None:
    """Refuse a network that was saved in several files, whether a part, the index or the missing whole is named.

    Raises:
        ConfigError: it was saved in parts; the message says how to join them.
    """
    name = path.name.removesuffix(".index.json")
    stem = _PART.sub("", name.removesuffix(SUFFIX))
    is_part = name.endswith(SUFFIX) and name != stem + SUFFIX
    has_parts = not path.exists() and any(path.parent.glob(f"{glob.escape(stem)}-*-of-*{SUFFIX}"))
    if is_part or has_parts or path.name != name:
        raise ConfigError(
            f"{path.name} belongs to a network that was saved in parts; join them into one file, and add that: "
            f'save_file({{key: value for part in glob("{stem}-*-of-*{SUFFIX}") for key, value in '
            f'load_file(part).items()}}, "{stem}{SUFFIX}").'
        )


@contextmanager
def _temporary_copy(path: Path) -> Iterator[tuple[Path, str]]:
    """Copy a file to a temporary name in the folder of own models; yields the copy's path and its SHA-256.

    The copy is deleted at the end unless it was moved.

    Raises:
        StoreError: the file cannot be copied.
    """
    try:
        own_model_folder().mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=own_model_folder())
    except OSError as error:
        raise StoreError(f"{path.name} could not be copied {write_failure_reason(error)}.") from error
    copy = Path(name)
    try:
        try:
            with os.fdopen(handle, "wb") as out, path.open("rb") as source:
                shutil.copyfileobj(source, out, 2**20)
                out.flush()
                os.fsync(out.fileno())
            with copy.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StoreError(f"{path.name} could not be copied {write_failure_reason(error)}.") from error
        yield copy, sha256
    finally:
        with suppress(OSError):
            copy.unlink(missing_ok=True)


def _check_network(card: ModelCard, weights: Path, file_name: str) -> ModelCard:
    """Check that the weights fit the network that the card names and that its logits can be used; count its size.

    Args:
        file_name: the name of the file in error messages; `weights` is a copy under another name.

    Returns:
        The card with `num_params` and `macs` filled in.

    Raises:
        ModelFileError: the network cannot be built, or the weights or the logits are not as they must be.
    """
    classes = len(card.class_names)
    try:
        with torch.device("meta"):  # takes no memory, however large the network is
            meta_network = build_network(card)
        _check_header(meta_network.state_dict(), weights, file_name, card.model)
        network = build_network(card, seed=0)  # its weights are loaded next
    except ConfigError as error:
        raise ModelFileError(f"The card of {file_name} names no network that can be built: {error}") from error
    tensors, _ = load_tensors(weights)
    if any(bool((value.isnan() | value.isposinf()).any()) for value in (one.float() for one in tensors.values())):
        raise ModelFileError(
            f"{file_name} holds values that are infinite or not a number, and only -inf is legal, for a class that the "
            "network rules out; save it again."
        )
    load_weights(network, tensors)
    network.eval()
    try:
        with torch.inference_mode():
            black = torch.zeros(1, *card.image_shape, dtype=torch.uint8)
            logits = network(to_float(torch.cat([black, 255 - black])))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ModelFileError(
            f"The network of {file_name} cannot take pictures {card.image_shape} ({error})."
        ) from error
    if logits.shape != (2, classes):
        raise ModelFileError(f"The network of {file_name} does not give one number for each of {classes} classes.")
    check_logits(logits, card.name)
    return replace(card, num_params=count_params(network), macs=count_macs(network, card.image_shape))


def _check_header(wanted: Mapping[str, Tensor], weights: Path, file_name: str, model: str) -> None:
    """Compare names, shapes and kinds of numbers in the file's header with the network's, before any tensor is read.

    Args:
        wanted: the state dict of the network.

    Raises:
        ModelFileError: they differ, or the file is not safetensors.
    """
    try:
        with safe_open(weights, framework="pt") as file:
            names = names_in_network(file.keys(), wanted)
            headers = {name: file.get_slice(key) for key, name in names.items()}
            found = {name: (tuple(one.get_shape()), one.get_dtype()) for name, one in headers.items()}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{file_name} could not be read as safetensors; save it again with save_file.") from error
    differing = sorted(name for name in set(wanted) ^ set(found) if name in found or not may_lack(name))
    if differing:
        name = differing[0]
        problem = f"{'lacks' if name in wanted else 'has an unknown'} {name[:80]}"
        raise ModelFileError(f"{file_name} does not fit {model}, the network that its card names: it {problem}.")
    for name, (shape, kind) in found.items():
        if shape != tuple(wanted[name].shape):
            raise ModelFileError(
                f"{file_name} does not fit {model}: its {name} is {shape}, and {tuple(wanted[name].shape)} is needed."
            )
        if wanted[name].is_floating_point() and not kind.startswith(FLOATS):
            raise ModelFileError(
                f"{file_name} holds {name} as {kind}, and weights must be floating-point numbers; save the network "
                "before it is quantised."
            )
