"""Signing in through the company's own provider, against a real one in small: who gets in, as what, and who not."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from api_side import Api, an_api
from console_side import Browser, Page, a_browser, a_user
from oidc_side import (
    CLIENT,
    SECRET,
    Claims,
    Idp,
    an_idp,
    signed_by_another,
    signed_by_the_public_key,
    unsigned,
    with_another_name,
)
from paidup.clock import SystemClock
from paidup.errors import ConfigError, NotAllowed
from paidup.oidc import trip as trips
from paidup.oidc.provider import NEW_KEY_S, Provider
from paidup.people import store
from paidup.people.user import Role
from paidup.sandbox.keys import Keys
from paidup.settings import load
from served import served

NAME = "alice@example.com"
There = Callable[..., Any]


@pytest.fixture
def there(db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]) -> There:
    """A Paidup that signs people in through a provider; both over HTTP. settings: more of them."""

    @asynccontextmanager
    async def start(**settings: str) -> AsyncIterator[tuple[Api, Idp, Browser]]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        ours = {
            "PAIDUP_OIDC_CLIENT_ID": CLIENT,
            "PAIDUP_OIDC_CLIENT_SECRET": SECRET,
            "PAIDUP_PUBLIC_URL": f"http://127.0.0.1:{listener.getsockname()[1]}",
        }
        async with an_idp() as idp, an_api(
            db_dsn, tmp_path, channel_keys, **ours | {"PAIDUP_OIDC_ISSUER": idp.url} | settings
        ) as api, served(api.paidup, listener) as url:  # fmt: skip
            api.url = url
            async with a_browser(api) as browser:
                yield api, idp, browser

    return start


async def sign_in(browser: Browser, onward: str = "/account") -> Page:
    """Press the button; the provider sends the browser back."""
    return await browser.get(f"/sign-in/oidc?next={onward}")


async def test_a_user_who_is_here_signs_in_as_what_they_are_here(there: There) -> None:
    """The button stands on the sign-in page in both languages; the trip ends on the page they wanted."""
    async with there(PAIDUP_OIDC_LABEL="Example ID") as (api, _, browser):
        await a_user(api, NAME, Role.FINANCE)
        assert "Sign in with Example ID" in (await browser.get("/sign-in")).text
        assert "使用 Example ID 登录" in (await browser.get("/sign-in", **{"accept-language": "zh"})).text
        page = await sign_in(browser)
        assert ("/console/account", 200, True) == (page.location, page.status, NAME in page.text)
        async with api.paidup.db.session() as tx:
            row = await tx.fetchrow("SELECT who, action, why FROM audit ORDER BY n DESC LIMIT 1")
            assert Role.FINANCE == (await store.get(tx, NAME)).role
        assert (NAME, "user.signed_in", "by the provider of identities from 127.0.0.1") == tuple(row or ())


async def test_without_a_provider_there_is_no_button(api: Api) -> None:
    """And no way in."""
    async with a_browser(api) as browser:
        assert "oidc" not in (await browser.get("/sign-in")).text
        assert 404 == (await browser.get("/sign-in/oidc")).status


async def test_a_stranger_to_us_does_not_get_in(there: There) -> None:
    """Nobody is added unless a group says as what."""
    async with there() as (api, _, browser):
        assert 403 == (await sign_in(browser)).status
        async with api.paidup.db.session() as tx:
            assert [] == await store.users(tx)


async def test_a_disabled_user_stays_out(there: There) -> None:
    """Whatever the provider says."""
    async with there() as (api, _, browser):
        await a_user(api, NAME)
        async with api.paidup.db.transaction() as tx:
            await store.disable(tx, NAME, api.paidup.clock.now())
        assert 403 == (await sign_in(browser)).status


async def test_groups_decide_when_they_are_declared(there: There) -> None:
    """The first declared group that fits is the role; it follows the provider at the next sign-in."""
    async with there(PAIDUP_OIDC_ROLES="pay-finance=finance, pay-desk=operator") as (api, idp, browser):
        roles = []
        for groups in (["other", "pay-desk"], ["pay-desk", "pay-finance"]):
            idp.person["groups"] = groups
            assert "/console/account" == (await sign_in(browser)).location
            async with api.paidup.db.session() as tx:
                roles.append((await store.get(tx, NAME)).role)
        idp.person["groups"] = ["other"]
        async with a_browser(api) as again:
            refused = await sign_in(again)
    assert ([Role.OPERATOR, Role.FINANCE], 403) == (roles, refused.status)


async def test_nobody_becomes_or_stops_being_admin_by_a_group_unless_it_is_declared(there: There) -> None:
    """The first admin is made on the command line and stays one."""
    async with there(PAIDUP_OIDC_ROLES="pay-desk=operator") as (api, idp, browser):
        await a_user(api, NAME, Role.ADMIN)
        idp.person["groups"] = ["admin", "pay-desk"]
        assert "/console/account" == (await sign_in(browser)).location
        idp.person |= {"email": "bob@example.com"}
        async with a_browser(api) as other:
            assert "/console/account" == (await sign_in(other)).location
        async with api.paidup.db.session() as tx:
            assert [Role.ADMIN, Role.OPERATOR] == [user.role for user in await store.users(tx)]


async def test_a_name_that_cannot_be_one_is_refused(there: There) -> None:
    """A claim is text from elsewhere."""
    async with there(PAIDUP_OIDC_ROLES="pay-desk=operator", PAIDUP_OIDC_CLAIM="nick") as (_, idp, browser):
        idp.person |= {"groups": ["pay-desk"], "nick": "<script>alert(1)</script>"}
        assert 403 == (await sign_in(browser)).status


async def test_what_the_token_lacks_is_asked_for_at_user_info(there: There) -> None:
    """Address and groups that the provider gives there alone; a token that has all of it is believed without asking."""
    async with there(PAIDUP_OIDC_ROLES="pay-desk=operator") as (api, idp, browser):
        idp.person = {"sub": "u-1"}
        idp.info = {"sub": "u-1", "email": "Alice@Example.com", "email_verified": True, "groups": ["pay-desk"]}
        assert "/console/account" == (await sign_in(browser)).location
        async with api.paidup.db.session() as tx:
            assert Role.OPERATOR == (await store.get(tx, NAME)).role
        asked = idp.asked.count("userinfo")
        idp.person = dict(idp.info)
        async with a_browser(api) as again:
            assert "/console/account" == (await sign_in(again)).location
        assert (1, 1) == (asked, idp.asked.count("userinfo"))


@pytest.mark.parametrize(
    ("signed", "told"),
    [
        pytest.param({"sub": "u-1"}, {"sub": "u-2", "email": NAME, "email_verified": True}, id="of somebody else"),
        pytest.param({"sub": "u-1"}, {"email": NAME, "email_verified": True}, id="of nobody"),
        pytest.param({"sub": "u-1"}, {"sub": "u-1", "email": NAME}, id="with an address that nobody verified"),
        pytest.param(
            {"sub": "u-1", "email": NAME}, {"sub": "u-1", "email": "a@b.example", "email_verified": True},
            id="with another address verified than the signed one",
        ),
        pytest.param(
            {"sub": "u-1", "email": "mallory@example.com", "email_verified": False},
            {"sub": "u-1", "email": NAME, "email_verified": True}, id="against what is signed",
        ),
    ],
)  # fmt: skip
async def test_user_info_proves_nothing_of_others_and_nothing_against_the_token(
    there: There, signed: Claims, told: Claims
) -> None:
    """It is no signed word: it is believed of the token's own subject, and only where the token is silent."""
    async with there() as (api, idp, browser):
        await a_user(api, NAME)
        idp.person, idp.info = signed, told
        assert 403 == (await sign_in(browser)).status


