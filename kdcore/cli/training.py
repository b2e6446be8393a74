"""The commands that train students: all but `tune` submit a run to the queue and follow it until it ends."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from kdcore import jobs
from kdcore.cli import text
from kdcore.cli.answer import Answer, progress
from kdcore.errors import ConfigError, KdError, TrainingDiverged
from kdcore.events import EpochEnded, RunFailed, RunFinished, RunStarted, TeacherEpochEnded
from kdcore.methods.method import SOFT_SETTINGS
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import flat_config
from kdcore.store import RunRow, Store

STOP_SECONDS = 20.0  # how long Ctrl-C waits for the run's worker to stop
SETTINGS = (
    "teacher", "student", "method", "temperature", "distill_weight", "labels", "epochs", "seeds", "device",
    "extra_pictures",
)  # fmt: skip
RECIPE = ("batch_size", "learning_rate", "weight_decay", "label_smoothing")
# Settings that a rerun on another dataset keeps; all others suit the dataset that they were chosen for.
KEPT_ACROSS_DATASETS = ("method", "parameters", "temperature", "distill_weight", "controls", "vary", "seeds", "device")


class RunNotFinished(KdError):
    """The run failed or was stopped, so it has no result."""


def run(options: Namespace) -> Answer:
    from kdcore.settings.config import make_run_config  # loads torch, which takes seconds

    config = make_run_config(options.dataset, **_given_settings(options))
    with Store() as store:
        return follow(store, jobs.submit(store, config, jobs.LOCAL_VISITOR))


def sweep(options: Namespace) -> Answer:
    """Continue a sweep of the same configuration that was started here and has no result yet; else submit a new one."""
    # These load torch, which takes seconds.
    from kdcore.settings.config import make_run_config
    from kdcore.settings.sweeps import parse_vary

    config = make_run_config(options.dataset, vary=parse_vary(options.vary), **_given_settings(options))
    with Store() as store:
        run_id = jobs.unfinished(store, config, jobs.LOCAL_VISITOR)
        if run_id is None:
            run_id = jobs.submit(store, config, jobs.LOCAL_VISITOR)
        elif store.run(run_id).done:
            jobs.resume(store, run_id)
        return follow(store, run_id)


def rerun(options: Namespace) -> Answer:
    from kdcore.settings.config import make_run_config  # loads torch, which takes seconds

    with Store() as store:
        row = store.run(options.id)
        given = _given_settings(options)
        if not options.dataset and not given:
            raise ConfigError(f"Say what to change, for example: kdcore runs rerun {row.id} --temperature 8.")
        before = flat_config(row.config)
        dataset_before = str(before.pop("dataset"))
        dataset = options.dataset or dataset_before
        if dataset != dataset_before:
            before = {name: before[name] for name in KEPT_ACROSS_DATASETS if name in before}
        config = make_run_config(dataset, **_changed_settings(before, given))
        return follow(store, jobs.submit(store, config, jobs.LOCAL_VISITOR, parent=row.id))


def _changed_settings(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings with the given ones changed.

    A setting that is given is no longer varied. Another method starts with its own temperature, distill weight and
    parameters, unless these are given too.

    Args:
        before: the flat settings of the run.
        given: the settings to change, by name, with `parameters` of the method as a mapping.
    """
    # These load torch, which takes seconds.
    from kdcore.methods.registry import find_method

    varied, parameters = before.get("vary", {}), given.get("parameters", {})
    vary = {name: values for name, values in varied.items() if name not in {**given, **parameters}}
    if "method" in vary:  # still several methods: each uses its own temperature and weight
        before = {name: value for name, value in before.items() if name not in SOFT_SETTINGS or name in vary}
    elif "method" in varied:  # one method remains: it takes over what was fixed for all of them
        fixed_for_all = [name for name in SOFT_SETTINGS if len(vary.get(name, ())) == 1]
        given = {**{name: vary.pop(name)[0] for name in fixed_for_all}, **given}
    method = given.get("method", before["method"])
    if method == before["method"]:
        parameters = {**before.get("parameters", {}), **parameters}
    else:
        methods = (find_method(before["method"]), find_method(method))
        for name in SOFT_SETTINGS:
            if any(getattr(one, name) is not None for one in methods):
                before.pop(name, None)
    return {**before, **given, "parameters": parameters, "vary": vary}


