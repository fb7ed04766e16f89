"""Finance's pages of the console: breaks and who agrees to their repair, the day's report as a file, and stock."""

import io
import zipfile

import aiohttp
import pytest

from api_side import Api
from bill_mappings import OTHERS
from break_side import Waits, a_break, a_match, next_round
from console_side import CSRF, Browser, Page, a_browser, a_user, signed_in
from paidup.people.user import Role
from paidup.reconcile import bills, break_repairs, runs, store
from paidup.reconcile.breaks import Break
from upload_side import DAY, wechat_bill

AGREE = {"deed": "agree", "why": "seen in the merchant console"}


async def state_of(api: Api, waits: Waits) -> Break:
    async with api.paidup.db.session() as tx:
        (found,) = await store.get(tx, [waits.break_id])
    return found


async def audited(api: Api) -> list[tuple[str, ...]]:
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT who, action, why, before, after FROM audit WHERE action ~ '^break' ORDER BY n")
    return [tuple(row) for row in rows]


async def report_of(browser: Browser, waits: Waits, form: str, account: str = "main") -> tuple[int, bytes, str]:
    path = f"{browser.url}/reconcile/wechat/{account}/{waits.day}/report.{form}"
    async with browser.session.get(path) as answer:
        return answer.status, await answer.read(), answer.headers.get("Content-Disposition", "")


async def test_a_day_and_its_month_are_shown_and_given_as_files(api: Api) -> None:
    """The list leads to both; the month leads to its days; each has its figures, in Chinese where it is read so."""
    waits = await a_break(api)
    day, month = f"/reconcile/wechat/main/{waits.day}", f"/reconcile/months/{waits.day:%Y-%m}"
    async with signed_in(api, "carol", Role.FINANCE) as carol:
        listed = (await carol.get("/reconcile")).text
        shown, of_month = (await carol.get(day)).text, (await carol.get(month)).text
        await carol.post("/prefer", {"language": "zh"})
        chinese = (await carol.get(day)).text + (await carol.get(month)).text
        files = [await file_of(carol, f"{month}/report.{form}") for form in ("html", "xlsx")]
        wrong = [(await carol.get(path)).status for path in (
            "/reconcile/months/2026-13", f"{month}/report.pdf", "/reconcile/wechat/main/2026-02-30",
            "/reconcile/wechat/main/2020-01-01", "/reconcile/stripe/main/yesterday",
        )]  # fmt: skip
    assert (True, True, True) == (day in listed, month in listed, f'href="/console{day}"' in of_month)
    for said in ("Breaks that are not settled: 1.", "channel only (long)", "12.50", f"{month}"):
        assert said in shown
    for said in ("日对账报告", "月度对账汇总", "长款", "期初余额", "全月", "还有 1 条差异未处理"):
        assert said in chinese
    assert [(200, b"<!do", True), (200, b"PK\x03\x04", True)] == [
        (status, content[:4], f"month-{waits.day:%Y-%m}.zh." in named) for status, content, named in files
    ]
    assert [404] * 5 == wrong


async def file_of(browser: Browser, path: str) -> tuple[int, bytes, str]:
    async with browser.session.get(browser.url + path) as answer:
        return answer.status, await answer.read(), answer.headers.get("Content-Disposition", "")


async def test_both_sides_are_shown(api: Api) -> None:
    """The bill's line, our books, what will happen, and the same in Chinese."""
    waits = await a_break(api)
    async with signed_in(api, "carol", Role.FINANCE) as carol:
        listed = (await carol.get("/reconcile")).text
        page = (await carol.get(f"/reconcile/{waits.break_id}")).text
        await carol.post("/prefer", {"language": "zh"})
        chinese = (await carol.get(f"/reconcile/{waits.break_id}")).text
    assert f"/reconcile/{waits.break_id}" in listed
    for said in ("CN¥12.50", "paid in the bill, and open here", waits.payment_id, "0 of 2 agreed", "A-1"):
        assert said in page
    assert "还须 2 人在下方同意修复" in chinese