def set_claims(**changed: Any) -> Callable[[Claims], Claims]:
    return lambda claims: {name: value for name, value in (claims | changed).items() if value is not None}


def soon(name: str, seconds: int) -> Callable[[Claims], Claims]:
    return lambda claims: claims | {name: claims["iat"] + seconds}


@pytest.mark.parametrize(
    "cheat",
    [
        pytest.param(set_claims(aud="another-application"), id="for another application"),
        pytest.param(set_claims(aud=[CLIENT, "another"]), id="for two, and nobody says who asked"),
        pytest.param(set_claims(aud=[CLIENT, "another"], azp="another"), id="asked for by another"),
        pytest.param(set_claims(iss="http://127.0.0.1:1"), id="of another provider"),
        pytest.param(set_claims(nonce="of another trip"), id="of another trip"),
        pytest.param(set_claims(nonce=None), id="of no trip"),
        pytest.param(set_claims(exp=None), id="for ever"),
        pytest.param(soon("exp", -61), id="expired"),
        pytest.param(soon("iat", 120), id="of the future"),
        pytest.param(soon("nbf", 120), id="not yet"),
        pytest.param(set_claims(sub=None), id="about nobody"),
        pytest.param(set_claims(email_verified=False), id="with an address that nobody verified"),
        pytest.param(set_claims(email_verified=None), id="with an address of which nobody says"),
        pytest.param(set_claims(email_verified="true"), id="with a word instead of a truth"),
        pytest.param(set_claims(email=[NAME]), id="with a list for a name"),
    ],
)
async def test_a_token_that_is_not_for_this_trip_is_refused(there: There, cheat: Callable[[Claims], Claims]) -> None:
    """Signed by the right key, and still worth nothing."""
    async with there() as (api, idp, browser):
        await a_user(api, NAME)
        idp.claims = cheat
        assert 403 == (await sign_in(browser)).status
        idp.claims = lambda claims: claims
        assert "/console/account" == (await sign_in(browser)).location


@pytest.mark.parametrize("forge", [unsigned, signed_by_the_public_key, signed_by_another, with_another_name])
async def test_a_forged_token_is_refused(there: There, forge: Callable[[str, Idp], str]) -> None:
    """No signature, one by a public secret, one by somebody else, and one of other claims."""
    async with there() as (api, idp, browser):
        await a_user(api, NAME)
        await a_user(api, "root@example.com")
        idp.token = forge
        assert 403 == (await sign_in(browser)).status


