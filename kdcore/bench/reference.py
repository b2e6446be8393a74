"""The loop that a user would write: the distillation loop of PyTorch's tutorial, in our own words.

Deliberately plain. A Dataset that makes one picture at a time, a DataLoader with two workers, fp32, the teacher's
forward pass in every step, and the loss read in every step; nothing of the engine is in it.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from kdcore.bench.networks import MEAN, STD

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
TEMPERATURE = 2.0
SOFT_WEIGHT, HARD_WEIGHT = 0.25, 0.75
WORKERS = 2


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """One normalised picture and its class at a time.

    It holds NumPy arrays, as torchvision's CIFAR-10 does, so that systems that start workers afresh can send it there.

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


Batches = DataLoader[tuple[Tensor, int]]  # of pictures [B, 3, H, W] and hard labels [B]


def make_loader(images: Tensor, hard_labels: Tensor, workers: int = WORKERS, shuffle: bool = True) -> Batches:
    """Shuffled batches of 128 from uint8 [N, 3, H, W] and int64 [N]."""
    pictures = PictureDataset(images.numpy(), hard_labels.numpy())
    return DataLoader(pictures, batch_size=BATCH_SIZE, shuffle=shuffle, num_workers=workers)


def train_reference(
    teacher: nn.Module, student: nn.Module, batches: Batches, epochs: int, device: torch.device
) -> Generator[float, None, None]:
    """Distil `teacher` into `student`; the loss after every step.

    The tutorial's soft loss is the cross-entropy of the student with the soft labels; it differs from KL by the
    teacher's entropy, which no weight of the student changes.
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
