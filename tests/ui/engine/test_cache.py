"""What is cached of a teacher's answers belongs to that teacher, and not to whoever has its name later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
import torch
from safetensors.torch import save_file

from kdcore.networks.registry import build_model
from kdcore.teachers.load import load_teacher
from kdcore.teachers.sources.own import add_teacher, remove_teacher
from pages.ui.engine import cache
from pages.ui.pictures import cached, scenes

CLASSES = ["fern", "moss", "reed"]


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def add(folder: Path, **card: Any) -> None:
    path = folder / "plants.safetensors"
    save_file(build_model("convnet-4", (3, 32, 32), 3, seed=1).state_dict(), path)
    data = {"model": "convnet-4", "class_names": CLASSES, "image_shape": [3, 32, 32], **card}
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    add_teacher(path)
    cache._cards.clear()  # they are looked up again after ten seconds


def test_the_same_weights_with_another_card_answer_anew(tmp_path: Path) -> None:
    answers = []
    for card in ({}, {"mean": [0.5, 0.25, 0.75], "std": [0.25, 0.5, 0.125]}, {"class_names": CLASSES[::-1]}):
        add(tmp_path, **card)
        scene = cached.picture("plants", scenes.blank_png(), "")
        teacher = load_teacher("plants")
        white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
        wanted = teacher.logits(white).double().numpy()
        assert np.allclose(scene.logits, wanted, atol=1e-3)
        assert tuple(scene.class_names) == teacher.card.class_names == cache.teacher("plants").card.class_names
        assert cached.picture("plants", scenes.blank_png(), "") is scene
        answers.append(scene.logits)
        remove_teacher("plants")
    assert not np.allclose(answers[0], answers[1], atol=1e-3)