def resume(options: Namespace) -> Answer:
    with Store() as store:
        jobs.resume(store, options.id)
        return follow(store, options.id)


def tune(options: Namespace) -> Answer:
    """Try a grid of recipes for a dataset, in this process and not in the queue."""
    from kdcore.training import tuning  # loads torch, which takes seconds

    settings = {name: getattr(options, name) for name in ("student", "labels", "seeds", "device")}
    given = {name: value for name, value in settings.items() if value is not None}
    rows = []
    with progress() as line:
        for row in tuning.tune(options.dataset, **given):
            rows.append(asdict(row))
            line(f"{options.dataset}: {len(rows)} recipes tried")
    measured = [row for row in rows if row["validation_accuracy"] is not None]
    if not measured:
        raise TrainingDiverged("The baseline diverged with every recipe; choose another student or more labels.")
    best = max(measured, key=lambda row: float(row["validation_accuracy"]))
    return Answer({"dataset": options.dataset, "rows": rows, "best": best}, text.tuning(rows, best))


def follow(store: Store, run_id: str) -> Answer:
    """Show a run's progress until it ends, and return its result; Ctrl-C cancels the run.

    Raises:
        RunNotFinished: the run ended without a result.
    """
    started, epoch_shown, failure = time.monotonic(), False, ""
    arms: tuple[str, ...] = ()
    with progress() as line:

        def on_wait(row: RunRow) -> None:
            if row.status == "queued" and (place := jobs.position(store, run_id)):
                line(f"run {run_id} waits, place {place} in the queue")
            elif row.started is not None and not epoch_shown:
                line(f"run {run_id} starts ({time.monotonic() - started:.0f} s)")

        try:
            for event in jobs.follow(store, run_id, on_wait=on_wait):
                if isinstance(event, RunStarted):
                    arms = event.arms
                elif isinstance(event, EpochEnded):
                    epoch_shown = True
                    line(text.epoch(event, arms))
                elif isinstance(event, TeacherEpochEnded):
                    line(text.teacher_epoch(event))
                elif isinstance(event, RunFailed):
                    failure = event.error  # keep the last: a resumed run still has the events of its earlier failure
                elif isinstance(event, RunFinished):
                    return Answer(event.result, text.result(event.result))
        except KeyboardInterrupt:
            _stop(store, run_id)
            raise RunNotFinished(f"Run {run_id} was stopped.") from None
    raise RunNotFinished(failure or f"Run {run_id} ended without a message; kdcore runs show {run_id} shows its state.")


def _given_settings(options: Namespace) -> dict[str, object]:
    """Return the settings that were given on the command line, by name.

    Raises:
        ConfigError: a `--set` option is not of the form NAME=VALUE.
    """
    given = {name: value for name in SETTINGS + RECIPE if (value := getattr(options, name)) is not None}
    if options.controls is not None:
        names = [name.strip() for name in options.controls.split(",") if name.strip()]
        given["controls"] = tuple(CONTROLS) if names == ["all"] else tuple(names)
    if options.set:
        given["parameters"] = dict(_parameter(text) for text in options.set)
    return given


def _parameter(text: str) -> tuple[str, float | str]:
    """Return the name and value of a `--set` option.

    Raises:
        ConfigError: the option is not of the form NAME=VALUE.
    """
    from kdcore.methods.registry import parameters_by_name  # loads torch, which takes seconds

    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise ConfigError(f"A parameter is given as NAME=VALUE, not {text!r}.")
    known = parameters_by_name().get(name)
    try:
        return name, value if known is not None and known.is_text else float(value)
    except ValueError:  # no number; the configuration refuses it in a sentence
        return name, value


def _stop(store: Store, run_id: str) -> None:
    """Cancel a run and wait at most `STOP_SECONDS` for its worker to stop; a second Ctrl-C ends the wait."""
    with contextlib.suppress(KeyboardInterrupt):
        jobs.cancel(store, run_id)
        end = time.monotonic() + STOP_SECONDS
        while not store.run(run_id).done and time.monotonic() < end:
            jobs.advance(store)
            time.sleep(0.1)
