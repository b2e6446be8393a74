"""The students of a run: every arm of every seed, and one epoch of their training.

All arms of a seed start from the same weights and see the same pictures, in the same order and the same views, with
the same optimiser and budget; only their loss differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdcore.checkpoints import pack_optimizer, unpack_optimizer
from kdcore.config import RunConfig, defaults_for
from kdcore.datasets import Dataset
from kdcore.device import Device
from kdcore.events import Curves
from kdcore.losses import LossParts, baseline_loss, kd_loss
from kdcore.models import build_model
from kdcore.optimizers import one_cycle, parameter_groups
from kdcore.views import to_float


@dataclass(eq=False)
class Student:
    """One arm of one seed."""

    arm: str
    seed: int
    network: nn.Module
    optimizer: torch.optim.Optimizer


def arms_of(dataset: Dataset) -> tuple[str, ...]:
    """The arms that are trained on a dataset; the true posterior teaches one where it is known."""
    return ("baseline", "distilled", "posterior") if dataset.train.posterior is not None else ("baseline", "distilled")


def labelled_subset(hard_labels: Tensor, labels: int, seed: int) -> Tensor:
    """Rows of the training pictures that a seed may use, int64 [labels]: as many of each class as can be.

    The subset of a smaller number is part of that of a larger one.
    """
    order = torch.randperm(len(hard_labels), generator=torch.Generator().manual_seed(seed))
    shuffled = hard_labels[order]
    rank = torch.empty_like(order)
    for label in shuffled.unique():
        places = (shuffled == label).nonzero()[:, 0]
        rank[places] = torch.arange(len(places))
    return order[rank.argsort(stable=True)[:labels]]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What all arms learn from.

    Attributes:
        subsets: each seed's labelled rows, int64 [labels].
        teacher_logits: float16 [V, N, K], valid at those rows; None where no arm has a teacher.
    """

    dataset: Dataset
    subsets: dict[int, Tensor]
    teacher_logits: Tensor | None
    device: Device


def build_students(config: RunConfig, dataset: Dataset, device: Device, arms: tuple[str, ...]) -> list[Student]:
    """Every arm of every seed, untrained; the arms of a seed have equal weights."""
    students = []
    for seed in config.seeds:
        for arm in arms:
            network = build_model(config.student, dataset.image_shape, dataset.num_classes, seed=seed)
            device.place(network)
            groups = parameter_groups(network, config.recipe.weight_decay)
            optimizer = torch.optim.AdamW(groups, lr=config.recipe.learning_rate, fused=True)
            students.append(Student(arm, seed, network, optimizer))
    return students


def train_epoch(
    config: RunConfig,
    students: list[Student],
    data: TrainingData,
    epoch: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Curves | None:
    """One pass of every arm and seed over its labelled pictures; None when it was stopped."""
    views = defaults_for(config.dataset).views
    batch_size = min(config.recipe.batch_size, config.labels)
    steps = config.labels // batch_size  # a smaller last batch would upset batch norm; the order changes anyway
    losses: dict[str, list[float]] = {student.arm: [] for student in students}
    for seed in config.seeds:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = data.subsets[seed][torch.randperm(config.labels, generator=generator)]
        chosen = torch.randint(len(views), (config.labels,), generator=generator)
        team = [student for student in students if student.seed == seed]
        totals = {student.arm: torch.zeros((), device=data.device.torch) for student in team}
        for step in range(steps):
            if should_stop():
                return None
            batch = slice(step * batch_size, (step + 1) * batch_size)
            rows, view = order[batch], chosen[batch]
            images = views.apply_each(data.dataset.train.images[rows], view).to(data.device.torch)
            pictures = to_float(images).contiguous(memory_format=torch.channels_last)
            share = one_cycle((epoch * steps + step) / (config.epochs * steps))
            for student in team:
                loss = _step(config, student, pictures, rows, view, data, share)
                totals[student.arm] += loss
        for arm, total in totals.items():
            losses[arm].append(float(total) / steps)
    return {arm: {"train_loss": values} for arm, values in losses.items()}


def _step(
    config: RunConfig,
    student: Student,
    pictures: Tensor,
    rows: Tensor,
    view: Tensor,
    data: TrainingData,
    share: float,
) -> Tensor:
    student.network.train()
    with data.device.autocast():
        logits = student.network(pictures)
    loss = _loss(config, student.arm, logits.float(), rows, view, data)
    for group in student.optimizer.param_groups:
        group["lr"] = config.recipe.learning_rate * share
    student.optimizer.zero_grad(set_to_none=True)
    loss.total.backward()
    student.optimizer.step()
    return loss.total.detach()


def _loss(config: RunConfig, arm: str, logits: Tensor, rows: Tensor, view: Tensor, data: TrainingData) -> LossParts:
    train, place = data.dataset.train, data.device.torch
    hard_labels = train.hard_labels[rows].to(place)
    smoothing = config.recipe.label_smoothing
    if arm == "baseline":
        return baseline_loss(logits, hard_labels, smoothing)
    if arm == "posterior" and train.posterior is not None:
        # The true posterior is a teacher like any other: its log-probabilities are its logits.
        teacher_logits = train.posterior[rows].clamp(min=1e-12).log()
    else:
        assert data.teacher_logits is not None  # only the baseline trains without a teacher
        teacher_logits = data.teacher_logits[view, rows].float()
    teacher_logits = teacher_logits.to(place)
    return kd_loss(logits, teacher_logits, hard_labels, config.temperature, config.distill_weight, smoothing)


def tensors_of(students: list[Student]) -> dict[str, Tensor]:
    """Weights and optimiser states of all students, by arm, seed and name."""
    tensors: dict[str, Tensor] = {}
    for student in students:
        prefix = f"{student.arm}.{student.seed}."
        for name, value in student.network.state_dict().items():
            tensors[f"{prefix}network.{name}"] = value
        tensors |= pack_optimizer(student.optimizer, f"{prefix}optimizer.")
    return tensors


def put_back(students: list[Student], tensors: dict[str, Tensor]) -> None:
    """Give the students what `tensors_of` took."""
    for student in students:
        prefix = f"{student.arm}.{student.seed}."
        weights = f"{prefix}network."
        student.network.load_state_dict({k[len(weights) :]: v for k, v in tensors.items() if k.startswith(weights)})
        unpack_optimizer(student.optimizer, tensors, f"{prefix}optimizer.")
