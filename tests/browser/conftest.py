"""A real browser: Debian's Chromium, driven by Playwright. Without one the tests are skipped, and say so."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from api_side import api, channel_keys

__all__ = ["api", "channel_keys"]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
_ALONE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests; each opens windows of its own."""
    if not CHROMIUM:
        pytest.skip("no browser here: `apt-get install chromium`, or name one in CHROMIUM")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=_ALONE)
        yield browser
        await browser.close()
