"""Pictures of the console for docs/console: `make pictures`. Look at each of them before you keep it."""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from people import ALONE, CHROMIUM
from playwright.async_api import Browser, Page, ViewportSize, async_playwright
from stories import Told, agreed_by_one, asked_for_a_second_person, business, trouble, two_days, unpaid
from teahouse import TeaHouse, a_tea_house

from paidup.people import sessions, store
from paidup.people.user import Role

DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
PAGES = (
    "cases", "approvals", "callbacks", "callbacks/quarantine", "deliveries", "reconcile", "reconcile/bills", "stock",
    "channels", "audit", "settings", "users", "account", "watched",
)  # fmt: skip
PEOPLE = {"alice": Role.ADMIN, "bob": Role.APPROVER, "carol": Role.FINANCE, "dora": Role.OPERATOR}


class Album:
    """Takes pictures of pages, each as somebody who is signed in."""

    def __init__(self, house: TeaHouse, chromium: Browser, folder: Path) -> None:
        self._house, self._chromium, self._folder = house, chromium, folder

    @asynccontextmanager
    async def window(
        self, who: str = "alice", language: str = "en", theme: str = "light", size: ViewportSize = DESK
    ) -> AsyncIterator[Page]:
        """A browser of this person; who "": somebody who has not signed in."""
        url = self._house.api.paidup.settings.public_url
        context = await self._chromium.new_context(
            base_url=f"{url}/console/", viewport=size, timezone_id="Asia/Shanghai",
            locale={"en": "en-GB", "zh": "zh-CN"}[language], reduced_motion="reduce",
            color_scheme="dark" if theme == "dark" else "light",
        )  # fmt: skip
        page = await context.new_page()
        if who:
            async with self._house.api.paidup.db.transaction() as tx:
                token = await sessions.begin(tx, who, "127.0.0.1", self._house.clock.now())
            await context.add_cookies([{"name": "paidup_session", "value": token, "url": f"{url}/console"}])
            await page.goto("")  # the page learns the zone
        yield page
        await context.close()

    async def take(self, name: str, path: str, *, whole: bool = True, **look: Any) -> None:
        """One page as it is now."""
        async with self.window(**look) as page:
            await page.goto(path)
            await self.keep(name, page, whole=whole)

    async def keep(self, name: str, page: Page, *, whole: bool = True) -> None:
        """What the window shows."""
        await page.wait_for_load_state("networkidle")
        await page.screenshot(path=self._folder / f"{name}.png", full_page=whole)
        print(name, flush=True)


async def people(house: TeaHouse) -> None:
    """Who works there."""
    async with house.api.paidup.db.transaction() as tx:
        for name, role in PEOPLE.items():
            await store.add(tx, name, role, house.clock.now())


async def main(folder: Path) -> None:
    """Play the stories, and take a picture at each."""
    with tempfile.TemporaryDirectory(prefix="paidup-pictures-") as made:
        place = Path(made)
        place.chmod(0o711)
        async with a_tea_house(place) as house, async_playwright() as driver:
            chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=ALONE)
            album = Album(house, chromium, folder)
            await people(house)
            hero = await two_days(house)
            await business(house, "20261128", 601, 8, 420)
            told, dear = await unpaid(house), await asked_for_a_second_person(house)
            await trouble(house)
            told.payments["break"] = await agreed_by_one(house)
            await lives(album, hero, told)
            await worklists(album, told, dear)
            await chromium.close()


async def lives(album: Album, hero: dict[str, Any], told: Told) -> None:
    """The life of a healed payment, and of those that were not paid."""
    path = f"orders/{hero['order_id']}"
    for language in ("en", "zh"):
        await album.take(f"life.{language}", path, language=language)
        await album.take(f"life-dark.{language}", path, language=language, theme="dark")
        await album.take(f"phone.{language}", path, language=language, size=PHONE)
        await album.take(f"unpaid.{language}", f"orders/{told.orders['nobody paid']}", language=language)
    for name, order_id in told.orders.items():
        if name != "nobody paid":  # that one is above
            await album.take(f"unpaid-{name.replace(' ', '-')}.en", f"orders/{order_id}")


async def worklists(album: Album, told: Told, dear: Told) -> None:
    """All other pages, in both languages."""
    for language in ("en", "zh"):
        for name in ("home", *PAGES):
            kept, path = name.rpartition("/")[2], "" if name == "home" else name
            await album.take(f"{kept}.{language}", path, whole=name != "callbacks", language=language)
        await album.take(f"day.{language}", "reconcile/wechat/main/2026-11-27", language=language)
        await album.take(f"month.{language}", "reconcile/months/2026-11", language=language)
    await album.take("search.en", "search?q=128.00%202026-11-28")
    await album.take("sign-in.en", "sign-in", who="")
    await album.take("approval.en", f"approvals/{dear.payments['approval']}", who="bob")
    await album.take("held.en", f"payments/{told.payments['held']}/release", who="carol")
    await album.take("break.en", f"reconcile/{told.payments['break']}", who="bob")
    async with album.window("carol") as page:
        await page.goto(f"payments/{told.payments['nobody paid']}/confirm")
        await page.fill("[name=txn]", "4200001127202611280703")
        await page.fill("[name=why]", "the customer sent a picture of her payment")
        await page.get_by_role("button", name="Ask the channel").click()
        await page.get_by_text("It takes two people").wait_for()
        await album.keep("confirm.en", page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asyncio.run(main(parser.parse_args().folder))
