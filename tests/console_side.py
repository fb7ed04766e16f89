"""A running Paidup with its console, and people who use it over HTTP as a browser would: where its tests start."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp

from api_side import Api
from paidup.people import proof, sessions, store
from paidup.people.user import Role

PASSWORD = "correct horse battery"
HASHED = proof.hash_password(PASSWORD)
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
KEY = re.compile(r'name="key" value="([^"]+)"')


@dataclass
class Page:
    """What came back."""

    status: int
    text: str
    location: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Browser:
    """One person's browser: it keeps cookies, and copies the hidden fields of a form."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str, **headers: str) -> Page:
        """A page; redirects are followed."""
        async with self.session.get(self.url + path, headers=headers) as answer:
            return Page(answer.status, await answer.text(), answer.url.path, dict(answer.headers))

    async def post(self, path: str, fields: dict[str, str], *, csrf: str | None = None, **headers: str) -> Page:
        """Send a form as the page at the same path would."""
        if csrf is None:
            csrf = (CSRF.search((await self.get("/")).text) or [""] * 2)[1]
        data = fields | {"csrf": csrf}
        async with self.session.post(self.url + path, data=data, headers=headers) as answer:
            return Page(answer.status, await answer.text(), answer.url.path, dict(answer.headers))

    async def sign_in(self, name: str, password: str = PASSWORD, code: str = "") -> Page:
        """By name and password."""
        return await self.post("/sign-in", {"name": name, "password": password, "code": code}, csrf="")


@asynccontextmanager
async def a_browser(api: Api) -> AsyncIterator[Browser]:
    """A fresh one: nobody is signed in."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address instead of a name
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Browser(session, api.url + "/console")


async def a_user(api: Api, name: str, role: Role = Role.ADMIN) -> None:
    """Somebody who may sign in with PASSWORD."""
    async with api.paidup.db.transaction() as tx:
        await store.add(tx, name, role, api.paidup.clock.now())
        await store.set_password(tx, name, HASHED)


@asynccontextmanager
async def signed_in(api: Api, name: str = "alice", role: Role = Role.ADMIN) -> AsyncIterator[Browser]:
    """Somebody who has just signed in."""
    await a_user(api, name, role)
    async with a_browser(api) as browser:
        assert 200 == (await browser.sign_in(name)).status
        yield browser


async def a_link(api: Api, name: str, *, minutes_ago: float = 0) -> str:
    """A sign-in link's token."""
    async with api.paidup.db.transaction() as tx:
        return await sessions.make_link(tx, name, api.paidup.clock.now() - timedelta(minutes=minutes_ago))
