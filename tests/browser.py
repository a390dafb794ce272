"""Real pages in a real browser: Debian's Chromium, without a window, driven by selenium.

A test that takes the fixture ``browser`` gets a selenium ``WebDriver`` with a window of its own. Whatever the
page writes to the console as an error, an uncaught exception or a file that it does not get included, fails
the test when it ends. A test that means to cause one takes it away first, with :func:`console_errors`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

#: The last two are for containers, where Chromium is root and shared memory is small.
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage")
SIZE = (1280, 900)


def console_errors(browser: WebDriver) -> list[str]:
    """The errors that pages have written to the console since this was last asked."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def prefer(browser: WebDriver, scheme: str) -> None:
    """Have pages shown as by a reader whose system is ``"light"`` or ``"dark"``."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture(scope="session")
def chromium() -> Iterator[WebDriver]:
    """Chromium, started once."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the extra test")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs Debian's packages chromium and chromium-driver: see make browser")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: WebDriver) -> Iterator[WebDriver]:
    """Chromium in a window of its own for one test, which fails if the console has an error at its end."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("window")
    chromium.set_window_size(*SIZE)
    try:
        yield chromium
        assert console_errors(chromium) == []
    finally:
        console_errors(chromium)
        chromium.close()
        chromium.switch_to.window(first)
