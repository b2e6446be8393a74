"""The plain loop: the distillation loop of PyTorch's tutorial, rewritten, as a user would write it.

It is deliberately plain and uses nothing of the engine: a Dataset that makes one picture at a time, a DataLoader with
two workers, fp32, the teacher's forward pass in every step, and the loss read in every step. It is timed in a process
of its own, so that the engine's process-wide settings neither help nor hinder it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Generator, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from kdcore.errors import KdError
from kdcore.experiments.bench.networks import MEAN, STD, build_deep, build_light
from kdcore.machine.device import Device

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
TEMPERATURE = 2.0
SOFT_WEIGHT, HARD_WEIGHT = 0.25, 0.75
WORKERS = 2
SHUTDOWN_SECONDS = 3.0  # how long the loop's process may take to end before it is terminated


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """A dataset whose items are one normalised picture, float [3, H, W], and its class.

    It holds NumPy arrays, as torchvision's CIFAR-10 does, so that it can be sent to workers that are spawned.

    Args:
        images: uint8 [N, 3, H, W].
        hard_labels: int64 [N].
    """

    def __init__(self, images: NDArray[np.uint8], hard_labels: NDArray[np.int64]) -> None:
        self.images, self.hard_labels = images, hard_labels
        self.mean, self.std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = torch.from_numpy(self.images[index]).float() / 255
        return (picture - self.mean) / self.std, int(self.hard_labels[index])


Batches = DataLoader[tuple[Tensor, int]]  # yields pictures [B, 3, H, W] and hard labels [B]


def make_loader(images: Tensor, hard_labels: Tensor, workers: int = WORKERS, shuffle: bool = True) -> Batches:
    """Return a loader of batches of 128 from pictures, uint8 [N, 3, H, W], and hard labels, int64 [N]."""
    pictures = PictureDataset(images.contiguous().numpy(), hard_labels.numpy())
    return DataLoader(pictures, batch_size=BATCH_SIZE, shuffle=shuffle, num_workers=workers)


def train_reference(
    teacher: nn.Module, student: nn.Module, batches: Batches, epochs: int, device: torch.device
) -> Generator[float, None, None]:
    """Distil `teacher` into `student`; yield the loss (nats) after every step.

    The tutorial's distill loss is the cross-entropy of the student with the soft labels. It differs from the
    Kullback-Leibler divergence by the teacher's entropy, which does not depend on the student.
    """
    optimizer = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE)
    teacher.to(device).eval()
    student.to(device)
    for _ in range(epochs):
        student.train()
        for batch in batches:
            pictures, hard_labels = (part.to(device) for part in batch)
            optimizer.zero_grad()
            with torch.no_grad():
                teacher_logits = teacher(pictures)
            student_logits = student(pictures)
            soft_labels = F.softmax(teacher_logits / TEMPERATURE, dim=-1)
            log_probs = F.log_softmax(student_logits / TEMPERATURE, dim=-1)
            soft = -(soft_labels * log_probs).sum() / len(pictures) * TEMPERATURE**2
            loss = SOFT_WEIGHT * soft + HARD_WEIGHT * F.cross_entropy(student_logits, hard_labels)
            loss.backward()
            optimizer.step()
            yield loss.item()


class PlainLoop:
    """Handle of a separate process that runs the plain loop on request."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def seconds_per_step(self, warm_up: int, count: int) -> float:
        """Start the loop from the beginning and time `count` steps, after `warm_up` steps in which its workers start.

        Returns:
            Seconds per timed step.

        Raises:
            KdError: the process of the loop died.
        """
        try:
            self.connection.send((warm_up, count))
            seconds: float = self.connection.recv()
        except (EOFError, OSError) as error:
            raise KdError("The process of the plain loop died; free some memory, then measure again.") from error
        return seconds


@contextlib.contextmanager
def plain_loop(
    images: Tensor, hard_labels: Tensor, teacher: nn.Module, seed: int, device: Device
) -> Iterator[PlainLoop]:
    """Start the process of the plain loop and yield its handle; the process ends with the block.

    Args:
        images: uint8 [N, 3, 32, 32].
        hard_labels: int64 [N].
        teacher: a network of `build_deep`, whose weights are copied.
        seed: of the student's initial weights.
    """
    context = multiprocessing.get_context("spawn")
    our_end, child_end = context.Pipe()
    # Sent as NumPy arrays, because tensors would need shared memory, of which a container may have little.
    weights = {name: value.cpu().contiguous().numpy() for name, value in teacher.state_dict().items()}
    settings = (str(device.torch), device.threads, multiprocessing.get_start_method())
    arguments = (child_end, images.contiguous().numpy(), hard_labels.numpy(), weights, seed, *settings)
    process = context.Process(target=_serve, args=arguments, name="plain loop")
    process.start()
    child_end.close()
    try:
        yield PlainLoop(our_end)
    finally:
        our_end.close()  # ends the process, unless it is in the middle of an abandoned measurement
        process.join(SHUTDOWN_SECONDS)
        if process.is_alive():
            process.terminate()
            process.join()


def _serve(
    connection: Connection,
    images: NDArray[np.uint8],
    hard_labels: NDArray[np.int64],
    weights: dict[str, NDArray[Any]],
    seed: int,
    device_name: str,
    threads: int,
    start_method: str,
) -> None:
    """Serve in the loop's process: time the steps that are asked for, until the connection is closed."""
    # This process was spawned; the loader's workers must start in this system's default way, as a user's would.
    multiprocessing.set_start_method(start_method, force=True)
    torch.set_num_threads(threads)
    teacher = build_deep(seed)
    teacher.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    device = torch.device(device_name)
    batches = make_loader(torch.from_numpy(images), torch.from_numpy(hard_labels))
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            warm_up, count = connection.recv()
            epochs = -(-(warm_up + count) // len(batches))
            steps = train_reference(teacher, build_light(seed), batches, epochs, device)
            with contextlib.closing(steps):
                for _ in islice(steps, warm_up):
                    pass
                start = time.perf_counter()
                for _ in islice(steps, count):  # every step reads its loss, so no work is left queued on the device
                    pass
                seconds = time.perf_counter() - start
            # Sent only now that the loop's workers have ended, so that they disturb no other measurement.
            connection.send(seconds / count)
