"""Tensors on disk in the safetensors format; a file is replaced atomically, so it is never half written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kdcore.errors import ModelFileError, StoreError
from kdcore.machine.disk import write_failure_reason


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> str:
    """Write tensors to `path` and return the file's SHA-256.

    The file is replaced atomically: a killed process or a full disk never leaves half a file at `path`.

    Raises:
        StoreError: the disk is full, or the file cannot be written.
    """
    data = to_bytes(tensors, metadata)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StoreError(f"{path.name} could not be saved {write_failure_reason(error)}.") from error
    return hashlib.sha256(data).hexdigest()


def to_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a safetensors file with these tensors."""
    return save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, metadata)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically: the old file stays until the new one is complete, and also after an error.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _fsync_folder(path.parent)


def _fsync_folder(folder: Path) -> None:
    """Flush the folder to disk, so that the rename survives a power cut; does nothing where the system cannot do it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load_tensors(path: Path, sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file, a format that cannot contain code.

    Args:
        sha256: the checksum that the file must have; not checked if None.

    Raises:
        ModelFileError: the file is missing or damaged, or its checksum differs.
    """
    try:
        if sha256 is not None and file_sha256(path) != sha256:
            raise ModelFileError(
                f"{path.name} is not the file its card describes (its SHA-256 differs); fetch it again."
            )
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path.name} could not be read as safetensors; fetch or train it again.") from error


def mark_used(path: Path) -> None:
    """Set a cache's modification time to now, because caches that nobody uses are removed after a while."""
    with contextlib.suppress(OSError):
        os.utime(path)


def is_whole(path: Path) -> bool:
    """Whether a safetensors file can be opened and is as long as it says; its values are not read."""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack_network(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The network's state dict with `prefix` before each name."""
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


def unpack_network(network: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    """Restore in `network` the state that `pack_network` put among `tensors` with the same `prefix`."""
    network.load_state_dict(
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    )


def pack_optimizer(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """The optimiser's state as a flat dictionary, with keys `PREFIX` + "PARAMETER_INDEX.STATE_NAME"."""
    flat: dict[str, Tensor] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                flat[f"{prefix}{index}.{key}"] = torch.as_tensor(value)
    return flat


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Restore in `optimizer` the state that `pack_optimizer` saved among `tensors` with the same `prefix`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix):
            index, key = name[len(prefix) :].split(".", 1)
            state.setdefault(int(index), {})[key] = value
    state_dict = optimizer.state_dict()
    state_dict["state"] = state
    optimizer.load_state_dict(state_dict)
    # A fused step ignores strides, so each state tensor must have the memory layout of its parameter.
    for parameter, parameter_state in optimizer.state.items():
        for name, value in parameter_state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                parameter_state[name] = torch.empty_like(parameter).copy_(value)


def canonical_json(data: object) -> str:
    """JSON with sorted keys and no spaces, so that equal values give equal text, for hashing."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
