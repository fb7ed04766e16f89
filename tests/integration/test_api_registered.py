"""Payments that the shop opened by itself: one call guards them, whatever came before it."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from api_side import ORDER, Api
from kept import count
from paidup.apply import Item, apply
from paidup.evidence import PaymentEvidence, PaymentSays, Road
from paidup.intake import inbox
from paidup.intake.worker import run_once
from paidup.money import Money
from paidup.orders import store as orders
from waits import PID, somebody_waits_for

REGISTER = ORDER | {"channel": "wechat", "merchant_ref": "SHOP-77"}


async def a_callback_comes(api: Api, merchant_ref: str | None, txn_id: str = "42000001") -> None:
    """WeChat says that it is paid, and the entrance makes it durable."""
    now, account = api.paidup.clock.now(), api.paidup.accounts.current.get("wechat", "main")
    says = PaymentEvidence(
        road=Road.CALLBACK, channel="wechat", account="main", key="n1", received_at=now, occurred_at=now,
        merchant_ref=merchant_ref, channel_txn_id=txn_id, amount=Money(1250, "CNY"), payee=account.payee,
        says=PaymentSays.PAID,
    )  # fmt: skip
    received = inbox.Received(
        id=f"cbk{txn_id}", received_at=now, shop="acme", channel="wechat", account="main", dedup_key="n1",
        kind="notify", target="/callbacks/wechat/main", headers="[]", body=b"raw", merchant_ref=merchant_ref,
        evidence=msgspec.json.encode([says]).decode(),
    )  # fmt: skip
    async with api.paidup.db.transaction() as tx:
        await inbox.store(tx, [received])


async def intake(api: Api) -> int:
    return await run_once(api.paidup.db, now=api.paidup.clock.now(), limit=10, handlers=api.paidup.handlers)


async def test_a_callback_that_came_first_is_weighed_at_once(api: Api) -> None:
    """It waits parked; registering wakes it, and the next round of the intake pays the order."""
    await a_callback_comes(api, "SHOP-77")
    assert 1 == await intake(api)
    assert 0 == await intake(api)  # parked: it would be looked at again later
    _, payment = await api.call("POST", "/v1/payments/register", REGISTER)
    assert ("open", 1) == (payment["state"], await intake(api))
    _, order = await api.call("GET", f"/v1/orders/{payment['order_id']}")
    assert ("paid", payment["id"]) == (order["state"], order["paid_by"])


PAGE = "cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u"
"""As long as they are, in Stripe's own example."""


@pytest.mark.parametrize("numbers", [{"merchant_ref": PAGE}, {"merchant_ref": "A-1", "channel_txn_id": PAGE}])
async def test_a_page_of_stripes_is_known_by_its_own_id(api: Api, numbers: dict[str, str]) -> None:
    """Its notice names the PaymentIntent, which the shop did not, and the page: the order is paid at once, and the
    PaymentIntent's own notices find the payment from then on."""
    page = ORDER | {"channel": "stripe", "method": "checkout", "currency": "USD"} | numbers
    _, payment = await api.call("POST", "/v1/payments/register", page)
    now, account = api.paidup.clock.now(), api.paidup.accounts.current.get("stripe", "main")
    says = PaymentEvidence(
        road=Road.CALLBACK, channel="stripe", account="main", key="evt_1", received_at=now, occurred_at=now,
        merchant_ref="pi_1", channel_txn_id="pi_1", other_ref=PAGE, amount=Money(1250, "USD"), payee=account.payee,
        says=PaymentSays.PAID,
    )  # fmt: skip
    async with api.paidup.db.transaction() as tx:
        (weighed,) = await apply(tx, [Item(what=says, shop="acme", road="callback")], now, api.paidup.handlers)
    assert ("applied", payment["id"]) == (weighed.outcome, weighed.payment_id)
    _, paid = await api.call("GET", f"/v1/payments/{payment['id']}")
    assert ("paid", "pi_1") == (paid["state"], paid["channel_txn_id"])


