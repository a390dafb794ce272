"""The page of ``models/browser`` in Chromium: it writes what Python writes, and anyone can use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest

import rnnc
from models.writing import draw, mulberry32, write
from rnnc import net, stream, tanh, zeros
from tests.browser import console_errors, prefer
from tools import page

AXE = page.SOURCE / "node_modules" / "axe-core" / "axe.min.js"

needs_packages = pytest.mark.skipif(
    not (page.RUNTIME.is_dir() and AXE.is_file()),
    reason="needs npm ci --prefix models/browser: see make browser",
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, built."""
    found = tmp_path_factory.mktemp("page")
    page.build(found)
    return found


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The page, served on the loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def wait(browser, status: str) -> str:
    """The status line once it begins so."""
    from selenium.webdriver.support.ui import WebDriverWait

    found = browser.find_element("id", "status")
    WebDriverWait(browser, 60, 0.05).until(lambda _: found.text.startswith(status), f"it says {found.text}")
    return str(found.text)


def fill(browser, **values: object) -> None:
    """Set fields of the form, as a script that then says so."""
    for name, value in values.items():
        browser.execute_script(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input'))",
            name, str(value),
        )  # fmt: skip


def shown(browser) -> str:
    """The text that the page has written, its prompt included."""
    return str(browser.execute_script("return document.getElementById('text').textContent"))


@needs_packages
@pytest.mark.parametrize(
    ("prompt", "seed", "temperature"),
    [("The ", 0, 0.6), ("    def __init__(", 12345, 1.0), ("Ünïcode ", 2**32 - 1, 0.0)],
)
def test_the_text_is_the_one_that_python_writes(
    browser, folder: Path, address: str, prompt: str, seed: int, temperature: float
) -> None:
    browser.get(address)
    wait(browser, "Ready")
    fill(browser, prompt=prompt, count=300, seed=seed, temperature=temperature)
    browser.find_element("id", "write").click()
    assert wait(browser, "Wrote").startswith("Wrote 300 bytes in ")
    meant = bytes(write(rnnc.Stream(folder / "char.onnx"), prompt, 300, temperature, seed))
    assert shown(browser) == prompt + meant.decode(errors="replace")
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert loaded
    assert all(url.startswith((address, "data:")) for url in loaded)


@needs_packages
def test_it_is_used_from_the_keyboard(browser, address: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(address)
    wait(browser, "Ready")
    tab = lambda: browser.switch_to.active_element.send_keys(Keys.TAB)  # noqa: E731
    order = []
    browser.find_element("id", "prompt").send_keys("")
    for _ in range(6):
        order.append(browser.switch_to.active_element.get_attribute("id") or "states")
        tab()
    assert order == ["prompt", "count", "seed", "temperature", "write", "text"]
    browser.execute_script("document.getElementById('count').max = 1e9")  # more than is written before a key
    fill(browser, count=10**8)
    browser.find_element("id", "prompt").send_keys(Keys.ENTER)
    wait(browser, "Writing 100000000 bytes")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(browser, "Stopped after ")
    assert shown(browser).startswith("The ")
    assert len(shown(browser)) > len("The ")
    fill(browser, count=20)
    browser.find_element("id", "prompt").send_keys(Keys.ENTER)
    wait(browser, "Wrote 20 bytes")


@needs_packages
def test_it_is_accessible(browser, address: str) -> None:
    browser.get(address)
    wait(browser, "Ready")
    fill(browser, count=50)
    browser.find_element("id", "write").click()
    wait(browser, "Wrote")
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    for scheme, width in product(("light", "dark"), (1280, 400)):
        prefer(browser, scheme)
        browser.set_window_size(width, 900)
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
        assert len(found["passes"]) > 20
        scrolls = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not browser.execute_script(scrolls)


@needs_packages
def test_the_states_are_those_of_the_manifest(browser, folder: Path, address: str) -> None:
    browser.get(address)
    wait(browser, "Ready")
    rows = browser.find_elements("css selector", "#states tr")
    states = rnnc.Stream(folder / "char.onnx").manifest["states"]
    assert [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in rows] == [
        [s["name"], "", f"{s['output']} → {s['input']}", "float32 [B, 320]", "an array"] for s in states
    ]


@net
def Deep(x=stream(2), *, h=zeros(2), n=zeros(2, dtype="int64")):
    """States of depth 2, of whole numbers, and with initial values that are arrays."""
    h = tanh(h[-2] + x)
    n = n[-1] + 3
    return h, n


@needs_packages
def test_any_step_file_runs(browser, folder: Path, address: str) -> None:
    model = Deep(h=np.array([0.5, -0.25], np.float32), n=np.array([2**40, -1]))
    rnnc.compile(model, "step").save(folder / "deep.onnx")
    xs = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    browser.get(address)
    wait(browser, "Ready")
    found = browser.execute_async_script(
        """
        const [xs, done] = arguments;
        const { Stream } = await import("./stream.js");
        const stream = await Stream.open("deep.onnx");
        const ys = [];
        for (const x of xs) {
          const { h, n } = await stream.push({ x });
          ys.push([...h, ...Array.from(n, Number)]);
        }
        done(ys);
        """,
        xs.tolist(),
    )
    ours = rnnc.Stream(folder / "deep.onnx")
    meant = np.array([np.concatenate(ours.push(x[None]), axis=-1)[0] for x in xs])
    np.testing.assert_allclose(np.array(found), meant, rtol=1e-6, atol=1e-6)


@needs_packages
def test_what_cannot_run_is_said(browser, folder: Path, address: str) -> None:
    browser.get(address)
    wait(browser, "Ready")
    rnnc.compile(Deep, "chunk").save(folder / "chunk.onnx")
    (folder / "text.onnx").write_text("no model", encoding="utf-8")
    for name, what in {
        "none.onnx": "none.onnx cannot be fetched: 404",
        "chunk.onnx": "the file is of chunk form, not of step form",
        "text.onnx": "",
    }.items():
        found = browser.execute_async_script(
            "const [name, done] = arguments;"
            "const { Stream } = await import('./stream.js');"
            "Stream.open(name).then(() => done('ran'), (error) => done(error.message))",
            name,
        )
        assert found.startswith(what)
        assert found != "ran"
    console_errors(browser)  # one that the file is not there


@needs_packages
def test_a_page_opened_as_a_file_says_what_to_do(browser, folder: Path) -> None:
    browser.get((folder / "index.html").as_uri())
    assert "Serve this folder: python3 -m http.server" in wait(
        browser, "A browser runs no module from a file"
    )


def test_without_the_runtime_it_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "RUNTIME", tmp_path / "none")
    assert page.main() == 1
    assert capsys.readouterr().err == (
        "onnxruntime-web is not installed: run npm ci --prefix models/browser\n"
    )


def test_random_numbers_are_those_of_mulberry32() -> None:
    # what the JavaScript of its author gives for these seeds
    assert [round(x * 2**32) for x in islice(mulberry32(0), 3)] == [1144304738, 1416247, 958946056]
    assert all(0 <= x < 1 for seed in (1, 2**32 - 1) for x in islice(mulberry32(seed), 1000))


def test_ties_are_for_the_first() -> None:
    assert draw([0.0, 2.0, 2.0], 0.0, 0.9) == 1
    assert [draw([0.0, 0.0], 1.0, chance) for chance in (0.0, 0.49, 0.5, 0.99)] == [0, 0, 1, 1]
