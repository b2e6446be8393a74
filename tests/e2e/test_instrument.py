"""The hand on the instrument, in a real browser: answered there, within two frames, without the server."""

from __future__ import annotations

import math

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, idle

# Moves a slider as a hand does and counts animation frames until the probabilities on the page have changed.
FRAMES = """
(slider, value) => new Promise((resolve) => {
  const rows = () => [...slider.getRootNode().querySelectorAll('[data-testid=kd-row]')];
  const seen = () => rows().map((row) => row.dataset.p).join();
  const before = seen();
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  let frames = 0;
  const look = () => {
    frames += 1;
    (seen() !== before || frames > 60) ? resolve(frames) : requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
"""


@pytest.fixture
def home(page: Page, server: Server) -> Page:
    page.goto(server.url)
    expect(page.get_by_test_id("kd-row").first).to_be_visible()
    idle(page)
    return page


def probabilities(page: Page) -> dict[str, float]:
    rows = page.get_by_test_id("kd-row").evaluate_all("rows => rows.map(row => [row.dataset.class, row.dataset.p])")
    return {name: float(p) for name, p in rows}


def settled(page: Page) -> None:
    """Wait for two more animation frames."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize(("slider", "values"), [("kd-temperature", (0.6, -0.3, 1.0)), ("kd-morph", (20, 5, 33))])
def test_a_drag_repaints_within_two_frames_and_asks_no_server(
    home: Page, slider: str, values: tuple[float, ...]
) -> None:
    sent: list[object] = []
    home.on("request", lambda request: sent.append(request.url))
    # Streamlit talks to its server through one socket: count what goes out of it.
    home.evaluate("""() => {
        window.kdSent = 0;
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (...args) { window.kdSent += 1; return send.apply(this, args); };
    }""")
    for value in values:
        assert home.get_by_test_id(slider).evaluate(FRAMES, str(value)) <= 2
    assert home.evaluate("() => window.kdSent") == 0
    assert sent == []


def test_soft_labels_are_the_softmax_of_the_logits_at_every_temperature(home: Page) -> None:
    """Two temperatures determine each other: p at T = 2 must be p at T = 1 to the power 1/2, renormalised."""

    def at(temperature: float) -> dict[str, float]:
        home.get_by_test_id("kd-temperature").evaluate(FRAMES, str(math.log10(temperature)))
        settled(home)
        return probabilities(home)

    hot = at(2.0)
    cold = at(1.0)
    assert sum(cold.values()) == pytest.approx(1.0, abs=1e-6)
    power = {name: p**0.5 for name, p in cold.items()}
    for name, p in hot.items():
        assert p == pytest.approx(power[name] / sum(power.values()), abs=5e-3)


def test_the_hard_label_jumps_while_the_animal_morphs(home: Page) -> None:
    slider, label = home.get_by_test_id("kd-morph"), home.get_by_test_id("kd-hard-label")
    last = int(slider.get_attribute("max") or 0)
    seen = []
    for frame in range(0, last + 1):
        slider.evaluate(
            "(node, v) => { node.value = v; node.dispatchEvent(new Event('input', {bubbles: true})) }", frame
        )
        settled(home)
        name = label.inner_text()
        if not seen or seen[-1] != name:
            seen.append(name)
    assert [name for name in seen if name in ("wolf", "dog", "fox", "cat")] == ["wolf", "dog", "fox", "cat"]


def dark_knowledge_is_shown(page: Page, before: dict[str, float]) -> None:
    winner = max(before, key=lambda name: before[name])
    rest = {name: p for name, p in probabilities(page).items() if name != winner}
    total = 1 - before[winner]
    for name, p in rest.items():
        assert p == pytest.approx(before[name] / total, rel=1e-3, abs=1e-6)
    assert sum(rest.values()) == pytest.approx(1.0, abs=1e-6)


def test_lights_off_by_mouse(home: Page) -> None:
    before = probabilities(home)
    home.get_by_test_id("kd-lights").click()
    settled(home)
    expect(home.locator("html.kd-lights-off")).to_have_count(1)
    dark_knowledge_is_shown(home, before)
    home.get_by_test_id("kd-lights").click()
    settled(home)
    expect(home.locator("html.kd-lights-off")).to_have_count(0)
    assert probabilities(home) == pytest.approx(before)


def test_lights_off_by_keyboard(home: Page) -> None:
    before = probabilities(home)
    home.get_by_test_id("kd-lights").focus()
    home.keyboard.press("Enter")
    settled(home)
    dark_knowledge_is_shown(home, before)
    expect(home.get_by_test_id("kd-live")).to_contain_text("percent")
    home.keyboard.press("Escape")
    settled(home)
    assert probabilities(home) == pytest.approx(before)


def test_the_temperature_moves_by_keyboard_and_stays_after_the_server_heard_it(home: Page) -> None:
    slider, value = home.get_by_test_id("kd-temperature"), home.get_by_test_id("kd-temperature-value")
    slider.focus()
    start = value.inner_text()
    for _ in range(4):
        home.keyboard.press("ArrowRight")
    settled(home)
    moved = value.inner_text()
    assert moved != start
    home.wait_for_url("**t=**")
    assert value.inner_text() == moved


def test_the_page_leaves_the_lights_on_when_another_is_opened(home: Page) -> None:
    home.get_by_test_id("kd-lights").click()
    expect(home.locator("html.kd-lights-off")).to_have_count(1)
    home.get_by_role("link", name="Runs").first.click()
    expect(home.get_by_test_id("kd-instrument")).to_have_count(0)
    expect(home.locator("html.kd-lights-off")).to_have_count(0)
