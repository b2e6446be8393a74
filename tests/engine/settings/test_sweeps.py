"""Sweeps: how `--vary` is read, which points a sweep has, and that each point gives the same as a plain run would."""

from __future__ import annotations

import shutil
import weakref
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import torch

from kdcore import jobs
from kdcore.errors import ConfigError
from kdcore.events import CheckpointSaved, EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherEpochEnded
from kdcore.jobs.lease import Lease
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.sweeps import MAX_POINTS, groups, parse_vary, points, teachers_of
from kdcore.store import Store
from kdcore.store.schema import runs
from kdcore.training import results, trainer
from kdcore.training.checkpoint import RunCheckpoint
from kdcore.training.trainer import train
from tests.engine.unmeasured import PRECISE, Trained, another_teacher, flat

SHORT = {"student": "mlp-8", "labels": 40, "batch_size": 10, "epochs": 2, "seeds": 2, "device": "cpu"}


def sweep(dataset: str = "digits", /, **settings: Any) -> RunConfig:
    short = {name: value for name, value in SHORT.items() if name not in settings.get("vary", {})}
    return make_run_config(dataset, **{**short, **settings})


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


# --- JSON ---


def test_a_configuration_with_everything_survives_json() -> None:
    config = sweep(
        method="dkd",
        parameters={"target_weight": 2.5},
        controls=["noise", "shuffled"],
        vary={"temperature": (1.0, 4.0), "student": ("mlp-8", "convnet-4"), "labels": (20, 40)},
    )
    data = config.to_json()
    assert data["parameters"] == {"target_weight": 2.5, "non_target_weight": 8.0}
    assert data["controls"] == ["shuffled", "noise"]
    assert data["vary"] == {"temperature": [1.0, 4.0], "student": ["mlp-8", "convnet-4"], "labels": [20, 40]}
    assert RunConfig.from_json(data) == config
    assert hash(RunConfig.from_json(data)) == hash(config)


def test_a_configuration_of_before_has_none_of_the_new_settings() -> None:
    """The configuration is written here as version 0.3.0 stored it."""
    recipe = {"batch_size": 20, "learning_rate": 0.003, "weight_decay": 0.1, "label_smoothing": 0.0}
    old = {
        "dataset": "creatures",
        "labels": 100,
        "teacher": "creatures",
        "student": "convnet-8",
        "method": "kd",
        "temperature": 4.0,
        "distill_weight": 0.9,
        "epochs": 30,
        "seeds": [0, 1, 2, 3, 4],
        "device": "auto",
        "recipe": recipe,
    }
    config = RunConfig.from_json(old)
    assert config == make_run_config("creatures")
    assert (config.parameters, config.controls, config.vary) == ((), (), ())
    assert {name: value for name, value in config.to_json().items() if name in old} == old


@pytest.mark.parametrize(
    "change",
    [
        {"vary": [1]},
        {"vary": {"temperature": 3}},
        {"vary": {"temperature": [[1.0], [2.0]]}},
        {"parameters": [1]},
        {"parameters": {"target_weight": 1.0}},
        {"controls": "noise"},
        {"controls": [["noise"]]},
        {"controls": 3},
    ],
)
def test_json_that_is_no_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RunConfig.from_json({**sweep().to_json(), **change})


