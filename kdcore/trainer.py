"""A run: the same student with and without its teacher, several seeds, side by side.

All arms of a seed start from the same weights and see the same pictures, in the same order and the same views, with
the same optimiser and budget; only their loss differs. All seeds advance together, epoch by epoch, so that their
spread can be watched while they learn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcore import paths
from kdcore.checkpoints import pack_optimizer, unpack_optimizer
from kdcore.config import DEFAULTS, RunConfig
from kdcore.datasets import Dataset, load_dataset
from kdcore.device import Device, pick_device
from kdcore.errors import ConfigError
from kdcore.events import (
    Curves,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    TeacherCached,
)
from kdcore.inference import hit_rate, predict_logits
from kdcore.losses import LossParts, baseline_loss, kd_loss
from kdcore.models import build_model
from kdcore.optimizers import one_cycle, parameter_groups
from kdcore.results import build_result, save_students
from kdcore.run_checkpoint import RunCheckpoint
from kdcore.teacher_logits import cached_teacher_logits
from kdcore.teachers import Teacher, load_teacher
from kdcore.views import to_float

# Students here are small: a second thread gains a fifth on a quiet machine, and beside a busy page both threads spend
# most of their time waiting for each other.
THREADS = 1
VALIDATION_POINTS = 15  # how often a run looks at validation, at most; the last epoch always does
VALIDATION_PICTURES = 400  # enough for a curve; the result is measured on the whole test split


@dataclass(eq=False)
class Student:
    """One arm of one seed."""

    arm: str
    seed: int
    network: nn.Module
    optimizer: torch.optim.Optimizer


def train(
    config: RunConfig,
    *,
    run_dir: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    home: Path | None = None,
) -> Iterator[Event]:
    """Train every arm and seed of `config`, then measure them once on test.

    Args:
        run_dir: where checkpoints and the arms' final models go; a checkpoint found there is continued, and the
            folder's name is the run's id.
        should_stop: asked after every batch; True ends the run with `RunFailed(kind="cancelled")`.
        home: holds the teacher-logit cache; `paths.home()` unless given.

    Yields:
        RunStarted, TeacherCached, then EpochEnded and CheckpointSaved for each epoch, at last RunFinished. A
        continued run repeats the EpochEnded of its last finished epoch, which may not have been heard.

    Raises:
        KdError: a dataset, teacher or value that cannot be used, or a disk that cannot be written.
    """
    started = time.perf_counter()
    config.validate()
    device = pick_device(config.device, THREADS)
    dataset = load_dataset(config.dataset)
    teacher = load_teacher(config.teacher, device.torch.type)
    if teacher.card.class_names != dataset.class_names:
        raise ConfigError(
            f'The teacher "{teacher.name}" knows other classes than the dataset "{dataset.name}"; '
            f'choose "{DEFAULTS[dataset.name].teacher}".'
        )
    students = build_students(config, dataset, device, arms_of(dataset))
    checkpoint = RunCheckpoint(run_dir, config, dataset.sha256, teacher.card.sha256)
    history, elapsed = _restore(checkpoint, students)
    arms = ("teacher", *arms_of(dataset))
    yield RunStarted(
        config=config.to_json(),
        arms=arms,
        epochs=config.epochs,
        device=device.name,
        precision=device.precision,
        train_size=config.labels,
        num_seeds=len(config.seeds),
        epochs_done=len(history),
    )
    subsets = {seed: labelled_subset(dataset.train.hard_labels, config.labels, seed) for seed in config.seeds}
    views = DEFAULTS[dataset.name].views
    clock = time.perf_counter()
    rows = torch.cat(list(subsets.values())).unique()
    cache = (home or paths.home()) / "teacher_logits"
    teacher_logits, reused = cached_teacher_logits(teacher, dataset, views, rows, cache)
    yield TeacherCached(teacher.name, len(views), time.perf_counter() - clock, reused)
    if history:
        yield EpochEnded(len(history), config.epochs, 0.0, history[-1])
    data = TrainingData(dataset, subsets, teacher_logits, device)
    for epoch in range(len(history), config.epochs):
        clock = time.perf_counter()
        curves = train_epoch(config, students, data, epoch, should_stop)
        if curves is None:
            yield RunFailed("The run was stopped before it ended.", "cancelled")
            return
        if is_validated(epoch, config.epochs):
            _validate(students, dataset, device, curves)
        history.append(curves)
        seconds = time.perf_counter() - clock
        saved = None
        if checkpoint.enabled:  # first the disk, then the word: an epoch that was told is never lost
            tensors = _tensors_of(students)
            saved = checkpoint.save(epoch + 1, tensors, history, elapsed + time.perf_counter() - started)
        yield EpochEnded(epoch + 1, config.epochs, seconds, curves)
        if saved is not None:
            yield saved
    yield _finish(config, run_dir, dataset, teacher, students, device, elapsed, started)


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


def is_validated(epoch: int, epochs: int) -> bool:
    """Whether the curves have a validation point after this epoch (0-based)."""
    every = -(-epochs // VALIDATION_POINTS)
    return (epoch + 1) % every == 0 or epoch + 1 == epochs


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
    views = DEFAULTS[config.dataset].views
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


def _validate(students: list[Student], dataset: Dataset, device: Device, curves: Curves) -> None:
    images = dataset.validation.images[:VALIDATION_PICTURES]
    hard_labels = dataset.validation.hard_labels[:VALIDATION_PICTURES]
    for student in students:
        accuracy = hit_rate(predict_logits(student.network, images, device), hard_labels)
        curves[student.arm].setdefault("validation_accuracy", []).append(accuracy)


def _tensors_of(students: list[Student]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for student in students:
        prefix = f"{student.arm}.{student.seed}."
        for name, value in student.network.state_dict().items():
            tensors[f"{prefix}network.{name}"] = value
        tensors |= pack_optimizer(student.optimizer, f"{prefix}optimizer.")
    return tensors


def _restore(checkpoint: RunCheckpoint, students: list[Student]) -> tuple[list[Curves], float]:
    """Puts the last checkpoint's weights back; the curves of the finished epochs and the seconds they took."""
    saved = checkpoint.load()
    if saved is None:
        return [], 0.0
    tensors, metadata = saved
    for student in students:
        prefix = f"{student.arm}.{student.seed}."
        weights = f"{prefix}network."
        student.network.load_state_dict({k[len(weights) :]: v for k, v in tensors.items() if k.startswith(weights)})
        unpack_optimizer(student.optimizer, tensors, f"{prefix}optimizer.")
    history: list[Curves] = json.loads(metadata["history"])
    return history, float(metadata["seconds"])


def _finish(
    config: RunConfig,
    run_dir: Path | None,
    dataset: Dataset,
    teacher: Teacher,
    students: list[Student],
    device: Device,
    elapsed: float,
    started: float,
) -> RunFinished:
    """Read test, once, and put everything that was measured together."""
    logits: dict[str, Tensor] = {}
    first: dict[str, nn.Module] = {}
    for arm in arms_of(dataset):
        team = [student for student in students if student.arm == arm]
        logits[arm] = torch.stack(
            [predict_logits(student.network, dataset.test.images, device) for student in team]
        )  # [S, N, K]
        first[arm] = team[0].network
    result = build_result(config, dataset, teacher, first, logits, device)
    if run_dir is not None:
        save_students(run_dir / "models", config, dataset, first, result)
    result["run_id"] = run_dir.name if run_dir is not None else ""
    result["seconds"] = elapsed + time.perf_counter() - started
    return RunFinished(result)