async def test_the_provider_may_change_its_key() -> None:
    """A token with a key that we have not seen makes us look again, but not because of every stranger's token."""
    at_s = 1000.0
    async with an_idp() as idp:
        given = {"ISSUER": idp.url, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET}
        provider = Provider(load({f"PAIDUP_OIDC_{k}": v for k, v in given.items()}), seconds=lambda: at_s)
        assert NAME == await _who(provider)
        idp.new_key()
        with pytest.raises(NotAllowed, match="unknown key"):
            await _who(provider)
        at_s += NEW_KEY_S
        assert NAME == await _who(provider)
        await provider.aclose()
    assert ["jwks", "jwks"] == idp.asked


async def _who(provider: Provider) -> str:
    trip, home = trips.begin("/", SystemClock().now()), "http://127.0.0.1:9/back"
    there = await provider.where_to(trip, home)
    async with aiohttp.ClientSession() as session, session.get(there, allow_redirects=False) as answer:
        given = parse_qs(urlsplit(answer.headers["location"]).query)
    return (await provider.who(given["code"][0], given["iss"][0], trip, home, SystemClock().now())).name


async def test_a_client_may_prove_itself_in_the_form(there: There) -> None:
    """As the provider's description wants it."""
    async with there() as (api, idp, browser):
        await a_user(api, NAME)
        idp.methods = ("client_secret_post",)
        assert "/console/account" == (await sign_in(browser)).location


async def test_the_way_back_belongs_to_the_browser_that_left(there: There) -> None:
    """A link to the way back, with somebody else's code, signs nobody in; and no answer is used twice."""
    async with there() as (api, idp, browser):
        await a_user(api, NAME)
        stolen = await _answer(browser, idp)
        async with a_browser(api) as victim:
            assert 403 == (await victim.get(stolen)).status
            assert "/console/sign-in" == (await victim.get("/account")).location
        assert "/console/" == (await browser.get(stolen)).location
        assert 403 == (await browser.get(stolen)).status


async def _answer(browser: Browser, _idp: Idp) -> str:
    """Where the provider sends this browser, not gone to yet."""
    async with browser.session.get(browser.url + "/sign-in/oidc", allow_redirects=False) as leaving:
        there = leaving.headers["location"]
    async with browser.session.get(there, allow_redirects=False) as answering:
        return answering.headers["location"].removeprefix(browser.url)


async def test_an_answer_that_names_another_provider_is_refused(there: There) -> None:
    """Mixed up by somebody in between (RFC 9207)."""
    async with there() as (api, idp, browser):
        await a_user(api, NAME)
        path, _, _ = (await _answer(browser, idp)).partition("&iss=")
        state = (await _answer(browser, idp)).partition("&state=")[2]
        code = path.partition("code=")[2]
        assert 403 == (await browser.get(f"/sign-in/oidc/back?code={code}&iss=http%3A%2F%2Fevil&state={state}")).status


async def test_who_refuses_there_is_back_at_our_door(there: There) -> None:
    """With a sentence, not an error."""
    async with there() as (_, idp, browser):
        idp.refuses = True
        page = await sign_in(browser)
    assert (403, True) == (page.status, "ask an admin" in page.text)


async def test_a_provider_that_is_away_leaves_the_password(there: There) -> None:
    """Nothing hangs and nothing breaks."""
    async with there(PAIDUP_OIDC_ISSUER="http://127.0.0.1:9") as (_, _idp, browser):
        page = await sign_in(browser)
    assert (502, True, True) == (page.status, "sign in by password" in page.text, 'name="password"' in page.text)


async def test_a_description_of_somebody_else_is_not_believed(there: There) -> None:
    """The issuer must call itself what the settings call it."""
    async with there() as (_, idp, browser):
        idp.url = "http://127.0.0.1:1"
        assert 502 == (await sign_in(browser)).status


@pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_it_leads_nowhere_else(there: There, onward: str) -> None:
    """A link to our sign-in cannot send people to another site."""
    async with there() as (api, _, browser):
        await a_user(api, NAME)
        assert "/console/" == (await sign_in(browser, onward)).location


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ISSUER": "http://login.example.com"}, "write the provider's issuer"),
        ({"ISSUER": "https://login.example.com"}, "PAIDUP_OIDC_CLIENT_ID"),
        (
            {"ISSUER": "https://x.example", "CLIENT_ID": "a", "CLIENT_SECRET": "b", "ROLES": "g=king"},
            "roles are viewer",
        ),
        ({"ROLES": "admins"}, "write groups and roles"),
    ],
)
def test_a_mistake_in_the_settings_is_named(settings: dict[str, str], says: str) -> None:
    """Before anybody signs in."""
    with pytest.raises(ConfigError, match=says):
        Provider.of(load({f"PAIDUP_OIDC_{name}": value for name, value in settings.items()}))


def test_the_secret_is_not_shown() -> None:
    """Neither in a log nor on the settings page."""
    assert "hush" not in repr(load({"PAIDUP_OIDC_CLIENT_SECRET": "hush hush"}))
