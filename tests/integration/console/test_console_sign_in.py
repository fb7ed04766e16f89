"""Who gets into the console: passwords, codes, links, sessions; and what keeps strangers and other sites out."""

import asyncio
import re
from datetime import timedelta

import pyotp
import pytest

from api_side import Api
from console_side import PASSWORD, a_browser, a_link, a_user, signed_in
from paidup.clock import SystemClock
from paidup.errors import Conflict, NotAllowed, NotFound, TooSoon
from paidup.people import admin, failures, sessions, sign_in, store
from paidup.people.audit import Actor
from paidup.people.user import RIGHTS, Right, Role

SECRET = re.compile(r'<code class="secret">([A-Z2-7]{32})</code>')


async def test_a_stranger_sees_the_sign_in_page_and_nothing_else(api: Api) -> None:
    """Every page of the console leads there, and back after signing in."""
    await a_user(api, "alice")
    async with a_browser(api) as browser:
        page = await browser.get("/search?q=x")
        assert ("/console/sign-in", False) == (page.location, 'class="side"' in page.text)
        signed = await browser.post("/sign-in", {"name": "alice", "password": PASSWORD, "next": "/account"}, csrf="")
        assert "/console/account" == signed.location


@pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"])
async def test_signing_in_leads_nowhere_else(api: Api, onward: str) -> None:
    """A link to our sign-in page cannot send people to another site."""
    await a_user(api, "alice")
    async with a_browser(api) as browser:
        page = await browser.post("/sign-in", {"name": "alice", "password": PASSWORD, "next": onward}, csrf="")
        assert "/console/" == page.location


async def test_a_wrong_password_and_an_unknown_name_look_the_same(api: Api) -> None:
    """Nobody learns from the answer who there is."""
    await a_user(api, "alice")
    async with a_browser(api) as browser:
        wrong = await browser.sign_in("alice", "wrong horse battery")
        unknown = await browser.sign_in("mallory", "wrong horse battery")
    assert (403, wrong.text.replace("alice", "NAME")) == (unknown.status, unknown.text.replace("mallory", "NAME"))


async def test_whoever_guesses_must_wait(api: Api) -> None:
    """After five failures even the right password is not tried, and the page says what to do."""
    await a_user(api, "alice")
    async with a_browser(api) as browser:
        for _ in range(failures.PER_NAME_AND_SOURCE):
            assert 403 == (await browser.sign_in("alice", "wrong horse battery")).status
        refused = await browser.sign_in("alice")
    assert (429, True) == (refused.status, "wait five minutes" in refused.text)


async def test_guesses_at_the_same_moment_are_counted(api: Api) -> None:
    """Of thirty sent at once no more are tried than one after the other."""
    await a_user(api, "alice")
    now = api.paidup.clock.now()

    async def guess(n: int) -> type[Exception]:
        with pytest.raises((NotAllowed, TooSoon)) as refused:
            await sign_in.by_password(api.paidup.db, "alice", f"guess {n}", "", source="192.0.2.7", now=now, wall=now)
        return refused.type

    got = await asyncio.gather(*(guess(n) for n in range(30)))
    assert (failures.PER_NAME_AND_SOURCE, 30) == (got.count(NotAllowed), len(got))


async def test_who_signs_in_often_is_no_guesser(api: Api) -> None:
    """The right password leaves no failure behind: not with the name, and not with the address."""
    await a_user(api, "alice")
    now = api.paidup.clock.now()
    for n in range(2):
        await sign_in.by_password(
            api.paidup.db, "alice", PASSWORD, "", source="192.0.2.7", now=now + timedelta(seconds=n), wall=now
        )
    async with api.paidup.db.session() as tx:
        assert 0 == await tx.fetchval("SELECT count(*) FROM sign_in_failures")


async def test_a_link_opens_once(api: Api) -> None:
    """It signs in by a button, so that a scanner that follows links does not use it up; then it is gone."""
    await a_user(api, "alice")
    token = await a_link(api, "alice")
    async with a_browser(api) as browser, a_browser(api) as late:
        assert 200 == (await browser.get(f"/link?token={token}")).status
        first = await browser.post("/link", {"token": token}, csrf="")
        second = await late.post("/link", {"token": token}, csrf="")
    assert (("/console/", 200), 403) == ((first.location, first.status), second.status)