async def test_two_people_agree_and_the_next_round_books_it(api: Api) -> None:
    """Finance first, nobody twice, an approver last; both in the audit; the order is paid by the worker alone."""
    waits = await a_break(api)
    path = f"/reconcile/{waits.break_id}"
    await a_user(api, "bob", Role.APPROVER)
    async with signed_in(api, "carol", Role.FINANCE) as carol, a_browser(api) as bob:
        await bob.sign_in("bob")
        first = await carol.post(path, AGREE)
        again = await carol.post(path, AGREE)
        assert "You agreed. Somebody else must agree, too" in first.text
        assert "You had agreed already. Somebody else must agree, too." in again.text
        await next_round(api)
        assert "open" == (await state_of(api, waits)).state
        assert "Enough people agreed" in (await bob.post(path, AGREE | {"why": "I saw it, too"})).text
        assert "approved" == (await state_of(api, waits)).state
        await next_round(api)
        assert "healed" == (await state_of(api, waits)).state
        order = (await bob.get(f"/orders/{waits.order_id}")).text
        late = await carol.post(path, AGREE)
    assert [
        ("carol", "break.agreed", "seen in the merchant console", "open", "1 of 2 agreed"),
        ("bob", "break.agreed", "I saw it, too", "open", "2 of 2 agreed"),
    ] == await audited(api)
    assert "the channel&#39;s bill did." in order
    assert "Nothing was left to do: it is so already." in late.text


@pytest.mark.parametrize(
    ("role", "agreed_before", "may"),
    [
        (Role.VIEWER, [], False),
        (Role.OPERATOR, [], False),
        (Role.FINANCE, [], True),
        (Role.FINANCE, ["anna"], False),
        (Role.APPROVER, [], True),
        (Role.APPROVER, ["anna"], True),
    ],
)
async def test_the_last_who_agrees_is_an_approver(api: Api, role: Role, agreed_before: list[str], may: bool) -> None:
    """The button is there for those who may, and the form of anybody else changes nothing."""
    waits = await a_break(api)
    async with api.paidup.db.transaction() as tx:
        for who in agreed_before:
            await break_repairs.approve(tx, await state_of(api, waits), who, "seen", api.paidup.clock.now())
    async with signed_in(api, "dora", role) as dora:
        shown = "Agree to the repair" in (await dora.get(f"/reconcile/{waits.break_id}")).text
        sent = await dora.post(f"/reconcile/{waits.break_id}", AGREE)
    async with api.paidup.db.session() as tx:
        agreed = await break_repairs.approvals(tx, await state_of(api, waits))
    assert (may, 200 if may else 403) == (shown, sent.status)
    assert sorted([*agreed_before, *(["dora"] if may else [])]) == sorted(agreed)


async def test_finance_says_how_it_was_settled_outside(api: Api) -> None:
    """With why; then nothing is left to agree to."""
    waits = await a_break(api)
    async with signed_in(api, "carol", Role.FINANCE) as carol:
        page = await carol.post(f"/reconcile/{waits.break_id}", {"deed": "resolve", "why": "given back by hand"})
        late = await carol.post(f"/reconcile/{waits.break_id}", AGREE)
    assert ("resolved", False) == ((await state_of(api, waits)).state, "Agree to the repair" in page.text)
    assert (409, True) == (late.status, "is resolved already" in late.text)
    assert [("carol", "break.resolved", "given back by hand", "open", "resolved")] == await audited(api)


