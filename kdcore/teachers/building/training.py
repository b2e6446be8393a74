"""Train a teacher: one network, with cross-entropy on hard labels.

Label smoothing is off, except for the teacher of one control, because it would erase the dark knowledge for which a
teacher is needed (Müller et al. 2019).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.datasets.base import Dataset, Split
from kdcore.errors import ConfigError, ModelFileError, TrainingDiverged
from kdcore.machine.device import Device
from kdcore.machine.distributed import SINGLE_PROCESS, World
from kdcore.machine.tensor_files import (
    canonical_json,
    load_tensors,
    pack_network,
    pack_optimizer,
    save_tensors,
    unpack_network,
    unpack_optimizer,
)
from kdcore.networks.convolutional import whiten_
from kdcore.networks.inference import accuracy_of, predict_logits
from kdcore.networks.optimizers import parameter_groups, train_one_epoch
from kdcore.networks.registry import build_model
from kdcore.pictures.views import RandomViews, to_float
from kdcore.teachers.building.outsiders import OutsiderRecipe, Outsiders, load_outsiders, outsider_loss

WHITENING_PICTURES = 5_000  # how many training pictures set the weights of a whitening layer


@dataclass(frozen=True)
class TeacherRecipe:
    """All settings of a teacher's training.

    Attributes:
        dataset: the name of the dataset.
        model: the network's name in the model registry.
        learning_rate: the peak of a one-cycle schedule (Smith and Topin 2018).
        views: the random augmentation of the training pictures.
        balance: how strongly small classes are favoured: a class of n pictures is drawn as often as if it had
            n ** (1 - balance); 0 leaves the data as it is, 1 makes all classes equally frequent.
        drawn: train on this many freshly drawn pictures instead of the train split (`creatures` only).
        crop: the trained network is shown only the middle of a picture, this share of each side (0 to 1), enlarged; it
            does not affect training. Views that zoom in show objects enlarged, and a network answers best at the size
            at which it learned them (Touvron et al. 2019).
        label_smoothing: 0 except for the teacher of a control, which shows what label smoothing erases.
        outsiders: the pictures of no class that the teacher learns to recognise; None for a teacher that does not.
        small_epochs: so many epochs at the beginning train on pictures of `small_size` pixels a side, which are faster.
        features_of: the teacher whose features stay as they are, while only a new last layer is trained, by
            `head.train_head`, which reads `epochs` as the number of layers to choose from and `weight_decay` as that of
            the first one; it has no use for `learning_rate` and `views`. Empty for a network that is trained whole.
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
    features_of: str = ""


@dataclass(frozen=True)
class TeacherEpoch:
    """The progress after one epoch of a teacher's training.

    Attributes:
        epoch: the epoch that ended, counted from 1.
        epochs: the number of epochs of the whole training.
        train_loss: mean training loss in nats.
        validation_accuracy: accuracy on validation, 0 to 1.
        seconds: how long the epoch took.
    """

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
    world: World = SINGLE_PROCESS,
) -> Iterator[TeacherEpoch | nn.Module]:
    """Train a network by the recipe.

    Args:
        checkpoint: the file to which each epoch is saved; if it holds an earlier part of the same training, that is
            continued.
        should_stop: asked after every batch; True ends the training without a model.
        world: the processes that train together. All yield the same; only the first writes the checkpoint.

    Yields:
        A `TeacherEpoch` after each epoch, and the trained network, in eval mode, at the end.

    Raises:
        ConfigError: a batch has fewer pictures than there are processes, or they have different checkpoints.
        TrainingDiverged: the loss of an epoch is not a finite number.
    """
    smallest = min(recipe.batch_size, len(dataset.train))
    if world.size > smallest:
        raise ConfigError(f"A batch of {smallest} pictures is too small for {world.size} processes; start fewer.")
    model = _untrained_network(recipe, dataset, device)
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate, momentum=0.9, nesterov=True
    )
    outsiders = _outsiders_on_device(recipe, dataset, device)
    train = Split(dataset.train.images.to(device.torch), dataset.train.hard_labels.to(device.torch))
    key = _checkpoint_key(recipe, dataset)
    done = _restore(checkpoint, key, model, optimizer)
    if not world.is_equal_everywhere(done, device.torch):
        raise ConfigError("The processes have different checkpoints; give all of them the same KDCORE_HOME.")
    network = world.wrap(model)
    for epoch in range(done, recipe.epochs):
        start = time.perf_counter()
        loss = _train_epoch(network, optimizer, recipe, train, outsiders, epoch, device, should_stop, world)
        if loss is None:
            return
        if not math.isfinite(loss):  # stop before the checkpoint is replaced by weights of no use
            raise TrainingDiverged(
                f"The training of the teacher {recipe.name} diverged in epoch {epoch + 1}: its loss is infinite or not "
                "a number; choose another teacher, or one that is trained already."
            )
        world.average_statistics_(model)
        if world.rank == 0:
            tensors = pack_network(model, "model.") | pack_optimizer(optimizer, "optimizer.")
            save_tensors(checkpoint, tensors, {"key": key, "epoch": str(epoch + 1)})
        logits = predict_logits(model, dataset.validation.images, device)
        accuracy = accuracy_of(logits, dataset.validation.hard_labels)
        seconds = time.perf_counter() - start
        yield TeacherEpoch(epoch + 1, recipe.epochs, loss, accuracy, seconds)
    yield model.eval()