async def test_a_link_asks_for_the_second_factor(api: Api) -> None:
    """A wrong code leaves the link as it is; who guesses must wait, and gets in by the password all the same."""
    await a_user(api, "alice")
    secret = pyotp.random_base32()
    async with api.paidup.db.transaction() as tx:
        await store.set_totp(tx, "alice", secret)
    token, code = await a_link(api, "alice"), pyotp.TOTP(secret).at(SystemClock().now())
    async with a_browser(api) as browser:
        assert 'name="code"' in (await browser.get(f"/link?token={token}")).text
        wrong = await browser.post("/link", {"token": token}, csrf="")
        assert (403, True) == (wrong.status, 'name="code"' in wrong.text)
        right = await browser.post("/link", {"token": token, "code": code}, csrf="")
        assert ("/console/", 200) == (right.location, right.status)
    other = await a_link(api, "alice")
    async with a_browser(api) as browser:
        got = [(await browser.post("/link", {"token": other, "code": "1"}, csrf="")).status for _ in range(6)]
        assert [403] * 5 + [429] == got
        assert 403 == (await browser.sign_in("alice", code=code)).status, "that code was used; but it was looked at"


async def test_an_old_link_is_worth_nothing(api: Api) -> None:
    """It lives half an hour."""
    await a_user(api, "alice")
    token = await a_link(api, "alice", minutes_ago=31)
    async with a_browser(api) as browser:
        assert 403 == (await browser.post("/link", {"token": token}, csrf="")).status


async def test_a_second_factor_is_asked_for_and_its_code_works_once(api: Api) -> None:
    """Password alone does not do any more; a code that somebody read over a shoulder is spent."""
    await a_user(api, "alice")
    secret = pyotp.random_base32()
    async with api.paidup.db.transaction() as tx:
        await store.set_totp(tx, "alice", secret)
    code = pyotp.TOTP(secret).at(SystemClock().now())
    async with a_browser(api) as browser:
        assert 403 == (await browser.sign_in("alice")).status
        assert 200 == (await browser.sign_in("alice", code=code)).status
    async with a_browser(api) as other:
        assert 403 == (await other.sign_in("alice", code=code)).status


async def test_a_second_factor_is_the_secret_that_the_page_showed(api: Api) -> None:
    """It stays the same while its owner looks for the phone; one that the browser sends counts for nothing."""
    async with signed_in(api) as browser:
        assert 422 == (await browser.post("/account/totp", {"secret": "!!!", "code": "123456"})).status
        shown = [SECRET.findall((await browser.get("/account")).text) for _ in range(2)]
        assert (1, shown[0]) == (len(shown[0]), shown[1])
        own, now = pyotp.random_base32(), SystemClock().now()
        refused = await browser.post("/account/totp", {"secret": own, "code": pyotp.TOTP(own).at(now)})
        done = await browser.post("/account/totp", {"code": pyotp.TOTP(shown[0][0]).at(now)})
        assert (422, "/console/account") == (refused.status, done.location)
    async with api.paidup.db.session() as tx:
        assert shown[0][0] == (await store.secrets_of(tx, "alice")).totp_secret


async def test_a_code_may_be_in_full_width_digits(api: Api) -> None:
    """As an input method of Chinese writes it; whatever else somebody writes is a wrong code, and counts as one."""
    await a_user(api, "alice")
    secret = pyotp.random_base32()
    async with api.paidup.db.transaction() as tx:
        await store.set_totp(tx, "alice", secret)
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    async with a_browser(api) as browser:
        assert 403 == (await browser.sign_in("alice", code="²²²²²²")).status
        assert 403 == (await browser.sign_in("alice", code="一二三四五六")).status
        async with api.paidup.db.session() as tx:
            assert 2 * 3 == await tx.fetchval("SELECT count(*) FROM sign_in_failures")
        code = pyotp.TOTP(secret).at(SystemClock().now()).translate(wide)
        assert 200 == (await browser.sign_in("alice", code=code)).status


async def test_a_disabled_user_is_out_at_once(api: Api) -> None:
    """The very next request of a running session leads to the sign-in page."""
    async with signed_in(api) as browser:
        assert "/console/account" == (await browser.get("/account")).location
        async with api.paidup.db.transaction() as tx:
            await store.disable(tx, "alice", api.paidup.clock.now())
        assert "/console/sign-in" == (await browser.get("/account")).location


