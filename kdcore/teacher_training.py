"""How the bundled teachers are made: one network, hard labels, cross-entropy, no label smoothing.

Label smoothing would erase the dark knowledge that a teacher is for (Müller et al. 2019).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.checkpoints import (
    canonical_json,
    load_tensors,
    pack_optimizer,
    save_tensors,
    unpack_optimizer,
)
from kdcore.convolutional import whiten_
from kdcore.datasets.base import Dataset, Split
from kdcore.device import Device
from kdcore.distributed import ALONE, World
from kdcore.errors import ConfigError
from kdcore.inference import hit_rate, predict_logits
from kdcore.models import build_model
from kdcore.optimizers import one_cycle, parameter_groups
from kdcore.outsiders import OutsiderRecipe, Outsiders, load_outsiders, outsider_loss
from kdcore.views import RandomViews, to_float

WHITENING_PICTURES = 5_000


@dataclass(frozen=True)
class TeacherRecipe:
    """Everything that decides a teacher's weights, beside its dataset.

    Attributes:
        learning_rate: the peak of a one-cycle schedule (Smith and Topin 2018).
        balance: how far small classes are drawn more often: a class of n pictures is drawn as if it had
            n ** (1 - balance); 0 leaves the data as it is, 1 makes all classes equal.
        drawn: train on this many freshly drawn pictures instead of the train split (`creatures` only).
        crop: share of a picture's side that the trained network looks at, in the middle; decides no weight. Views
            that zoom in show things larger than they are, and a network answers best at the size that it learned
            (Touvron et al. 2019).
        label_smoothing: 0 but for the teacher of a control, to show what it erases.
        outsiders: pictures of no class that it learns to know as such; None for a teacher that does not.
        small_epochs: epochs at the beginning that see pictures of `small_size` pixels, which cost less.
    """

    name: str
    dataset: str
    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    views: RandomViews
    balance: float = 0.0
    small_epochs: int = 0
    small_size: int | None = None
    drawn: int = 0
    seed: int = 0
    crop: float = 1.0
    outsiders: OutsiderRecipe | None = None
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class TeacherEpoch:
    """Progress: mean training loss in nats, accuracy on validation, seconds that the epoch took."""

    epoch: int
    epochs: int
    train_loss: float
    validation_accuracy: float
    seconds: float


def train_teacher(
    recipe: TeacherRecipe,
    dataset: Dataset,
    device: Device,
    checkpoint: Path,
    should_stop: Callable[[], bool] = lambda: False,
    world: World = ALONE,
) -> Iterator[TeacherEpoch | nn.Module]:
    """Train by the recipe; yields a `TeacherEpoch` after each epoch and the trained model at the end.

    Continues from `checkpoint` when it holds an earlier part of the same training. Ends early, without a model, when
    `should_stop`, asked after every batch, says so. Of the processes of a `world`, which yield the same, the first
    writes the checkpoint.

    Raises:
        ConfigError: a batch has fewer pictures than there are processes, or they have different checkpoints.
    """
    smallest = min(recipe.batch_size, len(dataset.train))
    if world.size > smallest:
        raise ConfigError(f"A batch of {smallest} pictures is too small for {world.size} processes; start fewer.")
    model = build_model(recipe.model, dataset.image_shape, dataset.num_classes, seed=recipe.seed)
    whiten_(model, to_float(dataset.train.images[:WHITENING_PICTURES]))
    device.place(model)
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate, momentum=0.9, nesterov=True
    )
    deciding = {name: value for name, value in asdict(recipe).items() if name != "crop"}
    if not recipe.label_smoothing:  # the key of before there was any
        del deciding["label_smoothing"]
    key = canonical_json(deciding) + dataset.sha256
    strangers = recipe.outsiders
    outsiders = load_outsiders(strangers, dataset.image_shape) if strangers and strangers.share > 0 else None
    if outsiders is not None:
        outsiders = outsiders.to(device.torch)
    train = Split(dataset.train.images.to(device.torch), dataset.train.hard_labels.to(device.torch))
    done = _restore(checkpoint, key, model, optimizer)
    if not world.agrees(done, device.torch):
        raise ConfigError("The processes have different checkpoints; give all of them the same KDCORE_HOME.")
    network = world.wrap(model)
    for epoch in range(done, recipe.epochs):
        start = time.perf_counter()
        loss = _train_epoch(network, optimizer, recipe, train, outsiders, epoch, device, should_stop, world)
        if loss is None:
            return
        world.average_statistics_(model)
        if world.rank == 0:
            tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
            tensors |= pack_optimizer(optimizer, "optimizer.")
            save_tensors(checkpoint, tensors, {"key": key, "epoch": str(epoch + 1)})
        logits = predict_logits(model, dataset.validation.images, device)
        accuracy = hit_rate(logits, dataset.validation.hard_labels)
        seconds = time.perf_counter() - start
        yield TeacherEpoch(epoch + 1, recipe.epochs, loss, accuracy, seconds)
    yield model.eval()


def draw_order(split: Split, balance: float, generator: torch.Generator) -> Tensor:
    """Row indices of one epoch, int64 [N] on the CPU; small classes come more often when `balance` is above 0."""
    if balance == 0:
        return torch.randperm(len(split), generator=generator)
    hard_labels = split.hard_labels.cpu()
    counts = hard_labels.bincount().clamp(min=1).double()
    weights = counts.pow(-balance)[hard_labels]
    return torch.multinomial(weights, len(split), replacement=True, generator=generator)


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: TeacherRecipe,
    split: Split,
    outsiders: Outsiders | None,
    epoch: int,
    device: Device,
    should_stop: Callable[[], bool],
    world: World,
) -> float | None:
    """The mean loss, None when it was stopped; `split` and `outsiders` are on the device, and no step waits for it."""
    model.train()
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = draw_order(split, recipe.balance, generator).to(device.torch)
    steps = max(1, len(order) // recipe.batch_size)
    size = recipe.small_size if epoch < recipe.small_epochs else None
    total = torch.zeros((), device=device.torch)
    for step in range(steps):
        rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        share = one_cycle((epoch * steps + step) / (recipe.epochs * steps))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * share
        pictures, inside = split.images[rows], torch.ones(len(rows), dtype=torch.bool, device=device.torch)
        if outsiders is not None:
            strangers, known = outsiders.draw(pictures, generator)
            pictures, inside = torch.cat([pictures, strangers]), torch.cat([inside, known])
        images = recipe.views.apply(pictures, generator, size, world.share)
        hard_labels = split.hard_labels[rows][world.share]  # those of the outsiders' share come behind
        with device.autocast():
            logits = model(images.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        own = logits[: len(hard_labels)]
        loss = F.cross_entropy(own, hard_labels, label_smoothing=recipe.label_smoothing) * world.weight(len(rows))
        if outsiders is not None:
            weight = outsiders.recipe.weight * world.weight(len(inside))
            loss = loss + weight * outsider_loss(logits, inside[world.share])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach()
        if should_stop():
            return None
    world.average_(total)
    return float(total) / steps


def _restore(checkpoint: Path, key: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Epochs that an earlier part of this very training has done."""
    if not checkpoint.exists():
        return 0
    tensors, metadata = load_tensors(checkpoint)
    if metadata.get("key") != key:
        return 0
    model.load_state_dict({n[6:]: t for n, t in tensors.items() if n.startswith("model.")})
    unpack_optimizer(optimizer, tensors, "optimizer.")
    return int(metadata["epoch"])
