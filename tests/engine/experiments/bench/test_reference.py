"""The tutorial's plain loop, beside its formula and beside our loop."""

from __future__ import annotations

import multiprocessing
import pickle
from contextlib import closing
from itertools import islice

import numpy as np
import pytest
import torch

from kdcore.datasets.base import Dataset
from kdcore.errors import KdError
from kdcore.experiments.bench import reference, tutorial
from kdcore.experiments.bench.networks import Renormalised, build_deep, build_light
from kdcore.machine.device import Device
from tests.engine.experiments.bench.small_plan import inputs, softmax

# --- the two networks ---


def test_workers_can_be_sent_the_pictures_by_any_start_method(small: Dataset) -> None:
    loader = reference.make_loader(small.train.images, small.train.hard_labels)
    assert loader.num_workers == 2 and loader.batch_size == 128
    copy = pickle.loads(pickle.dumps(loader.dataset))
    assert torch.equal(copy[3][0], loader.dataset[3][0]) and copy[3][1] == small.train.hard_labels[3]


# --- the two loops ---


def test_the_references_loss_is_the_tutorials_formula(small: Dataset, exact: Device) -> None:
    teacher, student = build_deep(1), build_light(2, dropout=0.0)
    pictures = tutorial.pictures_of(small)
    images, labels = pictures.images[:128], pictures.hard_labels[:128]
    x = torch.from_numpy(inputs(images)).float()
    with torch.no_grad():
        teacher_logits, logits = teacher(x).double().numpy(), student(x).double().numpy()
    soft = -(softmax(teacher_logits / 2) * np.log(softmax(logits / 2))).sum() / 128 * 2**2
    hard = -np.log(softmax(logits))[np.arange(128), labels.numpy()].mean()
    loader = reference.make_loader(images, labels, workers=0, shuffle=False)
    with closing(reference.train_reference(teacher, student, loader, 1, exact.torch)) as steps:
        assert next(steps) == pytest.approx(0.25 * soft + 0.75 * hard, rel=1e-5)


def test_both_loops_take_the_same_steps(small: Dataset, exact: Device) -> None:
    """In fp32, without dropout and in the same order: three steps, the last into a second epoch."""
    pictures = tutorial.pictures_of(small)
    teacher = build_deep(1)
    with torch.no_grad():
        list(teacher.parameters())[-2].mul_(400)  # so that the soft labels differ from a uniform distribution
    logits = tutorial.teacher_logits_of(Renormalised(teacher).eval(), pictures, exact)
    plain, ours = build_light(2, dropout=0.0), build_light(2, dropout=0.0)
    before = [weight.clone() for weight in ours.state_dict().values()]
    loader = reference.make_loader(pictures.images, pictures.hard_labels, workers=0, shuffle=False)
    losses = []
    for steps in (
        reference.train_reference(teacher, plain, loader, 2, exact.torch),
        tutorial.train_ours(Renormalised(ours), pictures, logits, 2, 0, exact, shuffle=False),
    ):
        with closing(steps):
            losses.append([float(loss) for loss in islice(steps, 3)])
    # Cross-entropy with soft labels is KL plus their entropy, which has the same weight.
    soft_labels = softmax(logits[:128].double().numpy() / 2)
    entropy = -(soft_labels * np.log(soft_labels)).sum(1).mean()
    assert 0.2 < entropy < 2.0
    assert losses[0][0] - losses[1][0] == pytest.approx(0.25 * 2**2 * entropy, rel=1e-3)
    states = (plain.state_dict(), ours.state_dict())
    for (name, one), other, start in zip(states[0].items(), states[1].values(), before, strict=True):
        moved = (one - start).abs().max()
        assert moved > 1e-3, name  # three steps of Adam at a rate of 0.001
        # Adam divides by the size of a gradient; where the gradient is only rounding error, so is the step.
        assert ((one - other).abs() < 0.01 * moved).double().mean() > 0.99, name


# --- the command ---


def test_a_plain_loop_that_died_is_one_sentence(small: Dataset, exact: Device) -> None:
    with reference.plain_loop(small.train.images, small.train.hard_labels, build_deep(0), 0, exact) as loop:
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(KdError, match="plain loop died"):
            loop.seconds_per_step(1, 1)