async def test_nobody_who_is_disabled_or_unknown_comes_in_by_a_link(api: Api) -> None:
    """One made before does not open, not even once they are back; none is made meanwhile, nor for a made-up name."""
    await a_user(api, "alice")
    now, root, link = api.paidup.clock.now(), Actor("root", "cli"), await a_link(api, "alice")
    async with a_browser(api) as browser:
        async with api.paidup.db.transaction() as tx:
            await admin.disable(tx, root, "alice", now)
        assert 403 == (await browser.post("/link", {"token": link}, csrf="")).status
        for name, says in (("alice", "is disabled and cannot sign in"), ("mallory", "there is no user mallory")):
            with pytest.raises((Conflict, NotFound), match=says):
                async with api.paidup.db.transaction() as tx:
                    await admin.make_link(tx, root, name, now)
        async with api.paidup.db.transaction() as tx:
            await admin.reset(tx, root, "alice", now)
        assert 403 == (await browser.post("/link", {"token": link}, csrf="")).status


@pytest.mark.parametrize("age", [sessions.LASTS, sessions.IDLE], ids=["expired", "idle"])
async def test_a_session_ends(api: Api, age: timedelta) -> None:
    """Twelve hours after signing in, and after an hour without a look."""
    await a_user(api, "alice")
    now = api.paidup.clock.now()
    async with api.paidup.db.transaction() as tx:
        token = await sessions.begin(tx, "alice", "here", now - age)
        assert await sessions.find(tx, token, now - age + timedelta(minutes=1)) is not None
        assert await sessions.find(tx, token, now + timedelta(minutes=2)) is None


async def test_the_database_does_not_know_the_tokens(api: Api) -> None:
    """Who reads the tables cannot sign in with what stands there."""
    await a_user(api, "alice")
    async with api.paidup.db.transaction() as tx:
        token = await sessions.begin(tx, "alice", "here", api.paidup.clock.now())
        kept = await tx.fetchval("SELECT encode(token_hash, 'escape') || name FROM sessions")
    assert token not in kept


async def test_the_cookie_is_kept_from_scripts_and_other_sites(api: Api) -> None:
    """HttpOnly and SameSite; and Secure wherever we are reached under a name."""
    await a_user(api, "alice")
    form = {"name": "alice", "password": PASSWORD}
    async with a_browser(api) as browser, a_browser(api) as stranger:
        url = browser.url + "/sign-in"
        async with browser.session.post(url, data=form, allow_redirects=False) as local:
            here = local.headers["set-cookie"]
        named = {"host": "console.example", "origin": "https://console.example"}
        async with stranger.session.post(url, data=form, headers=named, allow_redirects=False) as away:
            there = away.headers["set-cookie"]
    assert ("HttpOnly" in here, "SameSite=lax" in here, "Secure" in here, "Secure" in there) == (
        True,
        True,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("headers", "csrf"),
    [
        ({"origin": "https://evil.example"}, None),
        ({"sec-fetch-site": "cross-site"}, None),
        ({"sec-fetch-site": "same-site"}, None),
        ({}, "wrong"),
        ({}, ""),
    ],
)
async def test_another_sites_form_does_nothing(api: Api, headers: dict[str, str], csrf: str | None) -> None:
    """By its origin, or because it lacks the session's own token."""
    async with signed_in(api) as browser:
        page = await browser.post("/sign-out", {}, csrf=csrf, **headers)
        assert (403, "/console/account") == (page.status, (await browser.get("/account")).location)


async def test_what_no_browser_sends_is_refused(api: Api) -> None:
    """Nobody is signed in; whatever stands in the headers, it is answered, and nothing is a failure of ours."""
    strange = (
        {"origin": "http://["}, {"origin": "http://[", "host": "["}, {"host": "["}, {"cookie": "paidup_zone=America"},
        {"cookie": f"paidup_zone={'a' * 200}"}, {"accept-language": "*,;;;q=x,-,_"},
        {"cookie": "paidup_session=x; paidup_language=xx"},
    )  # fmt: skip
    got = []
    for headers in strange:
        async with a_browser(api) as browser:
            url, form = browser.url + "/prefer", {"language": "en"}
            async with browser.session.post(url, data=form, headers=headers, allow_redirects=False) as answer:
                got.append(answer.status)
    assert ([403, 403], []) == (got[:2], [status for status in got if status >= 500]), got


async def test_signing_out_ends_the_session(api: Api) -> None:
    """Also for whoever kept the cookie."""
    async with signed_in(api) as browser:
        (cookie,) = [c.value for c in browser.session.cookie_jar if c.key == "paidup_session"]
        assert "/console/sign-in" == (await browser.post("/sign-out", {})).location
        async with api.paidup.db.session() as tx:
            assert await sessions.find(tx, cookie, api.paidup.clock.now()) is None


