"""Sweeps: how `--vary` is read, which points a sweep has, and that each point gives the same as a plain run would."""

from __future__ import annotations

from typing import Any

import pytest

from kdcore.errors import ConfigError
from kdcore.settings.config import RunConfig
from kdcore.settings.sweeps import MAX_POINTS, groups, parse_vary, points, teachers_of
from tests.engine.shared_settings import sweep

# --- how a sweep is asked for ---


def test_what_is_varied_is_read_from_text() -> None:
    texts = ["temperature=1, 2,4", "labels=50,100", "student=mlp-8,convnet-4", "distill-weight=0.5", "assistants=mlp-9"]
    assert parse_vary(texts) == {
        "temperature": (1.0, 2.0, 4.0),
        "labels": (50, 100),
        "student": ("mlp-8", "convnet-4"),
        "distill_weight": (0.5,),
        "assistants": ("mlp-9",),
    }
    assert all(type(value) is float for value in parse_vary(["temperature=1"])["temperature"])
    assert all(type(value) is int for value in parse_vary(["epochs=1"])["epochs"])
    assert parse_vary(["student_layer=2.0"]) == {"student_layer": ("2.0",)}  # the path of a layer
    assert parse_vary([]) == {}


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["temperature"], "temperature=1,2,4"),
        (["temperature="], "temperature=1,2,4"),
        (["temperature=,"], "temperature=1,2,4"),
        ([""], "temperature=1,2,4"),
        (["temperature=1,hot"], "'hot'"),
        (["labels=1.5"], "a whole number"),
        (["temperature=1", "temperature=2"], "varied twice"),
        (["batch-size=5", "batch_size=6"], "varied twice"),
        (["methods=kd,dkd"], 'Did you mean "method"?'),
        (["dataset=mnist,digits"], "labels, teacher, student, method, temperature"),
        (["seeds=1,2"], "no setting that can be varied"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_sentence(texts: list[str], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_vary(texts)
    assert word in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("vary", "word"),
    [
        ({"seeds": (1, 2)}, '"seeds"'),
        ({"dataset": ("digits",)}, '"dataset"'),
        ({"target_weight": (1.0, 2.0)}, '"target_weight"'),  # kd has none
        ({"temperature": (1.0, 2.0, 1.0)}, "differ"),
        ({"temperature": ()}, "differ"),
        ({"temperature": (1.0, 0.0)}, "temperature must be"),
        ({"temperature": (1.0, "hot")}, "temperature must be"),
        ({"temperature": ([1.0], [2.0])}, "temperature must be"),
        ({"labels": (10, 10_000)}, "labels must be"),
        ({"student": ("mlp-8", "vit")}, '"vit"'),
        ({"method": ("kd", "magic")}, '"magic"'),
        ({"method": ("kd", "multi-teacher")}, "Several teachers"),
        ({"learning_rate": (0.1, 100.0)}, "learning rate must be"),
        ({"temperature": tuple(map(float, range(1, 12))), "labels": tuple(range(10, 20))}, "110"),
    ],
)
def test_what_cannot_be_varied_is_refused_in_one_sentence(vary: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep(vary=vary)
    assert word in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_hundred_points_are_the_most() -> None:
    config = sweep(vary={"temperature": tuple(map(float, range(1, 11))), "labels": tuple(range(10, 20))})
    assert len(points(config)) == MAX_POINTS == 100


def test_a_sweep_is_about_one_of_its_points() -> None:
    assert sweep(temperature=2, vary={"temperature": (1.0, 2.0)}).temperature == 2.0
    assert sweep(vary={"temperature": (8.0, 2.0)}).temperature == 8.0  # the dataset's own, 4, is not asked for
    config = sweep(controls=["shuffled"], vary={"labels": (20, 30), "weight_decay": (0.0, 1.0)})
    assert (config.labels, config.recipe.weight_decay, config.controls) == (20, 0.0, ("shuffled",))
    config = sweep(method="dkd", vary={"target_weight": (2.0, 3.0)})
    assert dict(config.parameters) == {"target_weight": 2.0, "non_target_weight": 8.0}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"temperature": 3, "vary": {"temperature": (8.0, 2.0)}}, "temperature"),
        ({"batch_size": 7, "vary": {"labels": (20, 30), "batch_size": (5, 6)}}, "batch_size"),
        ({"method": "dkd", "parameters": {"target_weight": 5}, "vary": {"target_weight": (1, 2)}}, "target_weight"),
        ({"method": "rkd", "vary": {"method": ("kd", "dkd")}}, "method"),
        ({"teacher": "b+a@2", "vary": {"teacher": ("a+b", "a")}}, "teacher"),
    ],
)
def test_what_is_asked_for_is_not_replaced_by_what_varies(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} cannot be .* and vary over .*; choose one of its values, or vary"):
        sweep(**settings)
    assert sweep(teacher="b+a", vary={"teacher": ("digits", "a+b")}).teacher == "a+b"  # two names of one teacher


