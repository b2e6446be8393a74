"""The whole configuration of a run: frozen, validated, small enough for a URL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kdcore.datasets import DatasetInfo, dataset_info
from kdcore.errors import ConfigError, UnknownName
from kdcore.machine.device import DEVICES
from kdcore.methods.method import DEFAULT_METHOD, Value
from kdcore.methods.registry import check_parameters, find_method
from kdcore.networks.registry import parse_model
from kdcore.settings.controls import check_controls
from kdcore.settings.defaults import FEW_PICTURES, Defaults, Recipe, defaults_for, epochs_for_few
from kdcore.settings.extra_pictures import check_extra_pictures, extra_count
from kdcore.settings.feature_layers import compared_shapes
from kdcore.settings.sweeps import merge_given, normal_sweep, points
from kdcore.teachers.ensemble_names import is_ensemble, normal_name

MAX_SEEDS, MAX_EPOCHS = 100, 1000


@dataclass(frozen=True)
class RunConfig:
    """The settings of a run, which trains the same student with and without its teacher.

    Attributes:
        dataset: name of a dataset in the registry.
        labels: number of labelled training pictures, the same ones for every arm of a seed.
        teacher: name of a teacher, or of an ensemble such as "a+b@4". A teacher with a recipe is trained first if it
            is not on this machine.
        student: name of the student's network, such as "convnet-16".
        method: name of the method by which the distilled arm learns; "kd" is Hinton's.
        parameters: (name, value) pairs of the method's own parameters; a validated configuration has all of them.
        temperature: T of the soft labels, 0.01 to 1,000.
        distill_weight: weight of the distill loss, 0 to 1; the hard loss has the weight 1 - distill_weight.
        epochs: passes over the transfer set.
        seeds: every arm trains one student for each seed. A seed decides the first weights, the order and the views of
            the pictures, and which pictures are labelled.
        device: "auto", "cpu" or "cuda".
        recipe: optimiser settings that all arms share.
        controls: names of the run's controls, which are further arms.
        extra_pictures: pictures without labels that the distilled arm learns from too: "" for none, "own" for those
            that are kept with the dataset, or the name of another dataset, whose pictures are resized. It then learns
            from the teacher's soft labels alone; the other arms see their labelled pictures more often, so that all
            arms take as many steps.
        vary: (setting, values) pairs of a sweep, which trains every combination. The configuration's own value of such
            a setting is one of these values; the combination of the own values is the run's own point, whose arms the
            result reports in full.
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
    parameters: tuple[tuple[str, Value], ...] = ()
    controls: tuple[str, ...] = ()
    vary: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    extra_pictures: str = ""

    def to_json(self) -> dict[str, Any]:
        vary = {name: list(values) for name, values in self.vary}
        lists = {"seeds": list(self.seeds), "controls": list(self.controls)}
        data = {**asdict(self), **lists, "parameters": dict(self.parameters), "vary": vary}
        if not self.extra_pictures:  # so that a run without any equals one of before there were any
            del data["extra_pictures"]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunConfig:
        """Read and validate a configuration that `to_json` wrote.

        Raises:
            ConfigError: a field is missing, unknown or not legal.
        """
        try:
            values = dict(data)
            values["recipe"] = Recipe(**values["recipe"])
            values["seeds"] = tuple(values["seeds"])
            # Older configurations lack these keys; a missing key counts as empty.
            values["parameters"] = tuple(dict(values.get("parameters", {})).items())
            values["controls"] = tuple(values.get("controls", ()))
            values["vary"] = tuple((name, tuple(each)) for name, each in dict(values.get("vary", {})).items())
            config = cls(**values)
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigError(f"This is not the configuration of a run: {error}.") from error
        return config.validate()

    def validate(self) -> RunConfig:
        """Check every value and return this configuration in its normal form: an ensemble's name is written in its
        normal form, missing parameters get their defaults, and controls stand in the registry's order.

        Raises:
            ConfigError: a value is not legal; the message says in one sentence what is wrong and what is legal.
        """
        for name in ("dataset", "teacher", "student", "method", "device"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"The {name} must be a name, not {getattr(self, name)!r}.")
        info = dataset_info(self.dataset)
        method = find_method(self.method)
        parameters = check_parameters(method, dict(self.parameters))
        controls = check_controls(self.controls)
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES)
        parse_model(self.student)
        _check("labels", self.labels, 1, info.train_size, f" on {self.dataset}", whole=True)
        _check("temperature", self.temperature, 0.01, 1000.0)
        _check("distill weight", self.distill_weight, 0.0, 1.0)
        _check("epochs", self.epochs, 1, MAX_EPOCHS, whole=True)
        _check("number of seeds", len(self.seeds), 1, MAX_SEEDS, whole=True)
        for seed in self.seeds:
            _check("seed", seed, 0, 2**31 - 1, whole=True)
        if len(set(self.seeds)) != len(self.seeds):
            raise ConfigError("The seeds must differ from each other; repeating one would count it twice.")
        _check("batch size", self.recipe.batch_size, 1, 65536, whole=True)
        _check("learning rate", self.recipe.learning_rate, 1e-8, 10.0)
        _check("weight decay", self.recipe.weight_decay, 0.0, 10.0)
        _check("label smoothing", self.recipe.label_smoothing, 0.0, 0.99)
        teacher = normal_name(self.teacher)
        normal = normal_sweep(replace(self, teacher=teacher, parameters=parameters, controls=controls))
        teacher, method = normal.teacher, find_method(normal.method)  # of the sweep's own point
        if method.needs_ensemble and not is_ensemble(teacher):
            raise ConfigError(f"Several teachers are needed, joined by + (such as {teacher}+NAME), not {teacher}.")
        if method.features is not None and is_ensemble(teacher):
            raise ConfigError(
                f"{method.name} compares inner layers, and the ensemble {teacher} has none of its own; choose "
                "one of its members."
            )
        if normal.vary:
            points(normal)  # raises if the configuration of any point is not legal
        _check_controls(normal, info)
        check_extra_pictures(normal.extra_pictures, info, normal.method, normal.controls)
        if normal.extra_pictures and normal.distill_weight != 1.0:
            raise ConfigError(
                "With extra pictures the distilled student learns from soft labels alone, so the distill weight is 1, "
                f"not {normal.distill_weight:g}."
            )
        compared_shapes(normal)  # raises for layers that cannot be compared, before anything is trained
        return self if normal == self else normal


