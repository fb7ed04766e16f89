"""The console's pages: found by any number, told in one sentence, in two languages, safe against what others wrote."""

import asyncio
import re
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from api_side import ORDER, Api
from console_side import a_browser, signed_in
from paidup.cli import cli
from paidup.console.pages import HEADERS
from paidup.money import MAX_AMOUNT_MINOR
from paidup.people.user import Role
from paidup.repair import worker as repair

SCRIPT = "<script>alert(1)</script>"


async def ask(api: Api, payment_id: str) -> bool:
    paidup = api.paidup
    return await repair.ask_now(
        paidup.db, payment_id, now=paidup.clock.now(), asker=paidup.asker, handlers=paidup.handlers, budget_per_s=20
    )


async def test_any_number_leads_to_the_life_of_its_order(api: Api) -> None:
    """The shop's number, ours, the channel's, and the last six characters of each."""
    paid = await api.a_paid_payment("ORDER-777001")
    numbers = [
        "ORDER-777001", paid["id"], paid["order_id"], paid["channel_txn_id"],
        "777001", paid["id"][-6:], paid["order_id"][-8:], paid["channel_txn_id"][-6:],
    ]  # fmt: skip
    async with signed_in(api) as browser:
        found = [(await browser.get(f"/search?q={quote(number)}")).location for number in numbers]
    assert [f"/console/orders/{paid['order_id']}"] * len(numbers) == found


async def test_an_end_that_several_share_shows_them_all(api: Api) -> None:
    """A list to choose from, not a guess."""
    for number in ("X-1-555555", "X-2-555555"):
        await api.an_order(number)
    async with signed_in(api) as browser:
        page = await browser.get("/search?q=555555")
    assert (True, True) == ("X-1-555555" in page.text, "X-2-555555" in page.text)


@pytest.mark.parametrize("wild", ["%%%%%%", "______", "A-1\\\\\\", "abc"])
async def test_what_matches_anything_finds_nothing(api: Api, wild: str) -> None:
    """Wild cards are characters like others, and less than six of them are too few."""
    await api.an_order("A-123456")
    async with signed_in(api) as browser:
        page = await browser.get(f"/search?q={quote(wild)}")
    assert "Nothing is known by" in page.text


async def test_an_amount_finds_the_payment(api: Api) -> None:
    """With the time at which the customer says they paid, or without."""
    payment = await api.an_open_payment("A-9")
    async with signed_in(api) as browser:
        found = [(await browser.get(f"/search?q={quote(text)}")).location for text in ("12.50", "12.5", "¥12.50")]
        missed = (await browser.get("/search?q=12.51")).text
        old = (await browser.get(f"/search?q={quote('12.50 2001-01-01')}")).text
    assert [f"/console/orders/{payment['order_id']}"] * 3 == found
    assert ("Nothing is known by", True) == ("Nothing is known by", "Nothing is known by" in missed and old is not None)
    assert "Nothing is known by" in old


async def test_an_amount_finds_an_order_without_any_payment(api: Api) -> None:
    """The customer never came to a channel: console, API and command line find the order by its amount all the same;
    another shop does not."""
    order_id = await api.an_order("A-8")
    day = f"{api.paidup.clock.now():%Y-%m-%d}"
    async with signed_in(api) as browser:
        seen = [(await browser.get(f"/search?q={quote(text)}")).location for text in ("12.50", f"12.50 {day}")]
    assert [f"/console/orders/{order_id}"] * 2 == seen
    keys = api.key, await api.a_key(shop="other")
    asked = [await api.call("GET", f"/v1/search?q={quote(f'12.50 {day}')}", key=key) for key in keys]
    assert [[order_id], []] == [body["order_ids"] for _, body in asked]
    ran = await asyncio.to_thread(CliRunner().invoke, cli, ["orders", "find", f"12.50 {day}"], env=api.env)
    assert (0, True) == (ran.exit_code, order_id in ran.stdout), ran.output


async def test_an_order_with_many_payments_is_found_once(api: Api) -> None:
    """Its own row and that of each payment lead to one page, not to a list."""
    payment = await api.an_open_payment("A-9")
    for once in ("again", "and again"):
        more = f"/v1/orders/{payment['order_id']}/payments"
        assert 201 == (await api.call("POST", more, {"channel": "alipay"}, once=once))[0]
    async with signed_in(api) as browser:
        assert f"/console/orders/{payment['order_id']}" == (await browser.get("/search?q=12.50")).location


async def test_nothing_found_says_what_to_try(api: Api) -> None:
    """Also for a text that is a script."""
    async with signed_in(api) as browser:
        page = await browser.get(f"/search?q={quote(SCRIPT)}")
    assert ("Try, in this order" in page.text, SCRIPT in page.text) == (True, False)


