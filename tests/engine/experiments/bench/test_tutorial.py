"""Our loop of the tutorial, without a teacher."""

from __future__ import annotations

import numpy as np
import pytest

from kdcore.datasets.base import Dataset
from kdcore.experiments.bench import tutorial
from kdcore.experiments.bench.networks import Renormalised, build_light
from kdcore.machine.device import Device


def test_our_loop_trains_a_teacher_without_one(small: Dataset, exact: Device) -> None:
    network = Renormalised(build_light(0, dropout=0.0))
    losses = [float(loss) for loss in tutorial.train_ours(network, tutorial.pictures_of(small), None, 12, 0, exact)]
    assert len(losses) == 12 * 2  # two batches an epoch, the second smaller
    assert losses[0] == pytest.approx(np.log(10), abs=0.2) and losses[-1] < losses[0]