# --- training ---


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes runs train in fp32 and skips the measuring of latency, which takes time."""
    monkeypatch.setattr(trainer, "pick_device", lambda *_: PRECISE)
    monkeypatch.setattr(results, "measure_latency", lambda timed, device: dict.fromkeys(timed, ()))


VARY = {"temperature": (1.0, 4.0), "labels": (30, 40)}


def test_every_point_is_the_run_that_it_would_be_alone(trained: Trained) -> None:
    """The curves and weights of every point equal those of a plain run with its configuration."""
    config = trained.run("digits", student="mlp-8", seeds=2, epochs=3, vary=VARY)
    together, losses = trained.students(), {}
    for event in trained.events:
        if isinstance(event, EpochEnded):
            losses |= event.curves
    for group in groups(points(config)):
        for point in group:
            trained.train(point.config)
            alone = trained.students()
            for arm, name in (("baseline", group[0].arm("baseline")), ("distilled", point.arm("distilled"))):
                expected = trained.curves()[arm]
                np.testing.assert_allclose(losses[name]["train_loss"], expected["train_loss"], rtol=2e-3)
                for seed in (0, 1):
                    assert torch.equal(together[name, seed][0].transfer_set.rows, alone[arm, seed][0].transfer_set.rows)
                    weights = flat(together[name, seed][1])
                    torch.testing.assert_close(weights, flat(alone[arm, seed][1]), rtol=0, atol=2e-3)


def test_the_row_of_the_runs_own_point_is_its_result(untimed: None, own_home: Path) -> None:
    """And the differences and claims of every row follow from the figures of its arms."""
    config = sweep(temperature=4, labels=40, vary=VARY)
    result = list(train(config, home=own_home))[-1].result  # type: ignore[attr-defined]
    assert result["config"] == config.to_json()
    table = result["sweep"]
    assert table["varied"] == ["temperature", "labels"]
    assert [row["values"] for row in table["rows"]] == [dict(point.values) for point in points(config)]
    (own,) = (row for row in table["rows"] if row["values"] == {"temperature": 4.0, "labels": 40})
    for arm in ("baseline", "distilled"):
        assert own["arms"][arm] == {name: result["arms"][arm][name] for name in own["arms"][arm]}
    assert own["paired_difference"] == result["paired_difference"]
    assert own["claim"] == result["verdict"]["claim"]
    for row in table["rows"]:
        each = [row["arms"][arm]["accuracy"]["per_seed"] for arm in ("distilled", "baseline")]
        assert row["paired_difference"]["per_seed"] == pytest.approx(np.subtract(*each))
    alike = [row["arms"]["baseline"] for row in table["rows"] if row["values"]["labels"] == 30]
    assert alike[0] == alike[1]  # the temperature is nothing to the baseline
    alone = list(train(sweep(temperature=4, labels=40), home=own_home))[-1].result  # type: ignore[attr-defined]
    assert alone["arms"].keys() == result["arms"].keys() and "sweep" not in alone
    for arm in ("baseline", "distilled"):
        for figure in ("accuracy", "nll"):
            found, expected = (one["arms"][arm][figure]["per_seed"] for one in (result, alone))
            np.testing.assert_allclose(found, expected, atol=3e-3)


def told(events: list[Event]) -> dict[int, Any]:
    return {event.epoch: event.curves for event in events if isinstance(event, EpochEnded)}


def test_a_sweep_that_was_stopped_goes_on_to_the_same_table(untimed: None, tmp_path: Path, own_home: Path) -> None:
    """It is stopped in its second group. The first group is not trained again, and the second one continues from its
    checkpoint."""
    config = sweep(epochs=3, vary={**VARY, "labels": (40, 20)})
    whole = list(train(config, run_dir=tmp_path / "whole", home=own_home))
    asked = Counter[str]()

    def stop_in_the_second() -> bool:  # 3 epochs of 4 batches, then 3 of 2
        asked["first"] += 1
        return asked["first"] > 12 + 2 + 1

    first = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=stop_in_the_second))
    assert isinstance(first[-1], RunFailed) and max(told(first)) == 4

    def count() -> bool:
        asked["rest"] += 1
        return False

    rest = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=count))
    assert isinstance(rest[0], RunStarted) and (rest[0].epochs_done, rest[0].epochs) == (4, 6)
    assert asked["rest"] == 1 + 4  # before it starts, and the two epochs of two batches that were left
    assert {**told(first), **told(rest)} == told(whole)
    assert [event.epoch for event in (*first, *rest) if isinstance(event, CheckpointSaved)] == [1, 2, 3, 4, 5, 6]
    results = [dict(events[-1].result) for events in (whole, rest)]  # type: ignore[attr-defined]
    assert results[0]["sweep"] == results[1]["sweep"] and results[0]["sweep"]["rows"]
    assert results[0]["paired_difference"] == results[1]["paired_difference"]


def test_stages_that_were_trained_are_not_trained_again_and_their_time_counts(
    untimed: None, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sweep(epochs=2, method="born-again", parameters={"generations": 2}, vary={"temperature": (1.0, 4.0)})
    whole = list(train(config, run_dir=tmp_path / "whole", home=own_home))
    save = RunCheckpoint.save
    asked = Counter[str]()

    def stop_in_the_fourth_stage() -> bool:  # two points of two generations of two epochs of four batches
        asked["first"] += 1
        return asked["first"] > 3 * 8 + 4 + 1

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "save", lambda self, *parts: save(self, *parts[:-1], parts[-1] + 1000))
        first = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=stop_in_the_fourth_stage))
    assert isinstance(first[-1], RunFailed) and not told(first)

    def count() -> bool:
        asked["rest"] += 1
        return False

    rest = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=count))
    assert asked["rest"] == 1 + 4 + 8  # what was left of the fourth stage, and the students
    names = [f"generation {one} (temperature={t})" for t in (4, 1) for one in (1, 2)]  # of the run's own point first
    assert isinstance(rest[0], RunStarted) and rest[0].stages == dict(zip(names, (2, 2, 2, 1), strict=True))
    assert stages_told(rest) == [*((name, 2) for name in names[:3]), (names[3], 1), (names[3], 2)]
    assert told(rest) == told(whole)
    results = [dict(events[-1].result) for events in (whole, rest)]  # type: ignore[attr-defined]
    assert results[0]["sweep"] == results[1]["sweep"]
    assert results[1]["seconds"] > 1000 > results[0]["seconds"]


def stages_told(events: Iterable[Event]) -> list[tuple[str, int]]:
    return [(event.teacher, event.epoch) for event in events if isinstance(event, TeacherEpochEnded)]


def test_the_store_hears_every_stage_of_every_point_and_again_after_its_checkpoint_is_gone(
    untimed: None, store: Store
) -> None:
    """A reported epoch also shows that the worker makes progress, so its failed attempts no longer count."""
    config = sweep(epochs=2, seeds=1, method="born-again", vary={"temperature": (1.0, 4.0), "labels": (20, 40)})
    run_id = jobs.submit(store, config, "someone")
    folder = jobs.runs_dir(run_id, store.home)
    own = [(4, 20), (1, 20), (1, 40), (4, 40)]  # group by group, the run's own first
    names = [f"generation 1 (temperature={t}, labels={n})" for t, n in own]
    first: list[Event] = []

    def work(events: Iterable[Event]) -> None:
        row = jobs.claim(store)
        assert row is not None
        lease = Lease(store, run_id, row.attempts)
        for event in events:
            first.append(event)
            if isinstance(event, RunFailed | RunFinished):
                return
            with store.write() as connection:
                connection.execute(sa.update(runs).where(runs.c.id == run_id).values(setbacks=2))
            lease.record(event)
            new = isinstance(event, EpochEnded | TeacherEpochEnded)
            assert store.run(run_id).setbacks == (0 if new else 2), event
            assert not new or store.events(run_id)[-1].event == event

    stop = (names[2], 1)  # half-way through the first stage of the second group
    work(train(config, run_dir=folder, home=store.home, should_stop=lambda: stop in stages_told(first)))
    heard = [one.event for one in store.events(run_id)]
    both = [(name, epoch) for name in names for epoch in (1, 2)]
    assert stages_told(heard) == both[:5] and isinstance(heard[-1], TeacherEpochEnded)
    shutil.rmtree(folder / "checkpoints")  # as housekeeping does after some days
    with store.write() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(status="queued"))
    work(train(config, run_dir=folder, home=store.home))
    heard = [one.event for one in store.events(run_id)]
    assert stages_told(heard) == both and sorted(told(heard)) == [1, 2, 3, 4]


def test_points_that_a_teacher_tells_the_same_share_its_logits(trained: Trained) -> None:
    trained.run("digits", student="mlp-8", seeds=2, epochs=1, vary={"temperature": (1.0, 2.0), "method": ("kd", "dkd")})
    found: dict[int, set[int]] = {0: set(), 1: set()}
    for (arm, seed), (student, _) in trained.students().items():
        if student.transfer_set.teacher_logits is not None:
            assert arm.startswith("distilled")
            found[seed].add(student.transfer_set.teacher_logits.data_ptr())
    assert [len(found[seed]) for seed in (0, 1)] == [1, 1] and found[0] != found[1]


def test_what_was_measured_of_other_points_is_let_go(
    untimed: None, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, build, held = trainer.logits_on_test, trainer.build_result, dict[str, weakref.ref[torch.Tensor]]()
    alive: list[str] = []

    def measured(*arguments: Any) -> dict[str, torch.Tensor]:
        found = measure(*arguments)
        held.update({arm: weakref.ref(logits) for arm, logits in found.items()})
        return found

    def built(*arguments: Any) -> dict[str, Any]:
        alive.extend(arm for arm, logits in held.items() if logits() is not None)
        return build(*arguments)

    monkeypatch.setattr(trainer, "logits_on_test", measured)
    monkeypatch.setattr(trainer, "build_result", built)
    (*_, last) = train(sweep(epochs=1, seeds=1, vary={"labels": (40, 20, 30)}), home=own_home)
    assert isinstance(last, RunFinished) and len(last.result["sweep"]["rows"]) == 3
    assert len(held) == 6 and {"baseline", "distilled"} <= set(alive)
    assert "distilled (labels=20)" not in alive  # of the last group, which has just been measured, nothing is said


def test_ensembles_of_different_size_teach_side_by_side(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    for name in ("yak", "zebra"):
        another_teacher(tmp_path / "models", name, of="digits")
    pairs = ("digits+zebra", "digits+yak+zebra")
    config = trained.run("digits", student="mlp-8", seeds=1, method="multi-teacher", vary={"teacher": pairs})
    together = trained.students()
    for point in points(config):
        trained.train(point.config)
        alone = trained.students()["distilled", 0]
        assert alone[0].transfer_set.members == (len(point.config.teacher.split("+")),)
        torch.testing.assert_close(flat(together[point.arm("distilled"), 0][1]), flat(alone[1]), rtol=0, atol=2e-3)


def test_hints_go_on_where_they_were_cut_off(untimed: None, tmp_path: Path, own_home: Path) -> None:
    """It is interrupted between imitation and soft labels. The adapter, and the layers that had no gradient until then,
    are restored too."""
    config = sweep(student="convnet-4", seeds=1, epochs=3, method="fitnets", parameters={"hint_share": 0.5})
    whole = list(train(config, run_dir=tmp_path / "whole", home=own_home))
    first: list[Event] = []
    for event in train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=lambda: bool(told(first))):
        first.append(event)
    assert isinstance(first[-1], RunFailed) and max(told(first)) == 1
    rest = list(train(config, run_dir=tmp_path / "cut", home=own_home))
    assert {**told(first), **told(rest)} == told(whole)