async def test_the_days_report_is_a_file_in_the_readers_language(api: Api) -> None:
    """As a page and as a workbook, linked from the day; a viewer may have it, a stranger signs in first."""
    waits = await a_break(api)
    async with signed_in(api, "vera", Role.VIEWER) as vera, a_browser(api) as stranger:
        listed = (await vera.get("/reconcile")).text
        html = await report_of(vera, waits, "html")
        await vera.post("/prefer", {"language": "zh"})
        excel = await report_of(vera, waits, "xlsx")
        turned_away = await report_of(stranger, waits, "html")
    for form in ("html", "xlsx"):
        assert f"/reconcile/wechat/main/{waits.day}/report.{form}" in listed
    assert (200, f'attachment; filename="wechat-main-{waits.day}.en.html"') == (html[0], html[2])
    assert "Breaks that are not settled: 1." in html[1].decode()
    assert (200, f'attachment; filename="wechat-main-{waits.day}.zh.xlsx"') == (excel[0], excel[2])
    with zipfile.ZipFile(io.BytesIO(excel[1])) as book:
        assert "日对账报告" in book.read("xl/workbook.xml").decode()
    assert ("", True) == (turned_away[2], b"password" in turned_away[1])


async def test_a_report_that_there_is_not_is_not_found(api: Api) -> None:
    """Another form, another account, a day that is none."""
    waits = await a_break(api)
    async with signed_in(api) as browser:
        found = [
            (await report_of(browser, waits, "pdf"))[0],
            (await report_of(browser, waits, "html", "nobody"))[0],
            (await browser.get("/reconcile/wechat/main/yesterday/report.html")).status,
        ]
    assert [404, 404, 404] == found


async def sent(
    browser: Browser, content: bytes, csrf: str | None = None, name: str = "bill.csv.gz", **fields: str
) -> Page:
    """The form of the Bills page, filled in and sent as a browser does."""
    page = (await browser.get("/reconcile/bills")).text
    token = csrf if csrf is not None else (CSRF.search(page) or ["", ""])[1]
    form = aiohttp.FormData()
    for field, value in ({"csrf": token, "account": "wechat/main", "day": str(DAY), "kind": "trades"} | fields).items():
        form.add_field(field, value)
    form.add_field("file", content, filename=name)
    async with browser.session.post(f"{browser.url}/reconcile/bills", data=form) as answer:
        return Page(answer.status, await answer.text(), answer.url.path)


async def kept(api: Api) -> list[tuple[str, str, str]]:
    async with api.paidup.db.session() as tx:
        return [(one.state, one.fault, one.brought_by) for one in await bills.page(tx, None, 10)]


async def test_finance_uploads_a_bill(api: Api) -> None:
    """A sound one waits for the next round, a wrong one is refused whole with its reason in both languages; both stand
    in the audit under her name."""
    (mchid,) = [str(party.account.mchid) for party in api.paidup.parties() if party.name == "wechat/main"]
    async with signed_in(api, "carol", Role.FINANCE) as carol:
        good = await sent(carol, wechat_bill(mchid, "A-1"))
        wrong = await sent(carol, wechat_bill(mchid, "A-1", "A-2", stated=7))
        await carol.post("/prefer", {"language": "zh"})
        chinese = (await carol.get("/reconcile/bills")).text
        nothing = await sent(carol, b"", mapping="title = 1")
    assert (200, True) == (good.status, "The bill is sound. Its day is reconciled" in good.text)
    assert "Its lines do not add up to its totals." in wrong.text
    for said in ("明细与合计不符。", "已拒收", "交易账单", "bill.csv.gz"):
        assert said in chinese
    assert [("refused", "wrong_total", "carol"), ("sound", "", "carol")] == await kept(api)
    assert 422 == nothing.status
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT who, via, after FROM audit WHERE action = 'bill.uploaded' ORDER BY id")
    assert [("carol", "console", "sound"), ("carol", "console", "refused wrong_total")] == [tuple(row) for row in rows]
    await next_round(api)
    async with api.paidup.db.session() as tx:
        assert await runs.latest_of(tx, "wechat", "main", DAY) is not None


