"""The events of a reproduction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdcore.events import Event


@dataclass(frozen=True)
class StageEpochEnded(Event):
    """One epoch of one network has ended.

    Attributes:
        seed: the seed of the network.
        stage: the name of the network.
        done: epochs of this network that are over.
        epochs: epochs of this network in all.
        train_loss: mean over the epoch, in nats.
        validation_errors: wrong answers on the validation pictures.
        seconds: of this epoch.
        seconds_left: estimate for the rest of the whole reproduction.
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
    """A network is trained and saved.

    Attributes:
        seed: the seed of the network.
        stage: the name of the network.
        seconds: of its training, in all attempts.
        reused: whether it was already saved, so that nothing was trained now.
    """

    seed: int
    stage: str
    seconds: float
    reused: bool


@dataclass(frozen=True)
class ReproductionFinished(Event):
    """The reproduction is complete; `result` has the form that `kdcore reproduce NAME --json` prints."""

    result: dict[str, Any]
