"""Sweeps: one run over several settings. Every combination of the varied values is a point of the sweep, with the
configuration of a plain run. Points that differ only in teacher, method or the settings of the loss share their
baseline, and their students are trained together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from kdcore.errors import ConfigError, UnknownName
from kdcore.methods.method import SOFT_SETTINGS
from kdcore.methods.registry import find_method, parameters_by_name
from kdcore.settings.controls import control_teacher
from kdcore.settings.defaults import Recipe, defaults_for
from kdcore.teachers.ensemble_names import members_of, normal_name

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig

MAX_POINTS = 100
_RECIPE_SETTINGS = tuple(field.name for field in fields(Recipe))
# The settings of any run that can be varied; a method's own parameters can be too.
SWEEP_SETTINGS = ("labels", "teacher", "student", "method", *SOFT_SETTINGS, "epochs", *_RECIPE_SETTINGS)
_WHOLE_SETTINGS = ("labels", "epochs", "batch_size")
_TEXT_SETTINGS = ("teacher", "student", "method")
# Points that differ in one of these are trained apart.
GROUP_SETTINGS = ("student", "labels", "epochs", *_RECIPE_SETTINGS)
POINT_ARMS = ("baseline", "distilled")


@dataclass(frozen=True)
class Point:
    """One combination of the varied values.

    Attributes:
        values: (setting, value) pairs of the varied settings, in the order of the sweep.
        config: the configuration of a plain run with these values.
        main: whether this is the run's own point, whose arms the result reports in full.
    """

    values: tuple[tuple[str, Any], ...]
    config: RunConfig
    main: bool = False

    @property
    def label(self) -> str:
        """The values as text, such as "temperature=4, labels=100"; empty for a plain run."""
        return _label(self.values)

    def arm(self, name: str) -> str:
        """Return the name of this point's arm `name` among the arms of all points: `name` itself at the run's own
        point, else such as "distilled (temperature=4)"."""
        return name if self.main else f"{name} ({self.label})"


def parse_vary(texts: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """Parse texts such as "temperature=1,2,4", the values of the command-line option `--vary`.

    Returns:
        the values of each varied setting, by its name; parameters of a method may be varied too.

    Raises:
        ConfigError: a text is not of this form, names a setting for the second time, or has a value of the wrong type.
        UnknownName: the name is neither a setting that can be varied nor a parameter of any method.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        parts = [part.strip() for part in values.split(",") if part.strip()]
        if not equals or not parts:
            raise ConfigError(f"Say what to vary and over which values, such as temperature=1,2,4, not {text!r}.")
        if name in found:
            raise ConfigError(f"{name} is varied twice; give all of its values at once.")
        if name not in SWEEP_SETTINGS and name not in parameters_by_name():
            raise UnknownName("setting that can be varied", name, (*SWEEP_SETTINGS, *parameters_by_name()))
        found[name] = tuple(_value(name, part) for part in parts)
    return found


def _value(name: str, text: str) -> Any:
    parameter = parameters_by_name().get(name)
    if name in _TEXT_SETTINGS or (parameter is not None and parameter.is_text):
        return text
    try:
        return int(text) if name in _WHOLE_SETTINGS else float(text)
    except ValueError as error:
        kind = "a whole number" if name in _WHOLE_SETTINGS else "a number"
        raise ConfigError(f"{name} is {kind}, not {text!r}.") from error


