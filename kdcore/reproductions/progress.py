"""What a reproduction says while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdcore.events import Event


@dataclass(frozen=True)
class StageEpochEnded(Event):
    """One epoch of one network.

    Attributes:
        done: epochs of the stage that are over.
        validation_errors: of all validation pictures.
        seconds_left: of the whole reproduction, judged by what was trained so far.
    """

    seed: int
    stage: str
    done: int
    epochs: int
    train_loss: float
    validation_errors: int
    seconds: float
    seconds_left: float


@dataclass(frozen=True)
class StageFinished(Event):
    """A network is trained and on the disk; `reused` if it was there before."""

    seed: int
    stage: str
    seconds: float
    reused: bool


@dataclass(frozen=True)
class ReproductionFinished(Event):
    """The result, in the shape that `kdcore reproduce NAME --json` prints."""

    result: dict[str, Any]