async def test_an_unpaid_order_says_why_and_what_comes_next(api: Api) -> None:
    """The channel itself was asked, said that nobody has paid, and is asked again."""
    payment = await api.an_open_payment()
    assert await ask(api, payment["id"])
    async with signed_in(api) as browser:
        page = await browser.get(f"/orders/{payment['order_id']}")
    assert "Not paid: WeChat Pay itself said at" in page.text
    assert "The channel is asked again at" in page.text


async def test_a_healed_order_says_so_in_both_languages(api: Api) -> None:
    """Its callback was lost; the query found it."""
    payment = await api.an_open_payment()
    await api.buyer_pays(payment)
    assert await ask(api, payment["id"])
    async with signed_in(api) as browser:
        english = (await browser.get(f"/orders/{payment['order_id']}")).text
        await browser.post("/prefer", {"language": "zh"})
        chinese = (await browser.get(f"/orders/{payment['order_id']}")).text
    assert "The callback was lost; the active query found it after" in english
    assert "回调丢失；主动查单在" in chinese


@pytest.mark.parametrize(("accepts", "language"), [("zh-TW,zh;q=0.9", "zh-CN"), ("de,en;q=0.5", "en"), ("xx", "en")])
async def test_the_browser_says_which_language(api: Api, accepts: str, language: str) -> None:
    """Until somebody chooses one."""
    async with a_browser(api) as browser:
        page = await browser.get("/sign-in", **{"accept-language": accepts})
    assert f'<html lang="{language}"' in page.text


async def test_times_are_the_readers(api: Api) -> None:
    """The zone of the browser; a zone that is none is UTC."""
    order_id = await api.an_order()
    async with signed_in(api) as browser:
        pages = []
        for zone in ("Asia/Shanghai", "../../etc/passwd", "Nowhere/At_All"):
            browser.session.cookie_jar.update_cookies({"paidup_zone": zone})
            pages.append((await browser.get(f"/orders/{order_id}")).text)
    assert [True, True, True] == ["CST" in pages[0], "UTC" in pages[1], "UTC" in pages[2]]


async def test_scripts_of_others_show_as_text(api: Api) -> None:
    """In order numbers, descriptions, reasons, and what a channel or a stranger sent."""
    status, order = await api.call(
        "POST", "/v1/orders",
        {"shop_order_no": SCRIPT, "amount_minor": 1250, "currency": "CNY", "description": f'"><img src=x>{SCRIPT}'},
    )  # fmt: skip
    assert 201 == status
    close = {"reason": SCRIPT}
    assert 200 == (await api.call("POST", f"/v1/orders/{order['id']}/close", close, once="close"))[0]
    async with signed_in(api) as browser:
        page = await browser.get(f"/orders/{order['id']}")
    assert (200, False, False) == (page.status, SCRIPT in page.text, "<img src=x" in page.text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


async def test_no_page_runs_or_styles_inline(api: Api) -> None:
    """The policy forbids it, and no page tries."""
    paid = await api.a_paid_payment()
    async with signed_in(api) as browser:
        for path in ("/", "/account", f"/orders/{paid['order_id']}", "/search?q=nothing"):
            page = await browser.get(path)
            assert HEADERS["content-security-policy"] == page.headers["Content-Security-Policy"]
            assert [] == re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)


async def test_raw_things_are_shown_masked_and_revealed_on_the_record(api: Api) -> None:
    """Who may reveal, writes why; that stands in the audit."""
    payment = await api.an_open_payment()
    assert await ask(api, payment["id"])
    async with api.paidup.db.session() as tx:
        call_id = await tx.fetchval("SELECT id FROM channel_calls WHERE purpose = 'query'")
        answer = '{"payer": {"openid": "oUpF8uMuAJO"}, "mobile": "13812345678", "mail": "li@example.com"}'
        await tx.execute("UPDATE channel_calls SET answer = $1 WHERE purpose = 'query'", answer)
    path = f"/orders/{payment['order_id']}/call/{call_id}"
    async with signed_in(api) as browser:
        masked = (await browser.get(path)).text
        shown = (await browser.post(path, {"why": "the customer asks"})).text
    for secret in ("oUpF8uMuAJO", "13812345678", "li@example.com"):
        assert (secret in masked, secret in shown) == (False, True)
    async with api.paidup.db.session() as tx:
        row = await tx.fetchrow("SELECT who, why, subject_id FROM audit WHERE action = 'data.revealed'")
    assert ("alice", "the customer asks", call_id) == tuple(row or ())


async def test_a_viewer_cannot_reveal(api: Api) -> None:
    """The button is not there, and sending the form says who may."""
    payment = await api.an_open_payment()
    async with signed_in(api, "victor", Role.VIEWER) as browser:
        page = await browser.post(f"/orders/{payment['order_id']}/call/cal1", {"why": "curious"})
    assert (403, True) == (page.status, "your role (viewer) may not do this" in page.text)


