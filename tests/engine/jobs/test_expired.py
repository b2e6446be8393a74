"""Temporary datasets: removed when their time is over, with their teacher, unless a run needs them."""

from __future__ import annotations

import json
from pathlib import Path

from kdcore import jobs
from kdcore.datasets import keep_dataset, list_datasets
from kdcore.datasets.given import TEMPORARY_SECONDS, add_given
from kdcore.jobs.housekeeping import Cleaned, clean
from kdcore.settings.config import make_run_config
from kdcore.store import Store
from tests.engine.datasets.test_given import two_classes


def names() -> set[str]:
    return {info.name for info in list_datasets() if info.source == "your own"}


def test_a_temporary_dataset_goes_when_its_time_is_over(store: Store) -> None:
    first, second = add_given(None, two_classes()), add_given(None, two_classes())
    keep_dataset(second.name)
    assert first.expires is not None
    models = store.home / "models"
    models.mkdir(parents=True, exist_ok=True)
    (models / f"{first.name}.json").write_text(json.dumps({"dataset": first.name}))
    (models / f"{first.name}.safetensors").write_bytes(b"x")
    assert clean(store, first.expires - 1) == Cleaned()
    assert clean(store, first.expires + 1) == Cleaned(datasets=1)
    assert names() == {second.name}
    assert not list(models.iterdir())
    assert not (store.home / "datasets" / "own" / f"{first.name}.safetensors").exists()
    assert clean(store, first.expires + 100 * TEMPORARY_SECONDS) == Cleaned()


def test_a_run_that_waits_is_not_disturbed(store: Store) -> None:
    info = add_given(None, two_classes())
    assert info.expires is not None
    run_id = jobs.submit(store, make_run_config(info.name, labels=4, epochs=1, seeds=1, device="cpu"), "a")
    assert clean(store, info.expires + 1).datasets == 0
    jobs.cancel(store, run_id)
    assert clean(store, info.expires + 1).datasets == 1


def test_damaged_sheets_are_left_alone(store: Store) -> None:
    folder: Path = store.home / "datasets" / "own"
    folder.mkdir(parents=True)
    for name, text in {"a": "[]", "b": "{", "c": '{"expires": "x"}', "d": "{}"}.items():
        (folder / f"{name}.json").write_text(text)
    assert clean(store, 1e12) == Cleaned()