def make_run_config(dataset: str, **overrides: Any) -> RunConfig:
    """Return the configuration of a run on `dataset`, with defaults for every setting that is not given.

    A temperature or distill weight that is not given is the method's own default if it has one, else the dataset's.
    One that is given holds for every method of a sweep over methods.

    Args:
        overrides: settings by name, as in `RunConfig`, or fields of its recipe (`batch_size`, `learning_rate`, ...).
            None means the default. `seeds` may be a number K (for the seeds 0 to K - 1) or a sequence of seeds;
            `parameters` and `vary` are mappings. A setting may be both varied and given: the given value, one of the
            varied values, then belongs to the sweep's own point.

    Raises:
        ConfigError: an unknown name, a value that is not legal, or a given value that is not among the values over
            which its setting varies.
    """
    defaults = defaults_for(dataset)
    given = {key: value for key, value in overrides.items() if value is not None}
    vary = merge_given({**given, **given.get("parameters", {})}, given.pop("vary", {}))
    recipe_fields = {f.name for f in fields(Recipe)}
    recipe = replace(defaults.recipe, **{k: given.pop(k) for k in list(given) if k in recipe_fields})
    seeds = given.pop("seeds", defaults.seeds)
    if isinstance(seeds, int):
        _check("number of seeds", seeds, 1, MAX_SEEDS, whole=True)
        seeds = range(seeds)
    elif not isinstance(seeds, Iterable):
        raise ConfigError(f"The seeds must be a number of seeds or several seeds, not {seeds!r}.")
    method = find_method(given.get("method", DEFAULT_METHOD))
    if extra := given.get("extra_pictures"):
        method = replace(method, distill_weight=1.0)  # extra pictures have no hard labels to weigh it against
        defaults = _with_extra(defaults, dataset, extra)
    parameters = dict(given.pop("parameters", {}))
    values: dict[str, Any] = {
        "dataset": dataset,
        "labels": defaults.labels,
        "teacher": defaults.teacher,
        "student": defaults.student,
        "method": DEFAULT_METHOD,
        "temperature": defaults.temperature if method.temperature is None else method.temperature,
        "distill_weight": defaults.distill_weight if method.distill_weight is None else method.distill_weight,
        "epochs": defaults.epochs,
        "device": "auto",
        "recipe": recipe,
        "controls": (),
        "extra_pictures": "",
    }
    unknown = sorted(set(given) - set(values))
    if unknown:
        raise ConfigError(f"A run has no setting {unknown[0]!r}; it has: {', '.join(values)}, seeds.")
    values |= {**given, "seeds": tuple(seeds), "parameters": tuple(parameters.items())}
    values["controls"] = tuple(values["controls"])
    values["vary"] = tuple(vary.items())
    return RunConfig(**values).validate()


def _with_extra(defaults: Defaults, dataset: str, extra: object) -> Defaults:
    """Return the defaults of a run with extra pictures, which make each epoch longer."""
    info = dataset_info(dataset)
    if info.train_size >= FEW_PICTURES or not isinstance(extra, str):
        return defaults
    pictures = defaults.labels + extra_count(extra, info)
    return replace(defaults, epochs=epochs_for_few(pictures, defaults.recipe.batch_size))


def _check_controls(config: RunConfig, info: DatasetInfo) -> None:
    """Raise `ConfigError` if a control, a further arm of the run, cannot do what its name says with these settings.

    For example, soft labels cannot be shuffled within classes that have fewer than two labelled pictures.
    """
    if config.controls and not find_method(config.method).needs_logits_only:
        raise ConfigError(
            f"Controls change a teacher's soft labels, and {config.method} does not learn from these alone; choose a "
            "method such as kd, or leave the controls out."
        )
    if "unlabelled" in config.controls and 2 * config.labels > info.train_size:
        raise ConfigError(
            f"The control unlabelled needs as many unlabelled pictures as labelled ones, and {config.dataset} has "
            f"{info.train_size} in all; choose at most {info.train_size // 2} labels, or leave it out."
        )
    if "shuffled" in config.controls and config.labels < 2 * info.num_classes:
        raise ConfigError(
            f"The control shuffled needs two pictures of each class, and {config.labels} labels of {info.num_classes} "
            f"classes are fewer; choose at least {2 * info.num_classes} labels, or leave it out."
        )
    if "permuted" in config.controls and info.num_classes < 3:
        raise ConfigError(
            f"The control permuted lets the wrong classes of a picture change places, and {config.dataset} has only "
            "one wrong class for each picture; leave it out."
        )


def _check(what: str, value: object, low: float, high: float, where: str = "", *, whole: bool = False) -> None:
    kind = "a whole number" if whole else "a number"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    legal = number and low <= value <= high  # type: ignore[operator]
    if not legal or (whole and not isinstance(value, int)):
        raise ConfigError(f"The {what} must be {kind} from {low:g} to {high:g}{where}, not {value!r}.")
