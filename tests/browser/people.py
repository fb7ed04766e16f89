"""People at their browsers. Whatever the page complains of (scripts, styles, policy) fails the test that opened it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page

from api_side import Api
from console_side import PASSWORD, a_user
from paidup.people.user import Role

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
ALONE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
AXE = (Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js").read_text(encoding="utf-8")
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 320, "height": 640}
"""A phone as narrow as any: what is read there need not be scrolled sideways (WCAG 2.2, 1.4.10)."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@asynccontextmanager
async def a_window(
    api: Api, chromium: Browser, *, language: str = "en-GB", theme: str = "light", size: Any = None
) -> AsyncIterator[Page]:
    """A fresh window in Shanghai; closing it asserts that no page complained."""
    context = await chromium.new_context(
        base_url=f"{api.url}/console/", viewport=size or DESK, locale=language, timezone_id="Asia/Shanghai",
        color_scheme="dark" if theme == "dark" else "light",
    )  # fmt: skip
    page = await context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"a script spoke: {dialog.message}"))
    yield page
    await context.close()
    assert [] == complaints


@asynccontextmanager
async def at_work(
    api: Api, chromium: Browser, name: str = "alice", role: Role = Role.ADMIN, **look: Any
) -> AsyncIterator[Page]:
    """Somebody who signs in by the page."""
    await a_user(api, name, role)
    async with a_window(api, chromium, **look) as page:
        await page.goto("sign-in")
        await page.fill("[name=name]", name)
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_url("**/console/")
        yield page


async def barriers(page: Page) -> list[str]:
    """What keeps people with disabilities out, as axe finds it: the rule, and the first element."""
    await page.evaluate(AXE)
    found = await page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]]


async def is_wider_than_the_screen(page: Page) -> bool:
    """Whether one must scroll sideways."""
    wide: bool = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide
