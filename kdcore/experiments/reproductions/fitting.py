"""The training of one network on one transfer set; it can be interrupted and continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from kdcore.datasets.base import Split
from kdcore.errors import ModelFileError
from kdcore.machine.device import Device
from kdcore.machine.tensor_files import (
    canonical_json,
    load_tensors,
    pack_network,
    pack_optimizer,
    save_tensors,
    unpack_network,
    unpack_optimizer,
)
from kdcore.methods.losses import baseline_loss, kd_loss
from kdcore.networks.dropout import set_dropout_generator
from kdcore.networks.inference import predict_logits
from kdcore.networks.optimizers import parameter_groups, train_one_epoch
from kdcore.networks.registry import build_model
from kdcore.pictures.views import RandomViews, to_float

SAVE_SECONDS = 15.0  # between checkpoints: a killed process repeats little, and short epochs do not flood the disk


@dataclass(frozen=True)
class NetworkRecipe:
    """Everything that determines a network's trained weights, except its transfer set and its seed.

    Attributes:
        model: the architecture.
        epochs: passes over the transfer set.
        batch_size: pictures per step.
        optimizer: "sgd" (with Nesterov momentum) or "adamw". Gradients of matching logits at a high temperature stay
            as large as at the beginning, whereas those of cross-entropy shrink, so SGD at a learning rate that suits a
            baseline diverges.
        learning_rate: the peak of a one-cycle schedule (Smith and Topin 2018).
        max_norm: the largest norm of the weights into one hidden unit (Srivastava et al. 2014, section 5.1); 0 for no
            limit.
        jitter: pixels by which a picture is moved at most in each direction, drawn anew each time.
        temperature, distill_weight: of the distill loss; without a teacher only the hard loss is used.
    """

    model: str
    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adamw"]
    learning_rate: float
    max_norm: float = 0.0
    jitter: int = 0
    temperature: float = 20.0
    distill_weight: float = 1.0


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a network learns from.

    Attributes:
        split: pictures and hard labels.
        teacher_logits: float32 [N, K] for the pictures of `split`; None to learn without a teacher.
    """

    split: Split
    teacher_logits: Tensor | None = None


@dataclass(frozen=True)
class FitEpoch:
    """Progress after one epoch.

    Attributes:
        epoch: epochs done so far.
        train_loss: mean over the epoch, in nats.
        validation_errors: wrong answers on the validation pictures.
        seconds: of this epoch.
    """

    epoch: int
    train_loss: float
    validation_errors: int
    seconds: float


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """The end of a training.

    Attributes:
        network: the trained network, in evaluation mode.
        seconds: of all attempts together.
        reused: whether the finished network was loaded and nothing was trained.
    """

    network: nn.Module
    seconds: float
    reused: bool


