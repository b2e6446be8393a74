"""The panel with more teachers, run by Streamlit's own test harness: offers, downloads, errors, use."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from kdcore.machine.download import FetchProgress, RemoteFile
from kdcore.machine.torchvision_import import build_classifier
from kdcore.teachers.published import PUBLISHED, published_teacher, remote_file
from kdcore.teachers.sources import torchvision
from kdcore.teachers.sources.torchvision import cache_folder
from pages.ui.teachers.offers import Offer, offer_html
from tests.pages.conftest import html_of

APP = Path(__file__).parents[2] / "app.py"
SCRIPT = "from pages.ui.teachers import fetch_panel\nfetch_panel.offer_published()\n"
SMALL = "mobilenet_v3_large"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts with the bundled teachers alone, as the person at the machine, and with empty caches."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: True)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def offered() -> AppTest:
    return AppTest.from_string(SCRIPT, default_timeout=120).run()


def names_of(app: AppTest) -> list[str]:
    return re.findall(r'<div class="kd-offer"><b>(.*?)</b>', html_of(app))


def test_every_published_teacher_is_offered_with_its_size_and_what_its_training_did() -> None:
    app = offered()
    assert not app.exception
    assert names_of(app) == list(PUBLISHED)
    html = html_of(app)
    assert "102.5 MB · right on 76.1 % of ImageNet, as published" in html  # resnet50, from torchvision's table
    assert all(teacher.notes in html.replace("&#x27;", "'") for teacher in PUBLISHED.values())


def test_text_is_escaped() -> None:
    assert "<script>" not in offer_html(Offer("<script>", 1, 0.5, "<script>"))


def test_a_visitor_from_elsewhere_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: False)
    app = offered()
    assert not app.button
    assert not app.expander
    assert "kdcore teachers get NAME (resnet50, resnet18" in app.caption[0].value


def test_without_network_one_sentence_with_a_file_in_the_cache_a_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    torch.save(build_classifier(SMALL).state_dict(), file)
    checksum = hashlib.sha256(file.getvalue()).hexdigest()[:8]
    real = remote_file(published_teacher(SMALL))
    nowhere = RemoteFile(real.name, ("http://127.0.0.1:9/a",), checksum, real.size, "sha256")  # nobody listens there
    monkeypatch.setattr(torchvision, "remote_file", lambda teacher: nowhere)
    app = AppTest.from_file(str(APP), default_timeout=240).run()
    app.switch_page("pages/soft_labels.py").run()

    app.button(key=f"teacher_get_{SMALL}").click().run()
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith(f"{real.name} could not be fetched (127.0.0.1: not reachable)")
    app.segmented_control(key="source_pick").set_value("digit").run()
    assert not app.exception
    assert app.selectbox(key="teacher_pick").value == "digits"

    (cache_folder() / real.name).write_bytes(file.getvalue())
    app.button(key=f"teacher_get_{SMALL}").click().run()
    assert not app.exception
    assert not app.error
    assert SMALL in app.success[0].value
    assert SMALL not in names_of(app)
    app.selectbox(key="teacher_pick").set_value(SMALL).run()
    assert not app.exception
    assert not app.error
    assert app.get("bidi_component")
    assert not app.success


def test_a_download_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, str]] = []
    bar = st.delta_generator.DeltaGenerator.progress
    monkeypatch.setattr(
        st.delta_generator.DeltaGenerator,
        "progress",
        lambda self, value, text="": (drawn.append((value, text)), bar(self, value, text))[1],
    )
    monkeypatch.setattr("pages.ui.frame.download_bar.REDRAW_SECONDS", 0.0)

    def simulated(name: str) -> Iterator[FetchProgress]:
        assert name == "resnet18"
        for done in (0, 1, 4):
            yield FetchProgress("resnet18.pth", done * 10**6, 4 * 10**6)

    monkeypatch.setattr(torchvision, "fetch_published", simulated)
    app = offered()
    app.button(key="teacher_get_resnet18").click().run()
    assert not app.exception
    assert [value for value, _text in drawn] == [0.0, 0.25, 1.0]
    assert drawn[1][1] == "resnet18.pth: 1.0 MB of 4.0 MB"
    assert "convert" in drawn[-1][1]
