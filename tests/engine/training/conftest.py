"""What the tests of training share."""

from __future__ import annotations

import pytest

from kdcore.training import results, trainer
from tests.engine.unmeasured import PRECISE


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes runs train in fp32 and skips the measuring of latency, which takes time."""
    monkeypatch.setattr(trainer, "pick_device", lambda *_: PRECISE)
    monkeypatch.setattr(results, "measure_latency", lambda timed, device: dict.fromkeys(timed, ()))
