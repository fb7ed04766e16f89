"""A safe hand: each deed says what will happen, happens once, takes two people where it should, and is recorded."""

import asyncio
from typing import Any

import pytest

from api_side import Api
from console_side import KEY, Browser, Page, a_browser, a_link, a_user, signed_in
from paidup.hand.query import AT_MOST_EVERY
from paidup.people.user import Role

TXN = "42000019990001"


async def audit_of(api: Api, action: str) -> list[tuple[Any, ...]]:
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT who, via, why, before, after FROM audit WHERE action = $1 ORDER BY n", action)
    return [tuple(row) for row in rows]


async def state_of(api: Api, payment_id: str) -> str:
    async with api.paidup.db.session() as tx:
        return await tx.fetchval("SELECT state FROM payments WHERE id = $1", payment_id)


async def forget_the_last_question(api: Api) -> None:
    """As if it had been asked a while ago."""
    async with api.paidup.db.session() as tx:
        await tx.execute("UPDATE channel_calls SET called_at = called_at - $1::interval", 2 * AT_MOST_EVERY)


async def an_old_open_payment(api: Api, number: str = "A-1", amount_minor: int = 1250) -> dict[str, Any]:
    order = {"shop_order_no": number, "amount_minor": amount_minor, "currency": "CNY"}
    order_id = (await api.call("POST", "/v1/orders", order))[1]["id"]
    status, payment = await api.call(
        "POST", f"/v1/orders/{order_id}/payments", {"channel": "wechat"}, once=f"open-{number}"
    )
    assert 201 == status, payment
    await forget_the_last_question(api)
    return payment


async def preview(browser: Browser, payment_id: str, **fields: str) -> tuple[Page, str]:
    """Fill the form in; returns the page that says what will happen, and its key."""
    form = {"txn": TXN, "amount": "12.50", "why": "ticket 312", "step": "preview"} | fields
    page = await browser.post(f"/payments/{payment_id}/confirm", form)
    return page, (KEY.search(page.text) or ["", ""])[1]


async def test_each_page_of_a_deed_names_the_order_and_its_money(api: Api) -> None:
    """Whoever presses the red button sees whose money it is, and not only an id."""
    payment = await an_old_open_payment(api, "TEA-77")
    async with signed_in(api) as browser:
        pages = [
            (await browser.get(f"/payments/{payment['id']}/{deed}")).text for deed in ("query", "confirm", "release")
        ]
        pages.append((await preview(browser, payment["id"]))[0].text)
    assert [(True, True, True)] * 4 == [
        ("<strong>TEA-77</strong>" in page, "12.50" in page, payment["id"] in page) for page in pages
    ]


async def test_query_now_finds_a_lost_payment(api: Api) -> None:
    """And says so on the order's page."""
    payment = await an_old_open_payment(api)
    await api.buyer_pays(payment)
    async with signed_in(api, role=Role.OPERATOR) as browser:
        before = await browser.get(f"/payments/{payment['id']}/query")
        after = await browser.post(f"/payments/{payment['id']}/query", {})
    assert "asking alone changes nothing" in before.text
    assert "its answer changed something" in after.text
    assert "The callback was lost; the active query found it" in after.text
    assert [("alice", "console", "paid (SUCCESS)", "payment open", "payment paid")] == await audit_of(
        api, "payment.queried"
    )


async def test_asking_twice_at_once_is_refused(api: Api) -> None:
    """The channel wants three seconds between two questions about one payment."""
    payment = await an_old_open_payment(api)
    async with signed_in(api) as browser:
        first = await browser.post(f"/payments/{payment['id']}/query", {})
        second = await browser.post(f"/payments/{payment['id']}/query", {})
    assert (200, 429, True) == (first.status, second.status, "a moment ago; look again in three seconds" in second.text)