async def test_a_new_password_ends_other_sessions(api: Api) -> None:
    """Who changes it because somebody else knows it, is alone afterwards; the old one must be known."""
    async with signed_in(api) as browser, a_browser(api) as other:
        await other.sign_in("alice")
        fresh = {"password": "four random words here", "again": "four random words here"}
        assert 403 == (await browser.post("/account/password", fresh | {"old": "not this"})).status
        assert 200 == (await browser.post("/account/password", fresh | {"old": PASSWORD})).status
        assert "/console/sign-in" == (await other.get("/account")).location
        assert "/console/account" == (await browser.get("/account")).location


async def test_whoever_guesses_the_present_password_must_wait(api: Api) -> None:
    """Whoever found a browser signed in tries it no more often than at the door, and is not let guess there anew."""
    fresh = {"password": "four random words here", "again": "four random words here"}
    async with signed_in(api) as browser, a_browser(api) as other:
        for n in range(failures.PER_NAME_AND_SOURCE):
            assert 403 == (await browser.post("/account/password", fresh | {"old": f"guess {n}"})).status
        refused = await browser.post("/account/password", fresh | {"old": PASSWORD})
        assert (429, True) == (refused.status, "wait five minutes" in refused.text)
        assert 429 == (await other.sign_in("alice")).status


async def _tried(api: Api, names: int) -> None:
    """Returns once the passwords of so many are being tried."""
    tried = "SELECT count(*) FROM sign_in_failures WHERE key LIKE 'both/%'"
    async with asyncio.timeout(20), api.paidup.db.session() as tx:
        while await tx.fetchval(tried) < names:
            pass


async def test_a_reset_is_not_overtaken_by_what_was_under_way(api: Api) -> None:
    """Who knew the old password and was trying it at that moment is neither let in by it nor sets another."""
    await a_user(api, "alice")
    now, db = api.paidup.clock.now(), api.paidup.db
    fresh = {"old": PASSWORD, "password": "four random words here", "again": "four random words here"}
    async with signed_in(api, "eve") as browser:
        async with sign_in.HASHING, sign_in.HASHING:  # both wait until there is room for a hash
            entering = asyncio.ensure_future(
                sign_in.by_password(db, "alice", PASSWORD, "", source="192.0.2.7", now=now, wall=now)
            )
            changing = asyncio.ensure_future(browser.post("/account/password", fresh))
            await _tried(api, 2)
            async with db.transaction() as tx:
                await admin.reset(tx, Actor("root", "cli"), "alice", now)
                await admin.reset(tx, Actor("root", "cli"), "eve", now)
        with pytest.raises(NotAllowed):
            await entering
        assert 403 == (await changing).status
    async with db.session() as tx:
        assert [] == await tx.fetch("SELECT name FROM sessions")
        assert [] == await tx.fetch("SELECT name FROM users WHERE password_hash IS NOT NULL")


async def test_a_short_password_is_refused_with_what_would_do(api: Api) -> None:
    """Twelve characters at least."""
    async with signed_in(api) as browser:
        short = {"old": PASSWORD, "password": "short", "again": "short"}
        page = await browser.post("/account/password", short)
    assert (422, True) == (page.status, "12 to 200 characters" in page.text)


async def test_signing_in_stands_in_the_audit(api: Api) -> None:
    """Who, how and from where; and the journal cannot be changed."""
    async with signed_in(api), api.paidup.db.session() as tx:
        row = await tx.fetchrow("SELECT who, action, why FROM audit ORDER BY n DESC LIMIT 1")
        assert ("alice", "user.signed_in", "by password from 127.0.0.1") == tuple(row or ())
        with pytest.raises(Exception, match="only added to"):
            await tx.execute("DELETE FROM audit")
        with pytest.raises(Exception, match="only added to"):
            await tx.execute("UPDATE audit SET who = 'bob'")


def test_roles_hold_what_their_name_says() -> None:
    """A viewer only looks; who asks for money does not approve, but for an admin; only an admin manages users."""
    assert {Right.LOOK} == RIGHTS[Role.VIEWER]
    assert [Role.FINANCE, Role.ADMIN] == [role for role in Role if Right.MONEY in RIGHTS[role]]
    assert [Role.APPROVER, Role.ADMIN] == [role for role in Role if Right.APPROVE in RIGHTS[role]]
    assert [Role.ADMIN] == [role for role in Role if Right.USERS in RIGHTS[role]]