async def test_a_viewer_sees_no_name_however_json_writes_it(api: Api) -> None:
    """Characters of a refused callback may be escapes: Python writes Chinese names so, PHP slashes."""
    body = rb'{"name":"\u5f20\u4e09\u4e30","line1":"12\/4 Hidden Street","phone":447700900123}'
    async with api.session.post(f"{api.url}/callbacks/stripe/main", data=body) as answer:
        assert answer.status in (400, 401)
    (kept,) = (await api.call("GET", "/v1/quarantine"))[1]["items"]
    async with signed_in(api, "vera", Role.VIEWER) as browser:
        page = await browser.get(f"/callbacks/quarantine/{kept['id']}")
    found = [secret in page.text for secret in ("line1", r"\u5f20", "Hidden Street", "447700900123")]
    assert [True, False, False, False] == found


async def test_a_raw_thing_of_another_order_is_not_found(api: Api) -> None:
    """The path names an order, and only its own things are shown under it."""
    first, second = await api.an_open_payment("A-1"), await api.an_open_payment("A-2")
    async with api.paidup.db.session() as tx:
        call_id = await tx.fetchval("SELECT id FROM channel_calls WHERE subject_id = $1", first["id"])
    async with signed_in(api) as browser:
        assert 404 == (await browser.get(f"/orders/{second['order_id']}/call/{call_id}")).status
        assert 404 == (await browser.get("/orders/ordnone")).status


async def test_the_home_page_bears_what_the_api_accepts(api: Api) -> None:
    """Two orders over the largest amount that is taken, each with a case: their sum is shown, and no page is lost."""
    most = ORDER | {"amount_minor": MAX_AMOUNT_MINOR}
    for n in range(2):
        _, order = await api.call("POST", "/v1/orders", most | {"shop_order_no": f"H-{n}"})
        ours = {"channel": "wechat", "merchant_ref": f"H-{n}"}
        _, payment = await api.call("POST", f"/v1/orders/{order['id']}/payments/register", ours)
        assert "held" == (await api.confirmed(payment | {"amount_minor": MAX_AMOUNT_MINOR - 1}, f"42-{n}"))["state"]
    async with signed_in(api) as browser:
        home = await browser.get("/")
    assert (200, "/console/", True) == (home.status, home.location, "CN¥20,000,000,000,000.00" in home.text)


STRANGE = (
    "/orders/%00", "/orders/a%0ab", "/orders/a/callback/%00", "/cases/%00", "/payments/%00/query", "/approvals/%00",
    "/callbacks/%00", "/callbacks/quarantine/%00", "/reconcile/%00", "/reconcile/%00/b/2026-01-01",
    "/reconcile/bills/%00/file", f"/cases/{'x' * 256}", "/static/%00", "/static/..%2Fpages.py",
)  # fmt: skip


async def test_a_strange_id_is_not_found(api: Api) -> None:
    """Nobody has an id with a character that no text of the database can hold: 404, and no line in the log."""
    async with signed_in(api) as browser:
        got = {path: (await browser.get(path)).status for path in STRANGE}
    assert dict.fromkeys(STRANGE, 404) == got


NO_CURSORS = (
    "/watched?after=x", "/watched?after=99991231T000000.0~x", "/reconcile?after=x", "/reconcile?after=2026-02-31_b",
    "/callbacks?before=%ff", "/callbacks/quarantine?before=%00", "/stock?after=%f0%9f", "/search?q=%00",
    "/audit?before=%00", "/search?q=12.50%209999-12-31", "/reconcile/months/2999-12", "/reconcile/months/1000-01",
    "/reconcile/a/b/0001-01-01", "/deliveries?endpoint=x&after=99999999999999999",
)  # fmt: skip


async def test_what_is_no_cursor_and_no_day_is_no_failure(api: Api) -> None:
    """Whatever somebody writes into an address is answered or refused."""
    async with signed_in(api) as browser:
        got = {path: (await browser.get(path)).status for path in NO_CURSORS}
    assert {} == {path: status for path, status in got.items() if status >= 500}
    assert [422, 422] == [status for path, status in got.items() if path.startswith("/reconcile?")]


async def test_files_are_kept_by_browsers_for_good(api: Api) -> None:
    """Their address changes with their content; nothing else is served from the folder."""
    async with a_browser(api) as browser:
        page = await browser.get("/sign-in")
        (path,) = re.findall(r'href="/console(/static/console\.css\?v=\w+)"', page.text)
        style = await browser.get(path)
        outside = await browser.get("/static/..%2fapp.py")
    assert (200, True) == (style.status, "immutable" in style.headers["Cache-Control"])
    assert 404 == outside.status
