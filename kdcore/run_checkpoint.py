"""The checkpoint of a run: the state of all arms and seeds after its last finished epoch."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from kdcore.checkpoints import canonical_json, load_tensors, to_bytes, write_whole
from kdcore.config import RunConfig
from kdcore.disk import patiently, trouble
from kdcore.errors import ModelFileError, StoreError
from kdcore.events import CheckpointSaved, Curves

POINTER = "checkpoint{}.json"


class RunCheckpoint:
    """Files named by hash under `run_dir`, and a pointer to the newest; nothing at all when there is no folder.

    A checkpoint of another configuration, dataset or teacher is not continued. A run of several trainings, one after
    the other, has one for each `part`, whose pointer carries the part's name.
    """

    def __init__(
        self,
        run_dir: Path | None,
        config: RunConfig,
        dataset_sha256: str,
        teachers_sha256: Sequence[str],
        part: str = "",
    ) -> None:
        self.run_dir, self.pointer = run_dir, POINTER.format(part and f"-{part}")
        self.key = canonical_json([config.to_json(), dataset_sha256, list(teachers_sha256), part])

    @property
    def enabled(self) -> bool:
        return self.run_dir is not None

    def save(self, epoch: int, tensors: dict[str, Tensor], history: list[Curves], seconds: float) -> CheckpointSaved:
        """Write the state after `epoch` (1-based), then let go of the state before it.

        Every file gets its name when it is whole, and no two writers share one: a former holder of this run that
        wakes up late does no harm. A full disk is waited for.

        Raises:
            StoreError: the disk stays full or cannot be written.
        """
        assert self.run_dir is not None
        metadata = {"key": self.key, "history": json.dumps(history), "seconds": repr(seconds)}
        data = to_bytes(tensors, metadata)
        sha256 = hashlib.sha256(data).hexdigest()
        previous = self._pointer()
        name = f"checkpoints/{sha256}.safetensors"
        pointer = json.dumps({"epoch": epoch, "path": name, "sha256": sha256}).encode()
        try:
            patiently(partial(write_whole, self.run_dir / name, data))
            patiently(partial(write_whole, self.run_dir / self.pointer, pointer))
        except OSError as error:
            raise StoreError(f"The checkpoint could not be saved {trouble(error)}.") from error
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

    def epochs_done(self) -> int:
        """Epochs that the newest whole checkpoint of this very run holds."""
        saved = self.load()
        return 0 if saved is None else len(json.loads(saved[1]["history"]))

    def _pointer(self) -> dict[str, object] | None:
        if self.run_dir is None:
            return None
        try:
            pointer = json.loads((self.run_dir / self.pointer).read_text(encoding="utf-8"))
            return {"path": str(pointer["path"]), "sha256": str(pointer["sha256"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None