async def test_confirming_asks_the_channel_first(api: Api) -> None:
    """It says itself that it is paid: then there is nothing to confirm, and nobody's word was needed."""
    payment = await an_old_open_payment(api)
    await api.buyer_pays(payment)
    async with signed_in(api) as browser:
        page, _ = await preview(browser, payment["id"], txn="4200000000000000")
    assert (409, "paid") == (page.status, await state_of(api, payment["id"]))
    assert "it is paid already, under the channel&#39;s number" in page.text
    assert [] == await audit_of(api, "payment.confirmed")


async def test_what_the_channel_contradicts_takes_two_people(api: Api) -> None:
    """The first one's word changes nothing; the second one's makes it paid, once; both stand in the audit."""
    payment = await an_old_open_payment(api)
    await a_user(api, "bob", Role.APPROVER)
    async with signed_in(api, "carol", Role.FINANCE) as carol, a_browser(api) as bob:
        await bob.sign_in("bob")
        page, key = await preview(carol, payment["id"])
        assert "the channel itself says that nobody has paid" in page.text
        do = {"txn": TXN, "amount": "12.50", "why": "ticket 312", "step": "do", "key": key}
        asked = await carol.post(f"/payments/{payment['id']}/confirm", do)
        again = await carol.post(f"/payments/{payment['id']}/confirm", do)
        assert (asked.location, "open") == (again.location, await state_of(api, payment["id"]))
        approval = asked.location.removeprefix("/console")
        agree = {"deed": "approve", "why": "I saw it, too"}
        assert 403 == (await carol.post(approval, agree)).status
        agreed = await bob.post(approval, agree)
        late = await bob.post(approval, agree)
    assert ("paid", 200, 409) == (await state_of(api, payment["id"]), agreed.status, late.status)
    (row,) = await audit_of(api, "payment.confirmed")
    assert ("bob", "console", f"ticket 312 ({TXN})") == row[:3]
    assert "order paid, payment paid" == row[4]
    async with api.paidup.db.session() as tx:
        note = await tx.fetchval("SELECT evidence FROM decisions WHERE road = 'operator'")
    assert "bob with carol: ticket 312" in note


async def test_nobody_agrees_to_their_own(api: Api) -> None:
    """Not even an admin; but they may take it back."""
    payment = await an_old_open_payment(api)
    async with signed_in(api) as browser:
        _, key = await preview(browser, payment["id"])
        do = {"txn": TXN, "amount": "12.50", "why": "ticket 312", "step": "do", "key": key}
        approval = (await browser.post(f"/payments/{payment['id']}/confirm", do)).location.removeprefix("/console")
        own = await browser.post(approval, {"deed": "approve", "why": "trust me"})
        back = await browser.post(approval, {"deed": "refuse", "why": "a mistake"})
    assert (409, True) == (own.status, "a second person must agree" in own.text)
    assert (200, "open") == (back.status, await state_of(api, payment["id"]))


@pytest.mark.parametrize("amount", ["0", "-5", "12.505", "lots", ""])
async def test_an_amount_that_is_none_is_refused_with_words(api: Api, amount: str) -> None:
    """And nothing is asked or done."""
    payment = await an_old_open_payment(api)
    async with signed_in(api) as browser:
        page, _ = await preview(browser, payment["id"], amount=amount)
    assert (422, "open") == (page.status, await state_of(api, payment["id"]))


async def test_a_refund_below_the_limit_is_one_persons(api: Api) -> None:
    """Shown first, then sent once however often the button is pressed."""
    paid = await api.a_paid_payment()
    path = f"/payments/{paid['id']}/refund"
    async with signed_in(api, role=Role.FINANCE) as browser:
        shown = await browser.post(path, {"amount": "5.00", "why": "cold tea", "step": "preview"})
        key = (KEY.search(shown.text) or ["", ""])[1]
        do = {"amount": "5.00", "why": "cold tea", "step": "do", "key": key}
        await asyncio.gather(*(browser.post(path, do) for _ in range(3)))
    assert "is sent back to the customer through WeChat Pay" in shown.text
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT amount_minor, reason FROM refunds")
    assert [(500, "cold tea")] == [tuple(row) for row in rows]


