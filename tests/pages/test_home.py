"""Home, run by Streamlit's own test harness: no browser, the real engine behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))


def home(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def test_home_shows_the_instrument_and_what_is_ready() -> None:
    app = home()
    assert not app.exception
    assert not app.error
    assert "did *not* choose" in app.title[0].value
    ready = app.caption[-1].value
    assert "creatures" in ready
    assert "digits" in ready
    assert "thread" in ready


@pytest.mark.parametrize(
    "query",
    [
        {"t": "abc"},
        {"t": "nan"},
        {"t": "-1"},
        {"t": "1e999"},
        {"lang": "../../etc"},
        {"present": "maybe"},
        {"run": "'; drop table runs"},
        {"teacher": "nobody", "source": "nothing"},
    ],
)
def test_a_bad_address_is_ignored(query: dict[str, str]) -> None:
    app = home(**query)
    assert not app.exception
    assert not app.error


def test_large_type_is_in_the_address_and_links_keep_it() -> None:
    app = home(present="true")
    assert not app.exception
    assert app.toggle(key="present").value is True
    app.toggle(key="present").set_value(False).run()
    assert not app.exception
