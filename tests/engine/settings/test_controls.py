"""Controls: their registry, the teachers that they need, and the runs that cannot have them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kdcore.datasets import dataset_info, load_dataset
from kdcore.errors import ConfigError, UnknownName
from kdcore.methods.registry import METHODS
from kdcore.settings import config as config_module
from kdcore.settings.config import make_run_config
from kdcore.settings.controls import CONTROLS, check_controls, control_teacher
from kdcore.settings.sweeps import teachers_of
from kdcore.training.arms import arm_names
from kdcore.training.transfer_sets import labelled_subset, permute_wrong_classes, shuffle_within_classes
from tests.engine.shared_settings import ALL

# --- the registry ---


def test_the_registry_holds_what_the_issue_asks_for() -> None:
    asked = {
        "shuffled",
        "permuted",
        "random-teacher",
        "undertrained-teacher",
        "smoothed-teacher",
        "unlabelled",
        "noise",
    }
    assert set(ALL) == asked | {"label-smoothing"}
    for name, control in CONTROLS.items():
        assert control.name == name and control.sentence.endswith(".") and control.theory.endswith(".")
    assert "posterior" in arm_names(
        make_run_config("creatures"), load_dataset("creatures")
    )  # the one more that is asked


def test_controls_are_kept_in_one_order_and_once() -> None:
    assert check_controls(("noise", "shuffled", "noise")) == ("shuffled", "noise")
    assert make_run_config("digits", controls=["noise", "shuffled"]).controls == ("shuffled", "noise")
    with pytest.raises(UnknownName, match="shuffled"):
        make_run_config("digits", controls=("silence",))
    with pytest.raises(ConfigError, match="Controls are names"):
        check_controls((3,))  # type: ignore[arg-type]


def test_a_control_needs_a_method_with_a_teacher() -> None:
    for name, method in METHODS.items():
        teacher = "digits+b" if name == "multi-teacher" else "digits"
        if method.uses == "teacher":
            make_run_config("digits", method=name, teacher=teacher, controls=ALL)
            continue
        with pytest.raises(ConfigError) as caught:
            make_run_config("digits", method=name, teacher=teacher, controls=("shuffled",))
        assert name in str(caught.value) and str(caught.value).count(".") == 1


def test_the_teachers_of_controls_are_called_after_the_runs_own() -> None:
    assert control_teacher("digits", "undertrained-teacher") == "digits-undertrained"
    assert control_teacher("digits", "smoothed-teacher") == "digits-smoothed"
    assert control_teacher("digits", "shuffled") == "digits"
    assert control_teacher("b+a@4", "smoothed-teacher") == "a-smoothed+b-smoothed@4"
    assert control_teacher("a+b@logits", "undertrained-teacher") == "a-undertrained+b-undertrained@logits"
    assert teachers_of(make_run_config("digits", controls=ALL)) == ("digits", "digits-undertrained", "digits-smoothed")


# --- what each arm is told ---


def test_there_must_be_other_pictures_for_the_control_without_labels() -> None:
    half = len(load_dataset("digits").train) // 2
    make_run_config("digits", labels=half, controls=("unlabelled",))
    with pytest.raises(ConfigError, match=f"at most {half}") as caught:
        make_run_config("digits", labels=half + 1, controls=("unlabelled",))
    assert str(caught.value).count(".") == 1


def test_shuffling_needs_another_picture_of_every_class() -> None:
    make_run_config("digits", labels=20, controls=("shuffled",))
    with pytest.raises(ConfigError, match="at least 20 labels") as caught:
        make_run_config("digits", labels=19, controls=("shuffled",))
    assert str(caught.value).count(".") == 1
    labels = load_dataset("digits").train.hard_labels
    for seed in range(5):  # then nobody keeps its own
        rows = labelled_subset(labels, 20, seed)
        logits = torch.randn(1, 20, 10, generator=torch.Generator().manual_seed(seed))
        assert not (shuffle_within_classes(logits, labels[rows], seed) == logits).all(2).any()


def test_permuting_needs_two_wrong_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.randn(1, 6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    assert torch.equal(permute_wrong_classes(logits, labels, 0), logits)  # it would be distilled once more
    for classes in (2, 3):
        info = replace(dataset_info("digits"), num_classes=classes)
        monkeypatch.setattr(config_module, "dataset_info", lambda name, info=info: info)
        if classes == 3:
            make_run_config("digits", controls=("permuted",))
            continue
        with pytest.raises(ConfigError, match="one wrong class") as caught:
            make_run_config("digits", controls=("permuted",))
        assert str(caught.value).count(".") == 1 and "leave it out" in str(caught.value)