async def test_registering_wakes_what_speaks_of_the_payment_and_nothing_else(api: Api) -> None:
    """What names no number of ours is found by the channel's number; what is said of payments of others sleeps on."""
    for txn_id in ("42000001", "42000002"):
        await a_callback_comes(api, None, txn_id)
    assert (2, 0) == (await intake(api), await intake(api))
    _, payment = await api.call("POST", "/v1/payments/register", REGISTER | {"channel_txn_id": "42000002"})
    assert 1 == await intake(api)
    _, order = await api.call("GET", f"/v1/orders/{payment['order_id']}")
    assert ("paid", payment["id"]) == (order["state"], order["paid_by"])


async def test_registering_and_the_intake_never_wait_for_each_other_in_a_circle(api: Api) -> None:
    """The intake holds the callback that waits for the payment, and wants its order next."""
    await a_callback_comes(api, "SHOP-78")
    await intake(api)
    order_id, db = await api.an_order(), api.paidup.db
    body = {"channel": "wechat", "merchant_ref": "SHOP-78"}
    async with db.transaction() as tx:
        assert 1 == len(await inbox.claim(tx, api.paidup.clock.now() + timedelta(days=1), 10))
        registers = asyncio.create_task(api.call("POST", f"/v1/orders/{order_id}/payments/register", body))
        await somebody_waits_for(db, await tx.fetchval(PID))
        assert 1 == len(await orders.lock(tx, [order_id]))
    assert 201 == (await registers)[0]


async def test_a_payment_of_a_known_order_is_registered_by_its_id(api: Api) -> None:
    """Amount and currency are the order's; an unknown order is 404, and nothing is kept of it."""
    order_id = await api.an_order()
    body = {"channel": "alipay", "merchant_ref": "SHOP-78", "channel_txn_id": "2026112322001"}
    status, payment = await api.call("POST", f"/v1/orders/{order_id}/payments/register", body)
    unknown, _ = await api.call("POST", "/v1/orders/ord1/payments/register", body | {"merchant_ref": "SHOP-79"})
    assert (201, order_id, 1250, "2026112322001", 404, 1) == (
        status, payment["order_id"], payment["amount_minor"], payment["channel_txn_id"], unknown,
        await count(api.paidup.db, "payments"),
    )  # fmt: skip


async def test_registering_twice_is_one_payment_and_one_job(api: Api) -> None:
    """An integration that repeats the call after a timeout needs no key for it."""
    answers = [await api.call("POST", "/v1/payments/register", REGISTER) for _ in range(3)]
    assert [answers[0]] * 3 == answers
    assert (1, 1, 1) == tuple([await count(api.paidup.db, table) for table in ("orders", "payments", "due")])


async def test_a_payment_may_live_longer_than_its_order_if_the_shop_says_so(api: Api) -> None:
    """Alipay's page is closed only when it has died; unless the shop says when, that is the order's end."""
    page = REGISTER | {"channel": "alipay", "method": "page"}
    _, unsaid = await api.call("POST", "/v1/payments/register", page)
    _, order = await api.call("GET", f"/v1/orders/{unsaid['order_id']}")
    dies_at = (api.paidup.clock.now() + timedelta(days=3)).isoformat().replace("+00:00", "Z")
    longer = page | {"merchant_ref": "SHOP-79", "expires_at": dies_at}
    status, said = await api.call("POST", "/v1/payments/register", longer)
    assert (order["expires_at"], 201, dies_at) == (unsaid["expires_at"], status, said["expires_at"])
    for wrong in ((api.paidup.clock.now() + timedelta(days=31)).isoformat(), "2026-11-23T08:00:00", "soon"):
        refused, _ = await api.call(
            "POST", "/v1/payments/register", longer | {"merchant_ref": "S", "expires_at": wrong}
        )
        assert (422, 2) == (refused, await count(api.paidup.db, "payments"))