async def test_a_refund_above_the_limit_takes_two(api: Api) -> None:
    """And never more than is left."""
    payment = await an_old_open_payment(api, "BIG", 200_000)
    assert 200 == (await api.testify(payment, "42-BIG-1"))[0]
    await a_user(api, "bob", Role.APPROVER)
    path = f"/payments/{payment['id']}/refund"
    async with signed_in(api, "carol", Role.FINANCE) as carol, a_browser(api) as bob:
        await bob.sign_in("bob")
        too_much = await carol.post(path, {"amount": "2000.01", "why": "all of it", "step": "preview"})
        do = {"amount": "1500", "why": "half of it", "step": "do", "key": "key-1"}
        approval = (await carol.post(path, do)).location.removeprefix("/console")
        async with api.paidup.db.session() as tx:
            assert 0 == await tx.fetchval("SELECT count(*) FROM refunds")
        agreed = await bob.post(approval, {"deed": "approve", "why": "agreed by phone"})
    assert (422, 200) == (too_much.status, agreed.status)
    async with api.paidup.db.session() as tx:
        assert [150_000] == [row["amount_minor"] for row in await tx.fetch("SELECT amount_minor FROM refunds")]


async def test_closing_shows_the_shops_policy_and_asks_why(api: Api) -> None:
    """Then the order is closing, and the reason stands in the audit."""
    payment = await an_old_open_payment(api)
    path = f"/orders/{payment['order_id']}/close"
    async with signed_in(api) as browser:
        assert "the order is reopened" in (await browser.get(path)).text
        assert 422 == (await browser.post(path, {"why": " "})).status
        closed = await browser.post(path, {"why": "the customer gave up"})
    assert "Closing" in closed.text
    assert [("alice", "console", "the customer gave up")] == [
        row[:3] for row in await audit_of(api, "order.close_asked")
    ]


async def test_a_paid_order_is_not_closed(api: Api) -> None:
    """The page says what to do instead."""
    paid = await api.a_paid_payment()
    async with signed_in(api) as browser:
        page = await browser.post(f"/orders/{paid['order_id']}/close", {"why": "oops"})
    assert (409, True) == (page.status, "refund it instead" in page.text)


async def test_a_quarantined_callback_is_replayed(api: Api) -> None:
    """A forged one stays refused; both the look and the replay are possible, and on the record."""
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"{}") as answer:
        assert answer.status in (400, 401)
    async with signed_in(api) as browser:
        listed = await browser.get("/callbacks/quarantine")
        quarantine_id = listed.text.partition("/console/callbacks/quarantine/qua")[2][:27]
        path = f"/callbacks/quarantine/qua{quarantine_id}"
        assert "as of the time it came" in (await browser.get(f"{path}/replay")).text
        page = await browser.post(f"{path}/replay", {"why": "the key was mended"})
    assert "Still refused" in page.text
    assert [("alice", "console", "the key was mended")] == [
        row[:3] for row in await audit_of(api, "quarantine.replayed")
    ]


async def test_a_case_is_claimed_commented_and_resolved(api: Api) -> None:
    """By name, and found on the worklist until then."""
    payment = await an_old_open_payment(api)
    word = {"payment_id": payment["id"], "channel_txn_id": "42-less", "amount_minor": 900, "currency": "CNY",
            "reason": "seen in the console"}  # fmt: skip
    await api.second_agrees((await api.call("POST", "/v1/evidence", word, once="less"))[1])
    async with signed_in(api) as browser:
        listed = await browser.get("/cases")
        path = "/cases/cas" + listed.text.partition("/console/cases/cas")[2][:27]
        await browser.post(path, {"deed": "claim"})
        await browser.post(path, {"deed": "comment", "said": "called the customer"})
        held = await browser.get(f"/orders/{payment['order_id']}")
        done = await browser.post(f"/payments/{payment['id']}/release", {"decision": "accept", "why": "pays the rest"})
        case = await browser.get(path)
        left = await browser.get("/cases")
    assert "money came, but not as agreed" in held.text
    assert ("Paid" in done.text, "called the customer" in case.text, "alice works on it" in case.text) == (True,) * 3
    assert "No case is open" in left.text
    assert 1 == len(await audit_of(api, "payment.released"))


