"""The whole configuration of a run: frozen, validated, small enough for a URL."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kdcore.datasets import dataset_info
from kdcore.device import DEVICES
from kdcore.ensemble_names import normal_name
from kdcore.errors import ConfigError, UnknownName
from kdcore.models import parse_model
from kdcore.views import ViewSet

METHODS = ("kd",)
MAX_SEEDS, MAX_EPOCHS = 100, 1000


@dataclass(frozen=True)
class Recipe:
    """How every arm is trained; one recipe for all of them, tuned on validation for the baseline.

    Attributes:
        batch_size: pictures a step.
        learning_rate: the peak of a one-cycle schedule, AdamW.
        weight_decay: decoupled, on matrices and kernels only.
        label_smoothing: of the hard loss, in every arm (Szegedy et al. 2016); 0 unless asked for.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Defaults:
    """What a run on a dataset does unless told otherwise."""

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


_GREY = Defaults(  # MNIST and what was made to replace it
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
_PHOTOS = Defaults(
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
        views=ViewSet(flip=True, shift=0),  # heads sit in the middle; shifts only cost what a small network has
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
        views=ViewSet(flip=False, shift=0),  # a pixel is an eighth of the picture
        students=("mlp-8", "mlp-16", "mlp-64", "convnet-4", "convnet-8"),
    ),
    "mnist": _GREY,
    "fashion-mnist": replace(_GREY, teacher="fashion-mnist", views=ViewSet(flip=True, shift=1)),
    "cifar10": _PHOTOS,
    "cifar100": replace(_PHOTOS, teacher="cifar100"),
    "animals64": replace(  # four times the pixels: half the pictures take twice as long
        _PHOTOS, teacher="animals", labels=1_000, student="convnet-8", students=("convnet-8", "convnet-16", "resnet-16")
    ),
}


def defaults_for(dataset: str) -> Defaults:
    """What a run on `dataset` does unless told otherwise; your own datasets are treated like photos.

    Raises:
        UnknownName: no dataset has this name.
    """
    if dataset in DEFAULTS:
        return DEFAULTS[dataset]
    info = dataset_info(dataset)
    return replace(_PHOTOS, teacher=dataset, labels=min(_PHOTOS.labels, info.train_size))


@dataclass(frozen=True)
class RunConfig:
    """A paired run: the same student with and without its teacher.

    Attributes:
        dataset: a name from the dataset registry.
        labels: training pictures that every arm gets.
        teacher: a teacher's name, or an ensemble's (`ensemble_names`); a dataset's default teacher is trained first
            where it is not on this machine.
        student: a model's name, such as "convnet-16".
        method: how the distilled arm learns; "kd" is Hinton's.
        temperature: T of the soft labels, above 0.
        distill_weight: weight of the distill loss; the hard loss has 1 minus it.
        epochs: passes over the labelled pictures.
        seeds: one student of each arm for each; a seed decides weights, order, views and labelled pictures.
        device: "auto", "cpu" or "cuda".
        recipe: how all arms are trained.
    """

    dataset: str
    labels: int
    teacher: str
    student: str
    method: str
    temperature: float
    distill_weight: float
    epochs: int
    seeds: tuple[int, ...]
    device: str
    recipe: Recipe

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "seeds": list(self.seeds)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunConfig:
        """The validated configuration that `to_json` wrote.

        Raises:
            ConfigError: a field is missing, unknown or not legal.
        """
        try:
            values = dict(data)
            values["recipe"] = Recipe(**values["recipe"])
            values["seeds"] = tuple(values["seeds"])
            config = cls(**values)
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigError(f"This is not the configuration of a run: {error}.") from error
        return config.validate()

    def validate(self) -> RunConfig:
        """This configuration, if every value is legal; the name of an ensemble is written in its one way.

        Raises:
            ConfigError: what is wrong and what is legal, in one sentence.
        """
        info = dataset_info(self.dataset)
        if self.method not in METHODS:
            raise UnknownName("method", self.method, METHODS)
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES)
        parse_model(self.student)
        _check("labels", self.labels, 1, info.train_size, f" on {self.dataset}", whole=True)
        _check("temperature", self.temperature, 0.01, 1000.0)
        _check("distill weight", self.distill_weight, 0.0, 1.0)
        _check("epochs", self.epochs, 1, MAX_EPOCHS, whole=True)
        _check("number of seeds", len(self.seeds), 1, MAX_SEEDS, whole=True)
        if len(set(self.seeds)) != len(self.seeds):
            raise ConfigError("The seeds must differ from each other; repeating one would count it twice.")
        for seed in self.seeds:
            _check("seed", seed, 0, 2**31 - 1, whole=True)
        _check("batch size", self.recipe.batch_size, 1, 65536, whole=True)
        _check("learning rate", self.recipe.learning_rate, 1e-8, 10.0)
        _check("weight decay", self.recipe.weight_decay, 0.0, 10.0)
        _check("label smoothing", self.recipe.label_smoothing, 0.0, 0.99)
        teacher = normal_name(str(self.teacher))
        return self if teacher == self.teacher else replace(self, teacher=teacher)


def make_run_config(dataset: str, **overrides: Any) -> RunConfig:
    """A run on `dataset` with its defaults, except what `overrides` names.

    `seeds` may be a number K (meaning 0 to K - 1) or a sequence of seeds. A value of None means the default.
    Fields of the recipe (`batch_size`, `learning_rate`, ...) may be given too.

    Raises:
        ConfigError: an unknown name or a value that is not legal.
    """
    defaults = defaults_for(dataset)
    given = {key: value for key, value in overrides.items() if value is not None}
    recipe_fields = {f.name for f in fields(Recipe)}
    recipe = replace(defaults.recipe, **{k: given.pop(k) for k in list(given) if k in recipe_fields})
    seeds = given.pop("seeds", defaults.seeds)
    if isinstance(seeds, int):
        _check("number of seeds", seeds, 1, MAX_SEEDS, whole=True)
        seeds = range(seeds)
    values: dict[str, Any] = {
        "dataset": dataset,
        "labels": defaults.labels,
        "teacher": defaults.teacher,
        "student": defaults.student,
        "method": "kd",
        "temperature": defaults.temperature,
        "distill_weight": defaults.distill_weight,
        "epochs": defaults.epochs,
        "device": "auto",
        "recipe": recipe,
    }
    unknown = sorted(set(given) - set(values))
    if unknown:
        raise ConfigError(f"A run has no setting {unknown[0]!r}; it has: {', '.join(values)}, seeds.")
    return RunConfig(**{**values, **given}, seeds=tuple(seeds)).validate()


def _check(what: str, value: object, low: float, high: float, where: str = "", *, whole: bool = False) -> None:
    kind = "a whole number" if whole else "a number"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    legal = number and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type,operator]
    if not legal or (whole and not isinstance(value, int)):
        raise ConfigError(f"The {what} must be {kind} from {low:g} to {high:g}{where}, not {value!r}.")
