"""Transfer learning: a teacher that is a new last layer on the features of another teacher, which stay as they are.

The features of a network that saw a million photos tell classes apart that it never learned, so that a last layer,
the head, learns from a few pictures of each (Yosinski et al. 2014; Kornblith et al. 2019, the "linear classifier"
there). The features of every picture are computed once. Then a head is fitted for each of several strengths of weight
decay, from the strongest on, and the one with the least loss on the validation pictures is kept.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.datasets.base import Dataset, DatasetInfo
from kdcore.machine.device import Device
from kdcore.networks.inference import accuracy_of, predict_logits
from kdcore.networks.normalisation import add_input_normalisation
from kdcore.networks.registry import build_model
from kdcore.teachers.building.training import TeacherEpoch, TeacherRecipe
from kdcore.teachers.load import load_teacher

STRENGTH_STEP = 10**-0.5  # from the weight decay of one head to that of the next
ITERATIONS = 100  # of L-BFGS for each head, which starts from the one before
MIRRORED_PICTURES = 5_000  # so many training pictures are used mirrored too; more of them show enough by themselves


@dataclass(frozen=True, eq=False)
class _Examples:
    """What heads learn from: standardised features [N, D], hard labels [N], and the weight of each class [K]."""

    features: Tensor
    hard_labels: Tensor
    class_weights: Tensor


def train_head(
    recipe: TeacherRecipe, dataset: Dataset, device: Device, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[TeacherEpoch | nn.Module]:
    """Train a head by a recipe with `features_of`; the arguments are those of `train_teacher`.

    Yields:
        A `TeacherEpoch` after each head, and the network with the best one, in eval mode, at the end.

    Raises:
        TeacherUnavailable, ModelFileError: the other teacher cannot be loaded.
    """
    start = time.perf_counter()
    network = _network_with_features(recipe, dataset, device)
    validation = dataset.validation
    found = [
        _features_of(network, images, device, recipe.batch_size, should_stop)
        for images in (*_views(dataset), validation.images)
    ]
    if any(features is None for features in found):
        return
    *learned, measured = (features for features in found if features is not None)
    mean, deviation = torch.cat(learned).mean(0), torch.cat(learned).std(0).clamp(min=1e-3)
    examples = _examples([(features - mean) / deviation for features in learned], dataset, recipe.balance)
    measured = (measured - mean) / deviation
    head = _zero_head(len(mean), dataset.num_classes)
    best, least = head, math.inf
    for number, strength in enumerate(strengths(recipe), start=1):
        if should_stop():
            return
        head, train_loss = _fit(head, examples, strength, recipe.label_smoothing)
        logits = head(measured).detach()
        loss = float(F.cross_entropy(logits, validation.hard_labels))
        if loss < least:
            best, least = head, loss
        now = time.perf_counter()
        yield TeacherEpoch(number, recipe.epochs, train_loss, accuracy_of(logits, validation.hard_labels), now - start)
        start = now
    network.classifier = device.place(_for_raw_features(best, mean, deviation))
    yield network.eval()


def estimate_head_seconds(recipe: TeacherRecipe, info: DatasetInfo, device: Device) -> float:
    """Estimate how long `train_head` takes in seconds, from the time of one batch of blank pictures."""
    network = device.place(build_model(recipe.model, info.image_shape, info.num_classes, seed=0))
    pictures = torch.zeros(recipe.batch_size, *info.image_shape, dtype=torch.uint8)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        predict_logits(network, pictures, device)
        times.append(time.perf_counter() - start)
    views = 2 if info.train_size <= MIRRORED_PICTURES else 1
    return min(times) * max(1.0, views * info.train_size / recipe.batch_size)


def _network_with_features(recipe: TeacherRecipe, dataset: Dataset, device: Device) -> nn.Module:
    """The recipe's network with the other teacher's features; in place of its last layer, it returns these [N, D]."""
    other = load_teacher(recipe.features_of)
    network = build_model(recipe.model, dataset.image_shape, dataset.num_classes, seed=recipe.seed)
    if (scaling := other.card.normalisation) is not None:
        add_input_normalisation(network, scaling.mean, scaling.std)
    weights = {name: value for name, value in other.network.network.state_dict().items() if "classifier" not in name}
    network.load_state_dict(weights, strict=False)
    network.classifier = nn.Identity()
    return device.place(network)


def _views(dataset: Dataset) -> list[Tensor]:
    """The training pictures, and their mirror images unless there are many: each uint8 [N, C, H, W]."""
    images = dataset.train.images
    return [images, images.flip(-1)] if len(images) <= MIRRORED_PICTURES else [images]


def _features_of(
    network: nn.Module, images: Tensor, device: Device, batch_size: int, should_stop: Callable[[], bool]
) -> Tensor | None:
    """The features of pictures, uint8 [N, C, H, W] -> float32 [N, D] on the CPU; None if `should_stop` ended it."""
    parts = []
    for chunk in images.split(batch_size):
        if should_stop():
            return None
        parts.append(predict_logits(network, chunk, device).clone())  # no inference tensor, so that a head can learn
    return torch.cat(parts)


def _examples(views: Sequence[Tensor], dataset: Dataset, balance: float) -> _Examples:
    labels = dataset.train.hard_labels
    counts = labels.bincount(minlength=dataset.num_classes).clamp(min=1).float()
    return _Examples(torch.cat(list(views)), labels.repeat(len(views)), counts.pow(-balance))


def strengths(recipe: TeacherRecipe) -> list[float]:
    """The weight decay of each head, from the strongest on."""
    return [recipe.weight_decay * STRENGTH_STEP**number for number in range(recipe.epochs)]


def _zero_head(features: int, classes: int) -> nn.Linear:
    head = nn.Linear(features, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _fit(head: nn.Linear, examples: _Examples, strength: float, label_smoothing: float) -> tuple[nn.Linear, float]:
    """Fit a copy of a head with L-BFGS; return it with its loss in nats, without the weight decay."""
    fitted = copy.deepcopy(head)
    optimizer = torch.optim.LBFGS(
        fitted.parameters(), max_iter=ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def data_loss() -> Tensor:
        return F.cross_entropy(
            fitted(examples.features), examples.hard_labels, examples.class_weights, label_smoothing=label_smoothing
        )

    def closure() -> float:
        optimizer.zero_grad()
        loss = data_loss() + strength / 2 * fitted.weight.square().sum()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    with torch.no_grad():
        return fitted, float(data_loss())


def _for_raw_features(head: nn.Linear, mean: Tensor, deviation: Tensor) -> nn.Linear:
    """The same head for features that are not standardised."""
    raw = copy.deepcopy(head)
    with torch.no_grad():
        raw.weight.div_(deviation)
        raw.bias.sub_(raw.weight @ mean)
    return raw