@pytest.mark.parametrize("ends", ["paid", "closed"])
async def test_what_is_registered_for_an_order_that_wants_no_money_is_withdrawn(api: Api, ends: str) -> None:
    """Paid, or given up: the customer must not pay the shop's own offer as well. It is closed at the channel."""
    order_id = await api.an_order()
    path, body = f"/v1/orders/{order_id}/payments/register", {"channel": "wechat"}
    _, first = await api.call("POST", path, body | {"merchant_ref": "SHOP-77"})
    if ends == "paid":
        await a_callback_comes(api, "SHOP-77")
        await intake(api)
    else:
        await api.call("POST", f"/v1/orders/{order_id}/close", {}, once="c")
    status, second = await api.call("POST", path, body | {"merchant_ref": "SHOP-78"})
    assert ("open", 201, "closing") == (first["state"], status, second["state"])


async def test_a_refused_registration_leaves_no_order_behind(api: Api) -> None:
    """The channel account is unknown, or the number belongs to another order: the call is undone whole."""
    unknown, problem = await api.call("POST", "/v1/payments/register", REGISTER | {"account": "second"})
    assert (404, True, 0) == (unknown, "wechat/main" in problem["detail"], await count(api.paidup.db, "orders"))
    await api.call("POST", "/v1/payments/register", REGISTER)
    taken, _ = await api.call("POST", "/v1/payments/register", REGISTER | {"shop_order_no": "A-2"})
    assert (409, 1) == (taken, await count(api.paidup.db, "orders"))


async def test_a_payment_that_stripe_cannot_be_asked_about_is_refused(api: Api) -> None:
    """Stripe goes by its own ids: under a number of the shop's alone nothing is registered, and 422 says what to do."""
    register = REGISTER | {"channel": "stripe", "currency": "USD"}
    status, problem = await api.call("POST", "/v1/payments/register", register)
    kept = await count(api.paidup.db, "payments"), await count(api.paidup.db, "orders")
    mended, payment = await api.call("POST", "/v1/payments/register", register | {"channel_txn_id": "pi_1"})
    assert (422, True, (0, 0)) == (status, "channel_txn_id" in problem["detail"], kept)
    assert (201, "pi_1") == (mended, payment["channel_txn_id"])


async def test_an_order_over_other_money_is_not_overwritten(api: Api) -> None:
    """The shop's number was used for 12.50; a registration over 1.00 is a conflict."""
    await api.an_order()
    status, problem = await api.call("POST", "/v1/payments/register", REGISTER | {"amount_minor": 100})
    assert (409, True, 0) == (status, "12.50 CNY" in problem["detail"], await count(api.paidup.db, "payments"))


async def test_a_field_that_the_method_needs_is_asked_for(api: Api) -> None:
    """WeChat's jsapi needs the customer's openid: 422 says so, nothing is written, and the key is free again."""
    order_id = await api.an_order()
    path, body = f"/v1/orders/{order_id}/payments", {"channel": "wechat", "method": "jsapi"}
    missing, problem = await api.call("POST", path, body, once="k")
    written = await count(api.paidup.db, "payments")
    opened, _ = await api.call("POST", path, body | {"extra": {"openid": "oUpF8uMuAJO"}}, once="k")
    assert (422, True, 0, 201) == (missing, "openid" in problem["detail"], written, opened)


async def test_the_waiting_page_is_told_when_the_channel_is_asked_next(api: Api) -> None:
    """While it is open there is a next time; once it is paid there is none, and the channel is left alone."""
    payment = await api.an_open_payment()
    _, waiting = await api.call("GET", f"/v1/payments/{payment['id']}/status")
    await api.testify(payment)
    _, paid = await api.call("GET", f"/v1/payments/{payment['id']}/status")
    assert (False, True, True) == (waiting["paid"], waiting["asked"], waiting["next_question_at"] is not None)
    assert {
        "payment_id": payment["id"],
        "state": "paid",
        "paid": True,
        "asked": False,
        "next_question_at": None,
    } == paid
