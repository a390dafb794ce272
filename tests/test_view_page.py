"""The page of ``rnnc view`` in a real Chromium: what one can do on it, with and without a mouse or eyes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import rnnc
import rnnc.passes
from rnnc import Chain, cells
from rnnc.frontend.assemble import trace
from rnnc.pipeline import Pipeline
from rnnc.view.assemble import page
from rnnc.view.files import steps_of_file
from rnnc.view.steps import steps_of
from tests.browser import prefer
from tests.test_view import HOSTILE, hostile_file

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

CHOSEN = "[...document.querySelectorAll('#after .node')].find(n => n.dataset.key === arguments[0])"


class Reader:
    """Someone at a page."""

    def __init__(self, browser: WebDriver, path: Path) -> None:
        self.browser = browser
        browser.get(path.as_uri())
        self.wait("document.body.hasAttribute('data-ready')")

    def ask(self, script: str, *arguments: Any) -> Any:
        """What a script on the page finds."""
        return self.browser.execute_script(f"return {script}", *arguments)

    def wait(self, script: str, seconds: float = 60) -> None:
        """Until a script finds something true."""
        end = time.monotonic() + seconds
        while not self.ask(script):
            assert time.monotonic() < end, f"in vain for {script}"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """The text of an element."""
        found = "document.querySelector(arguments[0])"
        return str(self.ask(f"{found}.innerText ?? {found}.textContent", selector))

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def click(self, selector: str) -> None:
        """Click an element."""
        self.browser.find_element("css selector", selector).click()

    def settled(self) -> None:
        """Until nothing is being laid out."""
        self.wait("!document.querySelector('[aria-busy]')")

    def marked(self, pane: str, mark: str) -> set[str]:
        """The values that a picture marks so."""
        script = "[...document.querySelectorAll(arguments[0])].map(n => n.dataset.key)"
        return set(self.ask(script, f"#{pane} .node.{mark}"))


def written(path: Path, title: str, data: dict[str, Any]) -> Path:
    """A page, written."""
    path.write_text(page(title, data), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def lstm_page(tmp_path_factory) -> Path:
    """The page of an LSTM and all its passes."""
    made = rnnc.compile(cells.LSTM(30, 15))
    path = tmp_path_factory.mktemp("view") / "lstm.html"
    return written(path, "lstm", steps_of(made.source, made.pipeline))


@pytest.fixture
def lstm(browser, lstm_page) -> Reader:
    """At that page."""
    return Reader(browser, lstm_page)


def to(reader: Reader, name: str) -> None:
    """Drag the slider to a pass."""
    drag = "(s => { s.value = arguments[0]; s.dispatchEvent(new Event('input')) })"
    reader.ask(f"{drag}(document.querySelector('#slider'))", NAMES.index(name))
    reader.settled()


NAMES = ["as written", *map(str, Pipeline.parse(rnnc.passes.SEQUENCE).passes)]


def test_delays_are_drawn_back_and_loops_framed(lstm):
    assert lstm.ask("document.querySelectorAll('#after .edge.back').length") == 2
    assert lstm.text("#after .frame text") == "loop of y, state"
    up = "(p => p.getPointAtLength(0).y > p.getPointAtLength(p.getTotalLength()).y)"
    assert lstm.ask(f"[...document.querySelectorAll('.edge.back')].every({up})")
    assert lstm.ask(f"![...document.querySelectorAll('.edge:not(.back)')].some({up})"), "in layers"


def test_the_slider_steps_through_the_passes(lstm):
    from selenium.webdriver.common.keys import Keys

    slider = lstm.browser.find_element("css selector", "#slider")
    assert slider.get_attribute("max") == str(len(NAMES) - 1)
    slider.send_keys(Keys.ARROW_RIGHT)
    lstm.settled()
    assert lstm.text("#step b") == NAMES[1]
    assert NAMES[1] in str(slider.get_attribute("aria-valuetext"))
    to(lstm, "fuse-gates")
    assert lstm.text("#step b") == "fuse-gates"
    assert lstm.marked("after", "replaced") == {"forget", "input", "output"}
    assert lstm.marked("after", "added")
    assert "forget" in lstm.text("#changes")
    lstm.press(".")
    lstm.settled()
    assert lstm.text("#step b") == "lift", "the next pass that changes something"


def test_before_and_after_stand_side_by_side(lstm):
    to(lstm, "fuse-gates")
    lstm.press("b")
    lstm.settled()
    assert lstm.ask("getComputedStyle(document.querySelector('#before')).display") != "none"
    assert len(lstm.marked("before", "erased")) == 16
    assert lstm.marked("before", "replaced") == {"forget", "input", "output"}
    lstm.press("b")
    lstm.settled()
    assert not lstm.browser.find_element("css selector", "#before").is_displayed()


def test_a_click_shows_type_source_and_remarks(lstm):
    lstm.ask(f"{CHOSEN}.querySelector('rect').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))", "y")
    shown = lstm.text("#value")
    assert "f32[B, 15]" in shown and "output y" in shown
    assert "rnnc/cells/lstm.py:25" in shown
    assert lstm.text("#value .row.here").split(maxsplit=1)[1] == "y      = output * tanh(state)"
    assert "can run as one ONNX LSTM" in shown
    lstm.click("#value .links .link")
    assert lstm.text("#value h2") == lstm.ask("document.querySelector('#after .selected').dataset.key")


def test_search_finds_and_goes_there(lstm):
    from selenium.webdriver.common.keys import Keys

    lstm.press("/", *"forg")
    assert lstm.ask("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert lstm.text("#found [aria-selected=true] b") == "forget"
    lstm.press(Keys.ENTER)
    assert lstm.text("#value h2") == "forget"
    assert lstm.ask("document.activeElement.dataset.key") == "forget", "from where arrows go on"
    lstm.press("/", "x", Keys.ESCAPE)
    assert lstm.ask("document.activeElement === document.body")
    lstm.press(Keys.ESCAPE)
    assert lstm.ask("document.querySelector('.selected')") is None


def test_keys_reach_everything(lstm):
    from selenium.webdriver.common.keys import Keys

    lstm.ask("document.querySelector('#after svg').focus()")
    lstm.press(Keys.TAB)
    first = lstm.ask("document.activeElement.dataset.key")
    lstm.press(Keys.TAB)
    assert lstm.ask("document.activeElement.dataset.key") != first
    lstm.ask(f"{CHOSEN}.focus()", "state")
    lstm.press(Keys.ENTER)
    assert lstm.text("#value h2") == "state"
    lstm.press(Keys.ARROW_DOWN)
    assert lstm.ask("document.activeElement.getAttribute('aria-label')").startswith("tanh %")
    lstm.press("?")
    assert lstm.browser.find_element("css selector", "#keys").is_displayed()
    lstm.press(Keys.ESCAPE)
    assert not lstm.browser.find_element("css selector", "#keys").is_displayed()


def test_a_list_says_what_the_picture_does(lstm):
    to(lstm, "fuse-gates")
    lstm.click("#list summary")
    lstm.wait("document.querySelectorAll('#list .link').length")
    values = lstm.ask("[...document.querySelectorAll('#list li')].map(l => l.innerText)")
    assert any(v.startswith("forget: f32[B, 15] = item(") and v.endswith("replaced") for v in values)
    drawn = lstm.ask("[...document.querySelectorAll('#after .node')].map(n => n.getAttribute('aria-label'))")
    assert any(label.startswith("forget item · f32[B, 15]; reads ") for label in drawn)
    controls = "button, input, section, svg[role], aside"
    labelled = "e.id && document.querySelector(`label[for=${e.id}]`)"
    unnamed = f"e => !(e.getAttribute('aria-label') || e.textContent || {labelled})"
    found = f"[...document.querySelectorAll('{controls}')].filter({unnamed}).map(e => e.outerHTML)"
    assert lstm.ask(found) == []


def test_light_and_dark(browser, tmp_path):
    path = written(tmp_path / "a.html", "a", steps_of(trace(cells.Recurrent(3, 4)), Pipeline(())))
    light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] > 127"
    for scheme in ("light", "dark"):
        prefer(browser, scheme)
        reader = Reader(browser, path)
        assert reader.ask(light) is (scheme == "light")
        reader.click("#theme")
        assert reader.ask(light) is (scheme == "dark")


def test_zoom_and_pan(lstm):
    at = "document.querySelector('#after svg > g').getAttribute('transform')"
    seen = [lstm.ask(at)]
    for key in ("+", "-", "ArrowLeft", "0"):
        lstm.ask("document.querySelector('#after svg').focus()")
        lstm.ask("document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
                 " {key: arguments[0], bubbles: true}))", key)  # fmt: skip
        lstm.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen.append(lstm.ask(at))
    assert len(set(seen[:4])) >= 3 and seen[1] != seen[0] != seen[3]


def test_a_file_shows_its_graphs_and_states(browser, tmp_path):
    rnnc.compile(cells.LSTM(3, 4), "step").save(tmp_path / "a.onnx")
    reader = Reader(browser, written(tmp_path / "a.html", "a.onnx", steps_of_file(tmp_path / "a.onnx")))
    assert reader.ask("document.querySelectorAll('.edge.back').length") == 2
    assert not browser.find_element("css selector", "#steps").is_displayed()


def test_hostile_names_are_text(browser, tmp_path):
    data = steps_of_file(hostile_file(tmp_path / "a.onnx"))
    reader = Reader(browser, written(tmp_path / "a.html", HOSTILE[0], data))
    assert browser.title == f"{HOSTILE[0]} · rnnc view"
    for name in HOSTILE:
        reader.ask(f"{CHOSEN}.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))", name)
        assert reader.text("#value h2") == name
    reader.click("#list summary")
    reader.press("/", *"to")
    assert reader.ask("document.querySelectorAll('img, aside script').length") == 0


def test_two_thousand_values_are_drawn_whole(browser, tmp_path):
    graph = trace(Chain(*(cells.LSTM(8, 8) for _ in range(75))))
    start = time.perf_counter()
    data = steps_of(graph, Pipeline(()))
    text = time.perf_counter()
    reader = Reader(browser, written(tmp_path / "a.html", "large", data))
    shown = reader.ask("performance.now()") / 1000
    boxes = reader.ask("document.querySelectorAll('#after .node').length")
    assert boxes > 2000
    frames = reader.browser.execute_async_script("""
        const done = arguments[0], times = [], svg = document.querySelector("#after svg");
        let last = performance.now();
        const next = () => {
          const now = performance.now();
          times.push(now - last);
          last = now;
          svg.dispatchEvent(new WheelEvent("wheel", {deltaY: times.length % 2 ? 40 : -40}));
          times.length < 30 ? requestAnimationFrame(next) : done(times.sort((a, b) => a - b)[15]);
        };
        requestAnimationFrame(next);""")
    print(
        f"\n{len(graph)} values, {boxes} boxes: {text - start:.2f} s for the data, {shown:.2f} s from opening"
        f" to drawn, {frames:.0f} ms a frame while it moves"
    )
