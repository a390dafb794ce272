"""The fixture of ``tests/browser.py`` catches what it says it does."""

from __future__ import annotations

import pytest

from tests.browser import console_errors, prefer


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("console.error('told')", "told"),
        ("throw Error('thrown')", "thrown"),
        ("Promise.reject(Error('late'))", "late"),
        ("document.body.append(Object.assign(new Image(), {src: 'file:///none.png'}))", "none.png"),
    ],
)
def test_errors_of_a_page_are_found(browser, tmp_path, script: str, what: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>page</title><body><script>{script}</script>", encoding="utf-8")
    browser.get(page.as_uri())
    found = WebDriverWait(browser, 60, 0.05).until(console_errors)
    assert [what in error for error in found] == [True]
    assert console_errors(browser) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_told_the_colours(browser, scheme: str) -> None:
    prefer(browser, scheme)
    browser.get("data:text/html,<title>page</title>")
    assert browser.execute_script(f"return matchMedia('(prefers-color-scheme: {scheme})').matches")
