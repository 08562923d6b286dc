"""A page of a real browser in which capture_worker.js is a script of its own: its classes are there to be tried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from recorders.config import WebConfig
from recorders.web import link
from recorders.web.browser import find_chromium


@pytest.fixture(scope="module")
def worker_page() -> Iterator[Page]:
    """The page, loaded."""
    with sync_playwright() as playwright:
        path = find_chromium(WebConfig(), playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=False)
        page = browser.new_page()
        body = f"<script>{link._WORKER.read_text()}</script>"
        page.route("http://recorder.test/", lambda route: route.fulfill(content_type="text/html", body=body))
        page.goto("http://recorder.test/")
        yield page
        browser.close()
