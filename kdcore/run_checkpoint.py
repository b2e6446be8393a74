"""The checkpoint of a run: the state of all arms and seeds after its last finished epoch."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from torch import Tensor

from kdcore.checkpoints import canonical_json, load_tensors, save_tensors, write_whole
from kdcore.config import RunConfig
from kdcore.errors import ModelFileError, StoreError
from kdcore.events import CheckpointSaved, Curves

POINTER = "checkpoint.json"


class RunCheckpoint:
    """Files named by hash under `run_dir`, and a pointer to the newest; nothing at all when there is no folder.

    A checkpoint of another configuration, dataset or teacher is not continued.
    """

    def __init__(self, run_dir: Path | None, config: RunConfig, dataset_sha256: str, teacher_sha256: str) -> None:
        self.run_dir = run_dir
        self.key = canonical_json([config.to_json(), dataset_sha256, teacher_sha256])

    @property
    def enabled(self) -> bool:
        return self.run_dir is not None

    def save(self, epoch: int, tensors: dict[str, Tensor], history: list[Curves], seconds: float) -> CheckpointSaved:
        """Write the state after `epoch` (1-based), then let go of the state before it.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        assert self.run_dir is not None
        metadata = {"key": self.key, "history": json.dumps(history), "seconds": repr(seconds)}
        temporary = self.run_dir / "checkpoints" / "next.safetensors"
        sha256 = save_tensors(temporary, tensors, metadata)
        previous = self._pointer()
        name = f"checkpoints/{sha256}.safetensors"
        try:
            temporary.replace(self.run_dir / name)
            pointer = {"epoch": epoch, "path": name, "sha256": sha256}
            write_whole(self.run_dir / POINTER, json.dumps(pointer).encode())
        except OSError as error:
            raise StoreError(f"The checkpoint could not be saved ({error.strerror}); free some disk space.") from error
        if previous is not None and previous["path"] != name:
            with contextlib.suppress(OSError):
                (self.run_dir / str(previous["path"])).unlink()
        return CheckpointSaved(epoch, sha256, name)

    def load(self) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Tensors and metadata of the newest whole checkpoint of this very run, or None."""
        pointer = self._pointer()
        if pointer is None or self.run_dir is None:
            return None
        try:
            tensors, metadata = load_tensors(self.run_dir / str(pointer["path"]), str(pointer["sha256"]))
        except ModelFileError:
            return None
        return (tensors, metadata) if metadata.get("key") == self.key else None

    def _pointer(self) -> dict[str, object] | None:
        if self.run_dir is None:
            return None
        try:
            pointer = json.loads((self.run_dir / POINTER).read_text(encoding="utf-8"))
            return {"path": str(pointer["path"]), "sha256": str(pointer["sha256"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None
