"""The figures on a teacher's card: calibration, measurements on the test split, and how it detects unknown pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.datasets import Dataset, load_dataset
from kdcore.metrics import scores
from kdcore.metrics.soft_labels import familiarity, soften, superclass_logits
from kdcore.pictures.views import resize_images
from kdcore.teachers.building.outsiders import FALSE_ALARM_RATE, OutsiderRecipe, pictures_of_classes
from kdcore.teachers.teacher import Teacher


def fit_calibration(logits: Tensor, hard_labels: Tensor) -> float:
    """Find the factor on the logits [N, K] that gives the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in the factor. The factor's logarithm is searched on three grids, each finer
    than the one before.
    """
    low, high = -3.0, 3.0
    best = 0.0
    for _ in range(3):
        grid = torch.linspace(low, high, 61)
        losses = torch.stack([F.cross_entropy(logits * float(step.exp()), hard_labels) for step in grid])
        best = float(grid[int(losses.argmin())])
        width = (high - low) / 60
        low, high = best - width, best + width
    return float(torch.tensor(best).exp())


def measure(logits: Tensor, dataset: Dataset) -> dict[str, Any]:
    """Compute a teacher's figures on the test split, with intervals, in the form that its card holds.

    Args:
        logits: the teacher's calibrated logits for the test split, [N, K].
    """
    hard_labels = dataset.test.hard_labels
    figures: dict[str, Any] = {
        "test_size": len(hard_labels),
        "accuracy": scores.proportion_estimate(scores.correct(logits, hard_labels)).to_json(),
        "nll": float(F.cross_entropy(logits, hard_labels)),
        "ece": scores.ece(logits[None], hard_labels).to_json(),
    }
    if dataset.bayes_accuracy is not None and dataset.test.posterior is not None:
        figures["bayes_accuracy"] = dataset.bayes_accuracy
        log_probs = logits.log_softmax(1)
        divergence = F.kl_div(log_probs, dataset.test.posterior, reduction="batchmean")
        figures["kl_from_posterior"] = float(divergence)
    if dataset.superclasses != dataset.class_names:
        figures |= _superclass_figures(logits, dataset)
    return figures


def _superclass_figures(logits: Tensor, dataset: Dataset) -> dict[str, Any]:
    """The figures by superclass, and the accuracy on large and on small classes where the classes differ in size."""
    hard_labels = dataset.test.hard_labels
    figures = superclass_figures(
        logits, dataset.superclasses, [dataset.superclasses[label] for label in hard_labels.tolist()]
    )
    class_sizes = dataset.train.hard_labels.bincount(minlength=dataset.num_classes)
    large = class_sizes[hard_labels] > class_sizes.max() * 0.8
    if bool(large.any()) and not bool(large.all()):
        hits = scores.correct(logits, hard_labels)
        figures["large_class_accuracy"] = scores.proportion_estimate(hits[large]).to_json()
        figures["small_class_accuracy"] = scores.proportion_estimate(hits[~large]).to_json()
    return figures


def superclass_figures(logits: Tensor, superclasses: Sequence[str], true: Sequence[str]) -> dict[str, Any]:
    """The figures by superclass of N pictures.

    A picture counts as assigned to the superclass with the largest sum of soft labels at T = 1.

    Args:
        logits: [N, K].
        superclasses: the superclass of each of the K classes.
        true: the superclass of each picture, N names out of `superclasses`.
    """
    names, superclass_probs = _superclass_probs(logits, superclasses)
    true_superclass = torch.tensor([names.index(name) for name in true])
    correct = superclass_probs.argmax(1) == true_superclass
    rows, means = {}, {}
    for number, name in enumerate(names):
        in_superclass = true_superclass == number
        size = int(in_superclass.sum())
        if size == 0:
            continue
        accuracy = scores.proportion_estimate(correct[in_superclass]).to_json()
        rows[name] = {"accuracy": accuracy["mean"], "n": size, "ci95": accuracy["ci95"]}
        mean = superclass_probs[in_superclass].mean(0)
        ranked = mean.argsort(descending=True).tolist()
        means[name] = {"n": size, "mean": {names[k]: float(mean[k]) for k in ranked}}
    return {
        "superclass_accuracy": scores.proportion_estimate(correct).to_json(),
        "by_superclass": rows,
        "superclass_soft_labels": means,
    }


def top_superclasses(logits: Tensor, superclasses: Sequence[str]) -> list[str]:
    """The superclass with the largest sum of soft labels at T = 1 of each of N pictures; logits [N, K]."""
    names, probs = _superclass_probs(logits, superclasses)
    return [names[number] for number in probs.argmax(1).tolist()]


def _superclass_probs(logits: Tensor, superclasses: Sequence[str]) -> tuple[list[str], Tensor]:
    """The S superclasses by name, and the sums of the soft labels at T = 1 in each, [N, S]."""
    summed = superclass_logits(logits, superclasses)
    names = sorted(summed)
    return names, soften(torch.stack([summed[name] for name in names], 1))


def fit_threshold(logits: Tensor, false_alarm_rate: float = FALSE_ALARM_RATE) -> float:
    """The familiarity below which a picture is called none of the classes.

    It is chosen so that the share `false_alarm_rate` of the validation pictures falls below it; no outsiders are used.

    Args:
        logits: the calibrated logits for the validation split, [N, K].
    """
    return float(familiarity(logits).quantile(false_alarm_rate))


def measure_outsiders(teacher: Teacher, dataset: Dataset, threshold: float, recipe: OutsiderRecipe) -> dict[str, Any]:
    """Measure how often pictures are called none of the classes.

    All pictures are from test splits, and those of the recipe's dataset are of classes that the teacher did not meet in
    training.

    Returns:
        `false_alarms`: the share of the teacher's own test pictures. `found`: the share of outsiders, for each kind of
        them. `false_alarms_elsewhere`: the share of pictures of the teacher's own kind that come from the outsiders'
        dataset; it is high if the teacher detects outsiders by that dataset's blur instead of by their content.
    """
    other = load_dataset(recipe.dataset)
    superclass_of = dict(zip(other.class_names, other.superclasses, strict=True))
    unseen = [name for name in other.class_names if name not in recipe.outside + recipe.inside]
    outside_superclasses = {superclass_of[name] for name in recipe.outside}

    def called_none(images: Tensor) -> dict[str, Any]:
        logits = teacher.logits(resize_images(images, teacher.card.image_shape[1:]))
        below = familiarity(logits) < threshold
        return {**scores.proportion_estimate(below).to_json(), "n": len(images)}

    def row(names: list[str]) -> dict[str, Any]:
        pictures = pictures_of_classes(other.test, other.class_names, names)
        return {f"{other.name}: {', '.join(names)}": called_none(pictures)}

    digits = load_dataset("digits").test.images.expand(-1, teacher.card.image_shape[0], -1, -1)
    return {
        "false_alarms": called_none(dataset.test.images),
        "found": {
            **row([name for name in unseen if superclass_of[name] in outside_superclasses]),
            "digits": called_none(digits),
        },
        "false_alarms_elsewhere": row([name for name in unseen if superclass_of[name] not in outside_superclasses]),
    }