async def test_who_may_not_uploads_nothing(api: Api) -> None:
    """Neither other roles, nor a form of another session, nor a stranger; no form is shown to those who may not."""
    async with signed_in(api, "vera", Role.VIEWER) as vera, a_browser(api) as stranger:
        shown = (await vera.get("/reconcile/bills")).text
        by_role = await sent(vera, b"x", csrf="any")
        turned_away = await sent(stranger, b"x")
    async with signed_in(api, "carol", Role.FINANCE) as carol:
        forged = await sent(carol, b"x", csrf="0" * 64)
    assert (False, 403, 403) == ("Upload a bill" in shown, by_role.status, forged.status)
    assert ("/console/sign-in", []) == (turned_away.location, await kept(api))


@pytest.mark.parametrize("form", OTHERS)
async def test_finance_uploads_a_banks_file_and_takes_it_again(api: Api, form: str) -> None:
    """Fixed width and Excel with their descriptions; the list offers the file, which comes back as it was, and who took
    it stands in the audit. Whoever only looks is offered none, and gets none."""
    name, mapping, content, lines = OTHERS[form]
    async with signed_in(api, "carol", Role.FINANCE) as carol, signed_in(api, "vera", Role.VIEWER) as vera:
        uploaded = await sent(carol, content, name=name, mapping=mapping)
        async with api.paidup.db.session() as tx:
            (bill,) = await bills.page(tx, None, 10)
        path = f"/reconcile/bills/{bill.id}/file"
        async with carol.session.get(carol.url + path) as answer:
            got = (answer.status, await answer.read(), answer.headers["content-disposition"])
        looked, refused = (await vera.get("/reconcile/bills")).text, await vera.get(path)
        unknown = await carol.get("/reconcile/bills/bil_nobody/file")
    assert (200, "sound", lines, True) == (uploaded.status, bill.state, bill.lines, path in uploaded.text)
    assert (200, content, f'attachment; filename="wechat-main-trades-{DAY}-v1{name[4:]}"') == got
    assert (name in looked, path in looked, 403, 404) == (True, False, refused.status, unknown.status)
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT who, via, subject_id FROM audit WHERE action = 'bill.downloaded'")
    assert [("carol", "console", bill.id)] == [tuple(row) for row in rows]


async def test_stock_and_transactions_are_told_in_words(api: Api) -> None:
    """Articles, what has not ended, and the command that decides what is stuck."""
    order_id = await api.an_order()
    await api.call("PUT", "/v1/skus/TEA-250", {"name": "Green tea"})
    await api.call("POST", "/v1/skus/TEA-250/restock", {"quantity": 4321}, once="restock")
    await api.call("POST", "/v1/participants", {"name": "coupons", "url": "http://127.0.0.1:9/take"})
    steps = [{"name": "coupon", "participant": "coupons"}]
    await api.call("POST", "/v1/transaction-tables", {"name": "checkout", "step": steps})
    body = {"table": "checkout", "data": {"coupon": {"code": "TEA10"}}}
    assert 201 == (await api.call("POST", f"/v1/orders/{order_id}/transactions", body, once="t1"))[0]
    async with signed_in(api, role=Role.VIEWER) as browser:
        page = (await browser.get("/stock")).text
    for said in ("Green tea", "4,321", ">Running<", "due now", f"/orders/{order_id}", "<code>paidup tx</code>"):
        assert said in page


async def test_the_life_of_a_payment_ends_with_the_bill(api: Api) -> None:
    """One that the bill shows as we do, and one that differs: on the page as in the trace, with a way to the break."""
    same, differs = await a_match(api, "A-1"), await a_break(api, "A-2")
    async with signed_in(api) as alice:
        page, other = [(await alice.get(f"/orders/{one.order_id}")).text for one in (same, differs)]
    assert ("Reconciled: the channel&#39;s bill says the same" in page, f"{same.day}" in page) == (True, True)
    assert (True, False) == (f"/console/reconcile/{differs.break_id}" in other, "Reconciled: " in other)
    told = [
        [m["what"] for m in (await api.call("GET", f"/v1/trace/{one.order_id}"))[1]["moments"] if m["kind"] == "bill"]
        for one in (same, differs)
    ]
    assert [f"stands in the channel's bill of {same.day} as in our books"] == told[0]
    assert told[1][0].startswith("found: ")