async def test_the_release_of_money_above_the_limit_waits_under_approvals(api: Api) -> None:
    """Its page says so before; the second person reads which decision it is, in their own language."""
    payment = await an_old_open_payment(api, "A-1", 500_000)
    await api.confirmed(payment | {"amount_minor": 499_999}, "42-less")
    path = f"/payments/{payment['id']}/release"
    async with signed_in(api) as browser, signed_in(api, "bo", Role.APPROVER) as second:
        before = await browser.get(path)
        asked = await browser.post(path, {"decision": "give_back", "why": "paid the old price"})
        approval = asked.location.removeprefix("/console")
        await second.post("/prefer", {"language": "zh"})
        read = await second.get(approval)
        await second.post(approval, {"deed": "approve", "why": "I looked"})
    assert ("Giving it back waits" in before.text, "Taking it waits" in before.text) == (True, True)
    assert ("退还冻结款项" in read.text, "金额超过单人限额" in read.text) == (True, True)
    assert [("bo", "console", "paid the old price")] == [row[:3] for row in await audit_of(api, "payment.released")]


async def made_link(admin: Browser, name: str) -> str:
    """A link's token, as an admin gets it in the console."""
    return (await admin.post("/users", {"name": name, "deed": "link"})).text.split("link?token=")[1][:43]


async def test_an_admin_alone_is_not_two_people(api: Api) -> None:
    """Who came in by an admin's link neither asks for nor agrees to what takes two; with their own password they do."""
    payment = await an_old_open_payment(api)
    await a_user(api, "bo", Role.APPROVER)
    await a_user(api, "fay", Role.FINANCE)
    path = f"/payments/{payment['id']}/confirm"
    form = {"amount": "12.50", "txn": "4200-made-up", "why": "I say so", "step": "do", "key": "k1"}
    agree = {"deed": "approve", "why": "I agree"}
    async with signed_in(api) as alice, a_browser(api) as bo, a_browser(api) as fay:
        for browser, name in ((bo, "bo"), (fay, "fay")):
            assert 200 == (await browser.post("/link", {"token": await made_link(alice, name)}, csrf="")).status
        asked = await fay.post(path, form)
        assert (403, True) == (asked.status, "a link of alice" in asked.text)
        approval = (await alice.post(path, form | {"key": "k2"})).location.removeprefix("/console")
        assert 403 == (await bo.post(approval, agree)).status
        assert "open" == (await api.call("GET", f"/v1/payments/{payment['id']}"))[1]["state"]
        await bo.post("/sign-out", {})
        await bo.sign_in("bo")
        await forget_the_last_question(api)
        assert 200 == (await bo.post(approval, agree)).status
    assert "paid" == (await api.call("GET", f"/v1/payments/{payment['id']}"))[1]["state"]


async def test_who_has_a_shell_lets_in_whom_they_like(api: Api) -> None:
    """A link of the command line is one's own: its maker has the database."""
    payment = await an_old_open_payment(api, "A-1", 500_000)
    await a_user(api, "fay", Role.FINANCE)
    form = {"amount": "5000", "txn": "4200-made-up", "why": "I say so", "step": "do", "key": "k1"}
    async with a_browser(api) as fay:
        await fay.post("/link", {"token": await a_link(api, "fay")}, csrf="")
        assert "/console/approvals/" in (await fay.post(f"/payments/{payment['id']}/confirm", form)).location