def merge_given(given: Mapping[str, Any], vary: Mapping[str, Iterable[Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the varied settings of a sweep whose user also gave some settings directly.

    If methods vary, a temperature or distill weight that was given is added as a setting that varies over this one
    value; so it holds for every method, instead of the method's own default.

    Args:
        given: the settings that were given directly, by name.
        vary: the values of each varied setting.

    Raises:
        ConfigError: the given value of a setting is not among the values over which it varies.
    """
    found = {name: _normal(name, tuple(values)) for name, values in vary.items()}
    for name, values in found.items():
        if name in given and _normal(name, (given[name],))[0] not in values:
            raise ConfigError(
                f"{name} cannot be {format_value(given[name])} and vary over {', '.join(map(format_value, values))}; "
                "choose one of its values, or vary other settings."
            )
    pinned = {name: (given[name],) for name in SOFT_SETTINGS if name in given and "method" in found}
    return {**found, **{name: value for name, value in pinned.items() if name not in found}}


def normal_sweep(config: RunConfig) -> RunConfig:
    """Return the configuration with its own values moved to a point of its sweep: a varied setting whose own value is
    not among the values over which it varies takes the first of them.

    Raises:
        UnknownName: a setting that cannot be varied.
        ConfigError: a setting without values or with the same value twice, or more than `MAX_POINTS` points.
    """
    parameters = dict(config.parameters)
    config = replace(config, vary=tuple((name, _normal(name, values)) for name, values in config.vary))
    count = 1
    for name, values in config.vary:
        if name not in SWEEP_SETTINGS and name not in parameters:
            raise UnknownName("setting that can be varied", name, (*SWEEP_SETTINGS, *parameters))
        if not values or any(value in values[:place] for place, value in enumerate(values)):
            raise ConfigError(f"{name} needs values that differ from each other, not {', '.join(map(str, values))}.")
        count *= len(values)
    if count > MAX_POINTS:
        raise ConfigError(f"A sweep has at most {MAX_POINTS} points, not {count}; leave some values out.")
    if not config.vary:
        return config
    own = {name: value_at(config, name) for name, _ in config.vary}
    main = {name: own[name] if own[name] in values else values[0] for name, values in config.vary}
    return replace(config_at(config, main), vary=config.vary, controls=config.controls)


def points(config: RunConfig) -> tuple[Point, ...]:
    """Return every point of a sweep, in the order of its values; a plain run has one point. Only the run's own point
    has the run's controls."""
    names = [name for name, _ in config.vary]
    main = tuple((name, value_at(config, name)) for name in names)
    found = []
    for combination in itertools.product(*(values for _, values in config.vary)):
        values = tuple(zip(names, combination, strict=True))
        is_main = values == main
        found.append(Point(values, replace(config, vary=()) if is_main else config_at(config, dict(values)), is_main))
    return tuple(found)


def groups(sweep_points: Iterable[Point]) -> tuple[tuple[Point, ...], ...]:
    """Group the points whose students can be trained together, because student, labels, epochs and recipe are the same.

    The run's own point is the first of the first group.
    """
    together: dict[object, list[Point]] = {}
    for point in sorted(sweep_points, key=lambda point: not point.main):
        together.setdefault(tuple(value_at(point.config, name) for name in GROUP_SETTINGS), []).append(point)
    return tuple(tuple(group) for group in together.values())


def arms_of(vary: Mapping[str, Sequence[Any]], own: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return the values of every point of a sweep, and the names of its two arms in events and results.

    The names are those that `points` and `groups` give. Nothing is validated, so that a stored sweep can be shown even
    when its dataset is no longer on this machine.

    Args:
        vary: the values of each varied setting.
        own: the values of the run's own point.

    Returns:
        for each point its values by setting, and {"baseline": name, "distilled": name}; points that are trained
        together have the same baseline.
    """
    combinations = [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]
    arms = [
        {arm: arm if values == own else f"{arm} ({_label(values.items())})" for arm in POINT_ARMS}
        for values in combinations
    ]
    baselines: dict[object, str] = {}  # the name of the baseline that the points of a group share
    for place in sorted(range(len(combinations)), key=lambda place: combinations[place] != own):
        group = tuple(combinations[place].get(name) for name in GROUP_SETTINGS)
        arms[place]["baseline"] = baselines.setdefault(group, arms[place]["baseline"])
    return list(zip(combinations, arms, strict=True))


def teachers_of(config: RunConfig) -> tuple[str, ...]:
    """Return the names of all teachers that a run needs, at any point or for any control; the run's own comes first.

    Where a method learns from each member of an ensemble, the members are among them.
    """
    names = [config.teacher]
    for point in points(config):
        needs_ensemble = find_method(point.config.method).needs_ensemble
        names += members_of(point.config.teacher) if needs_ensemble else [point.config.teacher]
    return tuple(dict.fromkeys([*names, *(control_teacher(config.teacher, name) for name in config.controls)]))


def _normal(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(normal_name(str(value)) for value in values) if name == "teacher" else values


def _label(values: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}={format_value(value)}" for name, value in values)


def format_value(value: Any) -> str:
    """Format a value for display; different values never get the same text."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def value_at(config: RunConfig, name: str) -> Any:
    if name in _RECIPE_SETTINGS:
        return getattr(config.recipe, name)
    return getattr(config, name) if name in SWEEP_SETTINGS else dict(config.parameters).get(name)


def config_at(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return the plain configuration at one point. Where the point's method is not the configuration's, the
    parameters, and a temperature or distill weight that either method has its own default for, are reset to the
    defaults of the point's method, unless they are varied themselves."""
    base = replace(config, vary=(), controls=())
    if values.get("method", config.method) != config.method:
        before, method = find_method(config.method), find_method(values["method"])
        defaults = defaults_for(config.dataset)
        changes: dict[str, Any] = {"method": method.name, "parameters": ()}
        for name in SOFT_SETTINGS:
            if getattr(method, name) is not None:
                changes[name] = getattr(method, name)
            elif getattr(before, name) is not None:
                changes[name] = getattr(defaults, name)
        base = replace(base, **changes)
    recipe = {name: value for name, value in values.items() if name in _RECIPE_SETTINGS}
    plain = {name: value for name, value in values.items() if name in SWEEP_SETTINGS and name not in recipe}
    varied_parameters = {name: value for name, value in values.items() if name not in SWEEP_SETTINGS}
    parameters = tuple({**dict(base.parameters), **varied_parameters}.items())
    return replace(base, **plain, recipe=replace(base.recipe, **recipe), parameters=parameters).validate()