def test_a_temperature_that_is_asked_for_holds_for_every_method() -> None:
    """The default temperature of the methods is 2 for one, the dataset's for another, and 1 for the third."""
    names = ("standardised-kd", "dkd", "mutual")
    config = sweep("creatures", temperature=8.0, vary={"method": names})
    assert [(one.config.method, one.config.temperature) for one in points(config)] == [(name, 8.0) for name in names]
    assert [one.config.distill_weight for one in points(config)] == [0.9, 0.5, 0.5]  # nobody asked for one
    assert RunConfig.from_json(config.to_json()) == config
    config = sweep("creatures", distill_weight=0.3, vary={"temperature": (1.0, 3.0), "method": names})
    found = [(one.config.method, one.config.temperature, one.config.distill_weight) for one in points(config)]
    assert found == [(name, t, 0.3) for t in (1.0, 3.0) for name in names]


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "multi-teacher", "vary": {"teacher": ("a+b", "c+d")}},  # around a default that is one teacher
        {"method": "rkd", "teacher": None, "vary": {"teacher": ("a", "b")}},
    ],
)
def test_only_the_teachers_that_take_part_must_fit_the_method(settings: dict[str, Any]) -> None:
    config = sweep(**settings)
    assert [point.config.teacher for point in points(config)] == list(settings["vary"]["teacher"])
    base = {**config.to_json(), "teacher": "digits" if settings["method"] == "multi-teacher" else "x+y"}
    assert RunConfig.from_json(base) == config
    with pytest.raises(ConfigError, match="Several teachers are needed, joined by"):
        sweep(method="multi-teacher", vary={"teacher": ("a+b", "c")})
    with pytest.raises(ConfigError, match="has none of its own"):
        sweep(method="rkd", vary={"teacher": ("a", "b+c")})


@pytest.mark.parametrize(
    "settings",
    [
        {"vary": {"temperature": (8.0, 2.0)}},
        {"vary": {"method": ("dkd", "dist")}, "controls": ["noise"]},
        {"teacher": "b+a", "vary": {"teacher": ("digits", "b+a@1")}},
        {"method": "dkd", "vary": {"target_weight": (2, 3)}},
    ],
)
def test_a_legal_sweep_stays_as_it_is(settings: dict[str, Any]) -> None:
    config = sweep(**settings)
    assert config.validate() == config == RunConfig.from_json(config.to_json())
    assert [point.main for point in points(config)].count(True) == 1
    for point in points(config):
        assert point.config.vary == () and point.config.validate() == point.config


def test_controls_must_fit_the_point_that_has_them() -> None:
    with pytest.raises(ConfigError, match="mutual does not learn from these"):
        sweep(vary={"method": ("mutual", "dkd")}, controls=["shuffled"])
    config = sweep(vary={"method": ("kd", "mutual")}, controls=["shuffled"])
    assert [point.config.controls for point in points(config)] == [("shuffled",), ()]


# --- points ---


def test_points_come_in_the_order_of_the_values_and_one_is_the_runs_own() -> None:
    config = sweep(temperature=4, labels=30, vary={"labels": (20, 30), "temperature": (1.0, 4.0)})
    every = points(config)
    assert [dict(point.values) for point in every] == [
        {"labels": labels, "temperature": temperature} for labels in (20, 30) for temperature in (1.0, 4.0)
    ]
    assert [point.main for point in every] == [False, False, False, True]
    assert [point.arm("distilled") for point in every[2:]] == ["distilled (labels=30, temperature=1)", "distilled"]
    for point in every:
        assert (point.config.labels, point.config.temperature) == tuple(value for _, value in point.values)
    assert points(sweep()) == (points(sweep())[0],) and points(sweep())[0].main and points(sweep())[0].label == ""


def test_arms_of_values_that_look_alike_are_told_apart() -> None:
    every = points(sweep(vary={"learning_rate": (0.1, 0.10000001, 0.10000002)}))
    assert len({point.arm("distilled") for point in every}) == 3


def test_another_method_brings_its_own_settings_unless_they_are_varied() -> None:
    def settings(**more: Any) -> dict[str, tuple[Any, ...]]:
        names = ("kd", "standardised-kd", "dkd", "mutual")
        every = points(sweep("creatures", vary={"method": names, **more.pop("vary", {})}, **more))
        return {
            point.label: (point.config.temperature, point.config.distill_weight, dict(point.config.parameters))
            for point in every
        }

    weights = {"target_weight": 1.0, "non_target_weight": 8.0}
    assert settings() == {
        "method=kd": (4.0, 0.9, {}),
        "method=standardised-kd": (2.0, 0.9, {}),
        "method=dkd": (4.0, 0.5, weights),
        "method=mutual": (1.0, 0.5, {}),
    }
    given = settings(method="dkd", parameters={"target_weight": 3})
    assert given["method=dkd"] == (4.0, 0.5, {**weights, "target_weight": 3.0})
    assert given["method=kd"] == (4.0, 0.9, {})  # dkd's weight is not kd's, and its temperature is anybody's
    varied = settings(vary={"temperature": (1.0, 3.0)})
    assert {label: found[0] for label, found in varied.items()} == {
        f"method={name}, temperature={t:g}": t
        for name in ("kd", "standardised-kd", "dkd", "mutual")
        for t in (1.0, 3.0)
    }


def test_points_share_a_baseline_unless_it_would_be_another() -> None:
    config = sweep("creatures", vary={"method": ("kd", "rkd", "mutual"), "temperature": (1.0, 4.0)})
    (one,) = groups(points(config))
    assert len(one) == 6 and one[0].main
    for name, values in {
        "student": ("mlp-8", "mlp-9"),
        "labels": (20, 40),
        "epochs": (1, 2),
        "learning_rate": (0.1, 0.2),
        "label_smoothing": (0.0, 0.1),
        "batch_size": (5, 10),
    }.items():
        own, other = groups(points(sweep(vary={name: values, "temperature": (1.0, 4.0)}, **{name: values[1]})))
        assert own[0].main and len(own) == len(other) == 2
        assert {dict(point.values)[name] for point in own} == {values[1]}


def test_every_teacher_of_every_point_takes_part_once() -> None:
    assert teachers_of(sweep(vary={"teacher": ("a", "digits", "b+a")})) == ("digits", "a", "a+b")
    config = sweep(method="multi-teacher", teacher="b+a", vary={"method": ("kd", "multi-teacher")})
    assert teachers_of(config) == ("a+b", "a", "b")