async def test_dead_letters_are_sent_again_by_ticking_or_all(api: Api) -> None:
    """In the page of their endpoint."""
    endpoint = {"url": "http://127.0.0.1:9/hook", "types": ["order.paid"]}
    _, made = await api.call("POST", "/v1/endpoints", endpoint)
    paid = await api.a_paid_payment()
    async with api.paidup.db.session() as tx:
        await tx.execute(
            "INSERT INTO deliveries (event_id, event_created_at, endpoint_id, shop, order_id, seq, type, state, due_at,"
            " created_at) SELECT id, created_at, $1, shop, order_id, seq, type, 'dead', created_at, created_at"
            " FROM events WHERE type = 'order.paid'",
            made["id"],
        )
    async with signed_in(api) as browser:
        listed = await browser.get(f"/deliveries?endpoint={made['id']}")
        nothing = await browser.post("/deliveries", {"endpoint": made["id"], "why": "mended", "deed": "some"})
        await browser.post("/deliveries", {"endpoint": made["id"], "why": "mended", "deed": "all"})
    assert (True, 422) == (f"…{paid['order_id'][-8:]}" in listed.text, nothing.status)
    async with api.paidup.db.session() as tx:
        assert "waiting" == await tx.fetchval("SELECT state FROM deliveries")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
async def test_money_is_not_moved_by_who_may_not(api: Api, role: Role) -> None:
    """Neither shown nor done."""
    paid = await api.a_paid_payment()
    async with signed_in(api, "oscar", role) as browser:
        page = await browser.get(f"/orders/{paid['order_id']}")
        sent = await browser.post(
            f"/payments/{paid['id']}/refund", {"amount": "1", "why": "x", "step": "do", "key": "k"}
        )
    assert (False, 403) == (f"/payments/{paid['id']}/refund" in page.text, sent.status)


async def test_the_go_live_check_asks_the_channel_for_real(api: Api) -> None:
    """The sandbox answers a question about a payment that nobody made; what is missing is said."""
    async with signed_in(api) as browser:
        pages = [
            (await browser.post(f"/channels/{name}/main/check", {})).text for name in ("wechat", "alipay", "stripe")
        ]
    for page in pages:
        assert "The channel answered a question about a payment that nobody made" in page
        assert "No callback has ever arrived" in page


async def test_users_are_managed_and_nobody_disables_themselves(api: Api) -> None:
    """A link for the new one is shown once; an admin is always left."""
    async with signed_in(api) as browser, a_browser(api) as other:
        added = await browser.post("/users", {"deed": "add", "name": "Dora", "role": "operator"})
        token = added.text.partition("link?token=")[2].partition("<")[0]
        assert "/console/" == (await other.post("/link", {"token": token}, csrf="")).location
        await browser.post("/users", {"deed": "disable", "name": "dora"})
        assert "/console/sign-in" == (await other.get("/account")).location
        assert 409 == (await browser.post("/users", {"deed": "disable", "name": "alice"})).status


async def test_settings_show_where_they_come_from_and_no_secret(api: Api) -> None:
    """The database's password is three stars."""
    async with signed_in(api) as browser:
        page = await browser.get("/settings")
    assert (True, False) == ("***" in page.text, api.paidup.settings.database_url in page.text)


async def test_every_page_answers_in_both_languages(api: Api) -> None:
    """Empty or not, none fails."""
    paths = (
        "/", "/cases?all=yes", "/approvals?all=yes", "/callbacks", "/callbacks?state=parked", "/channels", "/audit",
        "/callbacks/quarantine?all=yes", "/deliveries", "/settings", "/users", "/account",
    )  # fmt: skip
    async with signed_in(api) as browser:
        for language in ("en", "zh"):
            await browser.post("/prefer", {"language": language})
            assert [200] * len(paths) == [(await browser.get(path)).status for path in paths]
