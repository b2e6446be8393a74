"""The checkpoint of a run: the state of all arms and seeds after its last finished epoch."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from kdcore.errors import ModelFileError, StoreError
from kdcore.events import CheckpointSaved, Curves
from kdcore.machine.disk import retry_while_full, write_failure_reason
from kdcore.machine.tensor_files import canonical_json, load_tensors, to_bytes, write_atomically
from kdcore.settings.config import RunConfig
from kdcore.settings.defaults import defaults_for
from kdcore.training import teams

FORMAT = 2  # to be raised when the content of checkpoints changes, so that older ones are not loaded
POINTER_NAME = "checkpoint{}.json"


class RunCheckpoint:
    """Saves and loads the checkpoints of one training.

    A checkpoint is a file under `run_dir` named by its SHA-256; a small JSON file there, the pointer, names the newest
    one. A checkpoint of another format, layout of teams, configuration, dataset, teacher or part is never loaded.

    Args:
        run_dir: the run's folder; None switches checkpoints off.
        dataset_sha256: hash of the dataset that the students learn from.
        teachers: for each teacher, as JSON, everything that decides its logits.
        part: name of one training of a run that has several, one after the other; each has its own pointer.
    """

    def __init__(
        self,
        run_dir: Path | None,
        config: RunConfig,
        dataset_sha256: str,
        teachers: Sequence[object],
        part: str = "",
    ) -> None:
        self.run_dir, self.pointer = run_dir, POINTER_NAME.format(part and f"-{part}")
        layout = {"stacked_macs": teams.STACKED_MACS, "most_stacked": teams.MOST_STACKED}
        views = defaults_for(config.dataset).views.offsets
        facts = [FORMAT, layout, config.to_json(), dataset_sha256, list(teachers), views, part]
        self.key = canonical_json(facts)

    @property
    def enabled(self) -> bool:
        return self.run_dir is not None

    def save(self, epoch: int, tensors: dict[str, Tensor], history: list[Curves], seconds: float) -> CheckpointSaved:
        """Write the state after `epoch` (1-based), then delete the previous checkpoint.

        Every file is written under a temporary name of its own and renamed when it is complete, so that a former
        worker of this run that resumes late cannot damage it. While the disk is full, writing is retried for a while.

        Args:
            tensors: the state to save.
            history: the curves of each finished epoch.
            seconds: training time so far, over all attempts.

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
            retry_while_full(partial(write_atomically, self.run_dir / name, data))
            retry_while_full(partial(write_atomically, self.run_dir / self.pointer, pointer))
        except OSError as error:
            raise StoreError(f"The checkpoint could not be saved {write_failure_reason(error)}.") from error
        if previous is not None and previous["path"] != name:
            with contextlib.suppress(OSError):
                (self.run_dir / str(previous["path"])).unlink()
        return CheckpointSaved(epoch, sha256, name)

    def load(self) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Return the tensors and metadata of the newest checkpoint; None if there is none for exactly this training,
        or if its file is damaged."""
        pointer = self._pointer()
        if pointer is None or self.run_dir is None:
            return None
        try:
            tensors, metadata = load_tensors(self.run_dir / str(pointer["path"]), str(pointer["sha256"]))
        except ModelFileError:
            return None
        return (tensors, metadata) if metadata.get("key") == self.key else None

    def is_outdated(self) -> bool:
        """Whether there is a checkpoint, but not one that `load` would return."""
        return self._pointer() is not None and self.load() is None

    def epochs_done(self) -> int:
        """Return how many finished epochs the checkpoint that `load` would return covers; 0 if there is none."""
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