def _untrained_network(recipe: TeacherRecipe, dataset: Dataset, device: Device) -> nn.Module:
    model = build_model(recipe.model, dataset.image_shape, dataset.num_classes, seed=recipe.seed)
    whiten_(model, to_float(dataset.train.images[:WHITENING_PICTURES]))
    return device.place(model)


def _outsiders_on_device(recipe: TeacherRecipe, dataset: Dataset, device: Device) -> Outsiders | None:
    """The outsiders that the teacher meets in training; None if it meets none."""
    if recipe.outsiders is None or recipe.outsiders.share <= 0:
        return None
    return load_outsiders(recipe.outsiders, dataset.image_shape).to(device.torch)


def _checkpoint_key(recipe: TeacherRecipe, dataset: Dataset) -> str:
    """A text that is the same for two trainings if one can continue the other's checkpoint."""
    settings = {name: value for name, value in asdict(recipe).items() if name != "crop"}  # not used in training
    if not recipe.label_smoothing:  # keeps checkpoints valid that are older than this setting
        del settings["label_smoothing"]
    del settings["features_of"]  # empty wherever there is such a checkpoint
    return canonical_json(settings) + dataset.sha256 + canonical_json(dataset.class_names)


def epoch_order(split: Split, balance: float, generator: torch.Generator) -> Tensor:
    """The row indices of one epoch in random order, int64 [N] on the CPU.

    Without `balance` each row comes once; with it, rows are drawn with replacement, those of small classes more often
    (`TeacherRecipe.balance`).
    """
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
    """Train one epoch and return the mean loss in nats; None if `should_stop` ended it.

    `split` and `outsiders` must be on the device already, so that no step waits for a copy.
    """
    model.train()
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = epoch_order(split, recipe.balance, generator).to(device.torch)
    steps = max(1, len(order) // recipe.batch_size)
    size = recipe.small_size if epoch < recipe.small_epochs else None

    def loss_of_step(step: int) -> Tensor:
        rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        pictures, inside = split.images[rows], torch.ones(len(rows), dtype=torch.bool, device=device.torch)
        if outsiders is not None:
            added_pictures, added_inside = outsiders.draw(pictures, generator)
            pictures, inside = torch.cat([pictures, added_pictures]), torch.cat([inside, added_inside])
        images = recipe.views.apply(pictures, generator, size, world.share)
        hard_labels = split.hard_labels[rows][world.share]  # none for added pictures, whose logits come last
        with device.autocast():
            logits = model(images.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        labelled = logits[: len(hard_labels)]
        loss = F.cross_entropy(labelled, hard_labels, label_smoothing=recipe.label_smoothing) * world.weight(len(rows))
        if outsiders is not None:
            weight = outsiders.recipe.weight * world.weight(len(inside))
            loss = loss + weight * outsider_loss(logits, inside[world.share])
        return loss

    total = train_one_epoch(
        optimizer, recipe.learning_rate, epoch, recipe.epochs, steps, loss_of_step, should_stop, device.torch
    )
    if total is None:
        return None
    world.average_(total)
    return float(total) / steps


def _restore(checkpoint: Path, key: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint of an interrupted training and return the number of epochs that it had finished.

    Without a checkpoint, or if it is damaged or belongs to another training (another `key`) or another network, it
    returns 0 and changes nothing.
    """
    if not checkpoint.exists():
        return 0
    try:
        tensors, metadata = load_tensors(checkpoint)
    except ModelFileError:  # trained from its beginning, the teacher is the same
        return 0
    wanted = {name: value.shape for name, value in pack_network(model, "model.").items()}
    found = {name: value.shape for name, value in tensors.items() if name in wanted}
    if metadata.get("key") != key or found != wanted:
        return 0
    unpack_network(model, tensors, "model.")
    unpack_optimizer(optimizer, tensors, "optimizer.")
    return int(metadata["epoch"])