def fit_network(
    recipe: NetworkRecipe,
    data: TrainingData,
    validation: Split,
    seed: int,
    device: Device,
    checkpoint: Path,
    origin: str,
    num_classes: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[FitEpoch | FittedNetwork]:
    """Train a network by the recipe; yield a `FitEpoch` after each epoch and finally the network as `FittedNetwork`.

    A training whose checkpoint exists is continued from there and reaches the same weights as without the interruption;
    if the checkpoint has the finished network, nothing is trained.

    Args:
        seed: of the initial weights, the order of the pictures, their movement, and dropout.
        checkpoint: file of the checkpoint; one of a different training is overwritten.
        origin: text that identifies the source of pictures and soft labels. A checkpoint belongs to this training only
            if recipe, seed, origin and precision are equal.
        should_stop: called after every batch; when it returns True, the iterator ends without a `FittedNetwork`.

    Raises:
        StoreError: the checkpoint cannot be written.
    """
    key = canonical_json([asdict(recipe), seed, origin, device.precision])
    channels, height, width = data.split.images.shape[1:]
    network = device.place(build_model(recipe.model, (channels, height, width), num_classes, seed=seed))
    optimizer = _optimizer(recipe, network)
    done, seconds = _restore(checkpoint, key, network, optimizer, recipe.epochs)
    reused = done == recipe.epochs
    saved = time.perf_counter()
    for epoch in range(done, recipe.epochs):
        start = time.perf_counter()
        loss = _train_epoch(network, optimizer, recipe, data, seed * 1_000_003 + epoch, epoch, device, should_stop)
        if loss is None:
            return
        wrong = predict_logits(network, validation.images, device).argmax(1) != validation.hard_labels
        epoch_seconds = time.perf_counter() - start
        seconds += epoch_seconds
        last = epoch + 1 == recipe.epochs
        if last or time.perf_counter() - saved >= SAVE_SECONDS:
            tensors = pack_network(network, "network.")
            if not last:
                tensors |= pack_optimizer(optimizer, "optimizer.")
            save_tensors(checkpoint, tensors, {"key": key, "epoch": str(epoch + 1), "seconds": repr(seconds)})
            saved = time.perf_counter()
        yield FitEpoch(epoch + 1, loss, int(wrong.sum()), epoch_seconds)
    yield FittedNetwork(network.eval(), seconds, reused)


def _optimizer(recipe: NetworkRecipe, network: nn.Module) -> torch.optim.Optimizer:
    groups = parameter_groups(network, 0.0)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True, fused=True)


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: NetworkRecipe,
    data: TrainingData,
    epoch_seed: int,
    epoch: int,
    device: Device,
    should_stop: Callable[[], bool],
) -> float | None:
    """Train for one epoch and return the mean loss in nats; None if it was stopped.

    Args:
        epoch_seed: seed of the order of the pictures, their movement, and dropout.
    """
    network.train()
    size = len(data.split)
    batch_size = min(recipe.batch_size, size)
    steps = size // batch_size
    limited = [p for p in network.parameters() if p.ndim > 1][:-1]  # all weight matrices but the output layer's
    generator = torch.Generator().manual_seed(epoch_seed)
    order = torch.randperm(size, generator=generator)

    def loss_of_step(step: int) -> Tensor:
        rows = order[step * batch_size : (step + 1) * batch_size]
        pictures = move_pictures(data.split.images[rows].to(device.torch), recipe.jitter, generator)
        with device.autocast():
            logits = network(pictures)
        return _loss(recipe, logits.float(), data, rows)

    def limit_norms() -> None:
        if recipe.max_norm:
            with torch.no_grad():
                for weight in limited:
                    weight.copy_(weight.renorm(2, 0, recipe.max_norm))

    set_dropout_generator(network, torch.Generator(device.torch).manual_seed(epoch_seed))
    total = train_one_epoch(
        optimizer,
        recipe.learning_rate,
        epoch,
        recipe.epochs,
        steps,
        loss_of_step,
        should_stop,
        device.torch,
        after_step=limit_norms,
    )
    return None if total is None else float(total) / steps


def move_pictures(images: Tensor, jitter: int, generator: torch.Generator) -> Tensor:
    """Convert uint8 [B, C, H, W] to float and move each picture by its own whole number of pixels in each direction.

    Every number from -jitter to jitter is equally likely: a shift is drawn between -(jitter + 0.5) and jitter + 0.5,
    then rounded.
    """
    if not jitter:
        return to_float(images)
    return RandomViews(flip=False, shift=(jitter + 0.5) / images.shape[-1]).apply(images, generator)


def _loss(recipe: NetworkRecipe, logits: Tensor, data: TrainingData, rows: Tensor) -> Tensor:
    hard_labels = data.split.hard_labels[rows].to(logits.device)
    if data.teacher_logits is None:
        return baseline_loss(logits, hard_labels).total
    teacher_logits = data.teacher_logits[rows].to(logits.device)
    return kd_loss(logits, teacher_logits, hard_labels, recipe.temperature, recipe.distill_weight).total


def _restore(
    checkpoint: Path, key: str, network: nn.Module, optimizer: torch.optim.Optimizer, epochs: int
) -> tuple[int, float]:
    """Load the checkpoint into network and optimiser if it belongs to the training that `key` identifies.

    Returns:
        The epochs that are done, and the seconds that they took; (0, 0.0) if there is no such checkpoint.
    """
    try:
        tensors, metadata = load_tensors(checkpoint)
    except ModelFileError:  # missing or damaged: start from the beginning
        return 0, 0.0
    if metadata.get("key") != key:
        return 0, 0.0
    unpack_network(network, tensors, "network.")
    done = int(metadata["epoch"])
    if done < epochs:
        unpack_optimizer(optimizer, tensors, "optimizer.")
    return done, float(metadata["seconds"])
