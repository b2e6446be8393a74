"""The default settings of a run on each dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from kdcore.datasets import dataset_info
from kdcore.pictures.views import ViewSet


@dataclass(frozen=True)
class Recipe:
    """The training settings that all arms of a run share. The default recipes were tuned on validation for the
    baseline.

    Attributes:
        batch_size: pictures per step.
        learning_rate: peak of the one-cycle schedule of AdamW.
        weight_decay: decoupled weight decay, which applies to matrices and kernels only.
        label_smoothing: share of the hard label that the hard loss spreads over all classes, in every arm (Szegedy et
            al. 2016); 0 by default.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Defaults:
    """The default settings of a run on one dataset.

    Attributes:
        teacher, student, temperature, distill_weight, labels, epochs, recipe: as in `RunConfig`.
        views: the finite set of views in which students see the pictures.
        students: names of the networks that the app offers as students.
        seeds: number of seeds.
    """

    teacher: str
    student: str
    temperature: float
    distill_weight: float
    labels: int
    epochs: int
    recipe: Recipe
    views: ViewSet
    students: tuple[str, ...]
    seeds: int = 5


_MNIST = Defaults(  # for MNIST and Fashion-MNIST
    teacher="mnist",
    student="convnet-4",
    temperature=4.0,
    distill_weight=0.9,
    labels=500,
    epochs=60,
    recipe=Recipe(batch_size=50, learning_rate=3e-2, weight_decay=1e-1),
    views=ViewSet(flip=False, shift=1),
    students=("convnet-4", "convnet-8", "mlp-32", "mlp-128", "mlp-800-800"),
    seeds=3,
)
_CIFAR10 = Defaults(
    teacher="cifar10",
    student="convnet-16",
    temperature=4.0,
    distill_weight=0.9,
    labels=2_000,
    epochs=20,
    recipe=Recipe(batch_size=100, learning_rate=1e-2, weight_decay=5e-2),
    views=ViewSet(flip=True, shift=0),
    students=("convnet-8", "convnet-16", "convnet-32", "resnet-16"),
    seeds=3,
)

DEFAULTS: dict[str, Defaults] = {
    "creatures": Defaults(
        teacher="creatures",
        student="convnet-8",
        temperature=4.0,
        distill_weight=0.9,
        labels=100,
        epochs=30,
        recipe=Recipe(batch_size=20, learning_rate=3e-3, weight_decay=1e-1),
        views=ViewSet(flip=True, shift=0),  # heads are in the middle; shifts would only use up a small network
        students=("convnet-8", "convnet-16", "convnet-32", "mlp-64", "mlp-128-128"),
    ),
    "digits": Defaults(
        teacher="digits",
        student="mlp-16",
        temperature=4.0,
        distill_weight=0.9,
        labels=200,
        epochs=60,
        recipe=Recipe(batch_size=50, learning_rate=3e-2, weight_decay=1e-1),
        views=ViewSet(flip=False, shift=0),  # one pixel is an eighth of the side, too large a shift
        students=("mlp-8", "mlp-16", "mlp-64", "convnet-4", "convnet-8"),
    ),
    "mnist": _MNIST,
    "fashion-mnist": replace(_MNIST, teacher="fashion-mnist", views=ViewSet(flip=True, shift=1)),
    "cifar10": _CIFAR10,
    "cifar100": replace(_CIFAR10, teacher="cifar100"),
    "animals64": replace(  # pictures have 4 times CIFAR's pixels, so half as many still take twice as long
        _CIFAR10,
        teacher="animals",
        labels=1_000,
        student="convnet-8",
        students=("convnet-8", "convnet-16", "resnet-16"),
    ),
    "animal-kinds": replace(
        _CIFAR10, teacher="photos", labels=1_000, student="resnet-16", students=("convnet-8", "resnet-8", "resnet-16")
    ),
}


FEW_PICTURES = 500  # own datasets with fewer training pictures get a smaller student and more epochs
_FEW_STEPS = 200  # optimiser steps that suffice for so few pictures
_FEW_EPOCHS = 100  # at most


def defaults_for(dataset: str) -> Defaults:
    """Return the defaults of `dataset`. A dataset that a user added gets those of CIFAR-10, with a teacher of the
    dataset's own name and no more labels than it has training pictures. If it has few, the student is one of about
    10,000 parameters, which learns for as many steps as `epochs_for_few` says.

    Raises:
        UnknownName: no dataset has this name.
    """
    if dataset in DEFAULTS:
        return DEFAULTS[dataset]
    info = dataset_info(dataset)
    own = replace(_CIFAR10, teacher=dataset, labels=min(_CIFAR10.labels, info.train_size))
    if info.train_size >= FEW_PICTURES:
        return own
    recipe = replace(own.recipe, batch_size=25)
    return replace(own, student="convnet-8", recipe=recipe, epochs=epochs_for_few(info.train_size, recipe.batch_size))


def epochs_for_few(pictures: int, batch_size: int) -> int:
    """Return the number of epochs for a transfer set of few pictures, in batches of at most `batch_size`."""
    steps = max(1, pictures // min(batch_size, pictures))
    return min(_FEW_EPOCHS, math.ceil(_FEW_STEPS / steps))


def instead_of(teacher: str, dataset: str) -> str:
    """Return what to do where a teacher does not fit a dataset: the end of an error's sentence."""
    default = defaults_for(dataset).teacher
    if teacher != default:
        return f'choose "{default}"'
    return f'add the pictures of "{dataset}" under another name (kdcore datasets add FOLDER --name NAME)'
