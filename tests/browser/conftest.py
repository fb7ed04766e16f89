"""A real browser: Debian's Chromium, driven by Playwright. Without one the tests are skipped, and say so."""

from collections.abc import AsyncIterator

import pytest
from people import ALONE, CHROMIUM
from playwright.async_api import Browser, async_playwright

from api_side import api, channel_keys

__all__ = ["api", "channel_keys"]


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests; each opens windows of its own."""
    if not CHROMIUM:
        pytest.skip("no browser here: `apt-get install chromium`, or name one in CHROMIUM")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield browser
        await browser.close()
