"""Idempotency-Key over real HTTP: repeats, collisions, runs that died half-way, and keys that outlived their time."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from api_side import ORDER, Api
from kept import count
from paidup.clock import SystemClock
from paidup.errors import Conflict
from paidup.sandbox.faults import Faults
from paidup.web.api import ROUTES
from paidup.web.idempotency import ABANDONED, KEPT, Answer, Busy, once, prune

OPEN = {"channel": "wechat"}


async def forget_the_answer(api: Api, key: str, *, seconds_ago: float) -> None:
    """As if the process had died, so long ago, between the work and its answer."""
    async with api.paidup.db.transaction() as tx:
        entered = api.paidup.clock.now() - timedelta(seconds=seconds_ago)
        await tx.execute(
            "UPDATE idempotency_keys SET status = NULL, answer = NULL, created_at = $2 WHERE key = $1", key, entered
        )


async def test_a_repeat_gets_the_first_answer_and_is_told_so(api: Api) -> None:
    """Status and body as they were, though the order has changed since."""
    order_id = await api.an_order()
    path = f"{api.url}/v1/orders/{order_id}/payments"
    headers = {"authorization": f"Bearer {api.key}", "idempotency-key": "k"}
    answers = []
    for _ in range(2):
        async with api.session.post(path, data=json.dumps(OPEN), headers=headers) as answer:
            answers.append((answer.status, await answer.read(), answer.headers.get("idempotent-replayed")))
        await api.close_order(order_id, seconds_ago=0)
    assert (answers[0][:2], None, "true") == (answers[1][:2], answers[0][2], answers[1][2])


async def test_a_key_is_bound_to_method_path_and_body(api: Api) -> None:
    """The same body for another order is another request, and so is the same order with another body."""
    first, second = await api.an_order("A-1"), await api.an_order("A-2")
    await api.call("POST", f"/v1/orders/{first}/payments", OPEN, once="k")
    elsewhere, _ = await api.call("POST", f"/v1/orders/{second}/payments", OPEN, once="k")
    otherwise, _ = await api.call("POST", f"/v1/orders/{first}/payments", OPEN | {"method": "h5"}, once="k")
    assert (409, 409, 1) == (elsewhere, otherwise, await count(api.paidup.db, "payments"))


async def test_a_secret_is_not_kept_as_an_answer(api: Api) -> None:
    """Of an endpoint and of a participant, made or rotated: a repeat does nothing again, and is told how to go on."""
    where = {"url": "http://127.0.0.1:9/hear"}
    _, endpoint = await api.call("POST", "/v1/endpoints", where, once="e")
    paths = (f"/v1/endpoints/{endpoint['id']}/rotate", "/v1/participants/coupons/rotate")
    _, participant = await api.call("POST", "/v1/participants", where | {"name": "coupons"}, once="p")
    rotated = [(await api.call("POST", path, once=path))[1] for path in paths]
    secrets = [made["secret"] for made in (endpoint, participant, *rotated)]
    assert (4, {"whsec_"}) == (len(set(secrets)), {secret[:6] for secret in secrets})
    repeats = [
        await api.call("POST", "/v1/endpoints", where, once="e"),
        await api.call("POST", "/v1/participants", where | {"name": "coupons"}, once="p"),
        *[await api.call("POST", path, once=path) for path in paths],
    ]
    assert [(409, f"POST {path} gives a new one") for path in (*paths, *paths)] == [
        (status, problem["detail"].partition("if it got lost, ")[2]) for status, problem in repeats
    ]
    async with api.paidup.db.session() as tx:
        assert 0 == await tx.fetchval("SELECT count(*) FROM idempotency_keys WHERE answer LIKE '%whsec_%'")
        assert (1, 2) == tuple(await tx.fetchrow("SELECT count(*), max(cardinality(secrets)) FROM endpoints"))


async def test_what_holds_no_secret_this_time_is_answered_again(api: Api) -> None:
    """An endpoint that is disabled shows none: the repeat gets the first answer."""
    _, endpoint = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
    path = f"/v1/endpoints/{endpoint['id']}/disable"
    assert await api.call("POST", path, once="d") == await api.call("POST", path, once="d")


def test_whatever_may_answer_with_a_secret_says_so() -> None:
    """Of every operation whose answer has a field for one, no answer is kept that holds one."""
    may = [route for route in ROUTES if "secret" in getattr(route.gives, "__struct_fields__", ())]
    assert len(may) >= 8
    assert [] == [route.shown_path for route in may if not route.secret]


async def test_each_shop_has_its_own_keys(api: Api) -> None:
    """Two shops that number their requests alike do not meet."""
    other = await api.a_key(shop="other")
    placed = [await api.call("POST", "/v1/orders", ORDER, key=key, once="1") for key in (api.key, other)]
    assert [201, 201] == [status for status, _ in placed]
    assert placed[0][1]["id"] != placed[1][1]["id"]


async def test_a_run_that_died_before_its_answer_opens_no_second_payment(api: Api) -> None:
    """For a minute the key is busy; then the same request runs again, and the payment is the same one."""
    order_id = await api.an_order()
    path = f"/v1/orders/{order_id}/payments"
    _, first = await api.call("POST", path, OPEN, once="k")
    await forget_the_answer(api, "k", seconds_ago=ABANDONED.total_seconds() - 10)
    busy, problem = await api.call("POST", path, OPEN, once="k")
    await forget_the_answer(api, "k", seconds_ago=ABANDONED.total_seconds() + 1)
    again, second = await api.call("POST", path, OPEN, once="k")
    assert (409, "urn:paidup:problem:in-progress", 201) == (busy, problem["type"], again)
    assert (first["id"], first["pay_with"], 1) == (
        second["id"], second["pay_with"], await count(api.paidup.db, "payments"),
    )  # fmt: skip


async def test_an_opening_whose_answer_was_lost_is_the_same_trade_when_repeated(api: Api) -> None:
    """The channel acted and hung up: 502 says so, and the repeat under the key finds its one trade."""
    order_id = await api.an_order()
    path = f"/v1/orders/{order_id}/payments"
    api.sandbox.faults = Faults(drop=1)
    lost, problem = await api.call("POST", path, OPEN, once="k")
    api.sandbox.faults = Faults()
    opened, payment = await api.call("POST", path, OPEN, once="k")
    assert (502, True, 201, "open") == (lost, payment["id"] in problem["detail"], opened, payment["state"])
    assert 1 == await count(api.paidup.db, "payments")


async def test_a_refund_of_the_rest_is_the_same_refund_after_a_crash(api: Api) -> None:
    """Asked for without an amount: by then nothing is left, and yet the first refund is the answer."""
    payment = await api.a_paid_payment()
    path = f"/v1/payments/{payment['id']}/refunds"
    _, first = await api.call("POST", path, {}, once="r")
    await forget_the_answer(api, "r", seconds_ago=ABANDONED.total_seconds() + 1)
    status, second = await api.call("POST", path, {}, once="r")
    assert (201, first, 1250, 1) == (status, second, second["amount_minor"], await count(api.paidup.db, "refunds"))


async def test_two_refunds_of_the_rest_give_it_back_once(api: Api) -> None:
    """Under a second key nothing is left: what is under way counts."""
    payment = await api.a_paid_payment()
    path = f"/v1/payments/{payment['id']}/refunds"
    _, half = await api.call("POST", path, {"amount_minor": 500}, once="r1")
    _, rest = await api.call("POST", path, {}, once="r2")
    status, problem = await api.call("POST", path, {}, once="r3")
    assert (500, 750, 409, True) == (
        half["amount_minor"], rest["amount_minor"], status, "left to refund" in problem["detail"],
    )  # fmt: skip


async def test_a_refusal_does_not_use_up_the_key(api: Api) -> None:
    """What was in the way may be gone: the same request under the same key is then done."""
    payment = await api.an_open_payment()
    path = f"/v1/payments/{payment['id']}/refunds"
    too_early, _ = await api.call("POST", path, {}, once="r")
    await api.testify(payment)
    done, _ = await api.call("POST", path, {}, once="r")
    assert (409, 201) == (too_early, done)


async def test_of_many_at_once_one_does_the_work(api: Api) -> None:
    """Ten requests under one key: one payment; whoever came too early is told to ask again."""
    order_id = await api.an_order()
    path = f"/v1/orders/{order_id}/payments"
    answers = await asyncio.gather(*(api.call("POST", path, OPEN, once="k") for _ in range(10)))
    assert {201, 409} >= {status for status, _ in answers}
    assert {"urn:paidup:problem:in-progress"} >= {body["type"] for status, body in answers if status == 409}
    _, settled = await api.call("POST", path, OPEN, once="k")
    ids = {body["id"] for status, body in answers if status == 201}
    assert ({settled["id"]}, 1) == (ids, await count(api.paidup.db, "payments"))


async def test_a_late_first_run_gives_the_answer_that_was_written(api: Api) -> None:
    """A run that was taken for dead and ends after its successor answers as that one did, and forgets nothing."""
    db, now = api.paidup.db, SystemClock().now()
    given: dict[str, Any] = {"shop": "acme", "key": "k", "request": b"POST /x"}
    later = now + ABANDONED + timedelta(seconds=1)

    async def successor() -> Answer:
        return Answer(201, b'"successor"')

    async def late_first() -> Answer:
        assert Answer(201, b'"successor"') == await once(db, **given, now=later, work=successor)
        return Answer(201, b'"late"')

    assert b'"successor"' == (await once(db, **given, now=now, work=late_first)).body


async def test_a_late_first_run_that_fails_leaves_the_key_to_its_successor(api: Api) -> None:
    """It forgets only what is its own: the successor still holds the key, so a third one has to wait."""
    db, now = api.paidup.db, SystemClock().now()
    given: dict[str, Any] = {"shop": "acme", "key": "k", "request": b"POST /x"}
    later = now + ABANDONED + timedelta(seconds=1)
    entered, taken_over = asyncio.Event(), asyncio.Event()

    async def fail_late() -> Answer:
        entered.set()
        await taken_over.wait()
        raise Conflict("too late")

    async def never() -> Answer:
        raise AssertionError("the key is held by somebody else")

    async def succeed() -> Answer:
        taken_over.set()
        with pytest.raises(Conflict, match="too late"):
            await first
        with pytest.raises(Busy):
            await once(db, **given, now=later, work=never)
        return Answer(201, b"1")

    first = asyncio.create_task(once(db, **given, now=now, work=fail_late))
    await entered.wait()
    assert Answer(201, b"1") == await once(db, **given, now=later, work=succeed)
    assert Answer(201, b"1", replayed=True) == await once(db, **given, now=later, work=never)


async def test_a_key_must_be_sayable(api: Api) -> None:
    """Empty or endless keys are refused before anything is done."""
    for key in ("k" * 256, "\u00a0"):
        status, problem = await api.call("POST", "/v1/orders", ORDER, once=key)
        assert (422, True) == (status, "Idempotency-Key" in problem["detail"])
    assert 0 == await count(api.paidup.db, "orders")


async def test_keys_are_forgotten_after_thirty_days(api: Api) -> None:
    """And not before: no retry of anybody comes that late."""
    db, now = api.paidup.db, api.paidup.clock.now()
    await api.call("POST", "/v1/orders", ORDER, once="k")
    left = []
    for days in (KEPT - timedelta(minutes=1), KEPT + timedelta(minutes=1)):
        async with db.transaction() as tx:
            await prune(tx, now + days, 10)
        left.append(await count(db, "idempotency_keys"))
    assert [1, 0] == left
