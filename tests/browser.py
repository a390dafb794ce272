"""Real pages in a real browser: Debian's Chromium, without a window, driven by selenium.

A test that takes the fixture ``browser`` gets a selenium ``WebDriver`` of its own. Whatever the page writes
to the console as an error, an uncaught exception or a file that it does not get included, fails the test when
it ends. A test that means to cause one takes it away first, with :func:`console_errors`.
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
ARGUMENTS = ("--headless=new", "--window-size=1280,900", "--no-sandbox", "--disable-dev-shm-usage")


def console_errors(browser: WebDriver) -> list[str]:
    """The errors that pages have written to the console since this was last asked."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def prefer(browser: WebDriver, scheme: str) -> None:
    """Have pages shown as by a reader whose system is ``"light"`` or ``"dark"``."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def browser() -> Iterator[WebDriver]:
    """Chromium for one test, which fails if the console has an error at its end."""
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
        assert console_errors(driver) == []
    finally:
        driver.quit()
