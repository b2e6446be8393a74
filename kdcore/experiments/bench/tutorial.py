"""The job of PyTorch's knowledge-distillation tutorial, timed with the engine's data path and with a plain loop.

Both sides have the same pictures, networks, losses, optimiser, batch size and number of epochs. Ours keeps the pictures
in one uint8 tensor, computes the teacher's logits once, uses bf16 where the processor has it, and never waits for the
value of a loss.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from kdcore.datasets.base import Dataset
from kdcore.experiments.bench import reference
from kdcore.experiments.bench.clock import ProgressCallback, measure_in_turns, seconds_of
from kdcore.experiments.bench.networks import Renormalised, build_deep, build_light
from kdcore.machine.device import Device
from kdcore.methods.losses import baseline_loss, kd_loss
from kdcore.networks.inference import predict_logits
from kdcore.pictures.views import to_float

DATASET = "cifar10"
EPOCHS = 10
SEED = 42
TEACHER_BATCH_SIZE = 64  # the teacher's batch size on a CPU; small, so that activations stay in the cache


@dataclass(frozen=True)
class TimedShare:
    """How much of the job is timed; the seconds of the whole job are extrapolated from it.

    Attributes:
        reference_batches: timed steps of the plain loop.
        warm_up: steps of the plain loop before these, in which its workers start.
        steps: timed steps of our loop (by default one epoch); None for the whole job.
        teacher_pictures: pictures on which our single pass of the teacher is timed; None for all.
    """

    reference_batches: int = 50
    warm_up: int = 10
    steps: int | None = 391
    teacher_pictures: int | None = 10_240


WHOLE = TimedShare(steps=None, teacher_pictures=None)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The training pictures of both loops, in memory.

    Attributes:
        images: uint8 [N, 3, 32, 32] in channels_last order.
        hard_labels: int64 [N].
    """

    images: Tensor
    hard_labels: Tensor

    @property
    def steps(self) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-len(self.images) // reference.BATCH_SIZE)


def pictures_of(dataset: Dataset) -> Pictures:
    """Return the training and validation pictures together, which are the tutorial's training set.

    This job needs no validation pictures, because it chooses nothing.
    """
    splits = (dataset.train, dataset.validation)
    images = torch.cat([split.images for split in splits]).contiguous(memory_format=torch.channels_last)
    return Pictures(images, torch.cat([split.hard_labels for split in splits]))


def teacher_logits_of(teacher: nn.Module, pictures: Pictures, device: Device) -> Tensor:
    """Compute the teacher's logits of all pictures, kept on the device in half precision: float16 [N, 10]."""
    batch_size = TEACHER_BATCH_SIZE if device.torch.type == "cpu" else 1024
    return predict_logits(teacher, pictures.images, device, batch_size).half().to(device.torch)


def train_ours(
    network: nn.Module,
    pictures: Pictures,
    teacher_logits: Tensor | None,
    epochs: int,
    seed: int,
    device: Device,
    shuffle: bool = True,
) -> Generator[Tensor, None, None]:
    """Train with the engine's data path; yield the loss (nats) after every step, as a tensor still on the device.

    Args:
        network: takes pictures as `to_float` returns them, float in -1 to 1.
        teacher_logits: [N, 10] on the device; None to learn from the hard labels alone.
    """
    device.place(network).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=reference.LEARNING_RATE, fused=True)
    images, hard_labels = pictures.images.to(device.torch), pictures.hard_labels.to(device.torch)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator) if shuffle else torch.arange(len(images))
        for rows in order.to(device.torch).split(reference.BATCH_SIZE):
            batch = to_float(images[rows]).contiguous(memory_format=torch.channels_last)
            with device.autocast():
                logits = network(batch)
            if teacher_logits is None:
                loss = baseline_loss(logits, hard_labels[rows]).total
            else:
                temperature, weight = reference.TEMPERATURE, reference.SOFT_WEIGHT
                loss = kd_loss(logits, teacher_logits[rows], hard_labels[rows], temperature, weight).total
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield loss.detach()


def measure_tutorial(
    pictures: Pictures,
    teacher: nn.Module,
    device: Device,
    repeats: int,
    extent: TimedShare,
    on_progress: ProgressCallback,
) -> dict[str, Any]:
    """Measure the seconds of the whole job on both sides, in turns; figures are medians over `repeats`.

    Args:
        teacher: a network of `build_deep`; both sides use its weights.

    Returns:
        reference_seconds, our_seconds and their ratio, the spread of both, and how much of the job was timed.
    """
    lean = Renormalised(build_deep(SEED, lean=True))
    lean.network.load_state_dict(teacher.state_dict())
    device.place(lean)
    teacher_logits = teacher_logits_of(lean, pictures, device)
    whole_job = EPOCHS * pictures.steps

    def plain_seconds() -> float:
        return whole_job * loop.seconds_per_step(extent.warm_up, extent.reference_batches)

    with reference.plain_loop(pictures.images, pictures.hard_labels, teacher, SEED, device) as loop:
        jobs = {
            "the plain loop": plain_seconds,
            "the engine": lambda: _our_seconds(pictures, lean, teacher_logits, device, extent),
        }
        plain, ours = measure_in_turns(jobs, repeats, lambda line: on_progress(f"tutorial: {line}")).values()
    return {
        "reference_seconds": plain.median,
        "our_seconds": ours.median,
        "ratio": plain.median / ours.median,
        "reference_range": plain.range,
        "our_range": ours.range,
        "dataset": DATASET,
        "pictures": len(pictures.images),
        "epochs": EPOCHS,
        "timed": {
            "reference_batches": extent.reference_batches,
            "our_steps": extent.steps or whole_job,
            "teacher_pictures": extent.teacher_pictures or len(pictures.images),
        },
    }


def _our_seconds(
    pictures: Pictures, teacher: nn.Module, teacher_logits: Tensor, device: Device, extent: TimedShare
) -> float:
    """Return our seconds for the whole job, the teacher's pass and all steps, extrapolated from `extent`."""
    total = EPOCHS * pictures.steps
    count = min(extent.steps or total, total)
    timed_pictures = Pictures(
        pictures.images[: extent.teacher_pictures], pictures.hard_labels[: extent.teacher_pictures]
    )
    teacher_seconds = seconds_of(device, lambda: teacher_logits_of(teacher, timed_pictures, device))
    teacher_pass_seconds = teacher_seconds * len(pictures.images) / len(timed_pictures.images)

    def learn() -> None:
        student = Renormalised(build_light(SEED, lean=True))
        with closing(train_ours(student, pictures, teacher_logits, EPOCHS, SEED, device)) as steps:
            for _ in islice(steps, count):
                pass

    return teacher_pass_seconds + seconds_of(device, learn) * total / count
