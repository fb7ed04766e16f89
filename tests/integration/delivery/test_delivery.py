"""Claims about deliveries that arrive, fail, end as dead letters and are redriven."""

import asyncio

import msgspec
import pytest
from aiohttp import web
from delivery_side import (
    NOW,
    PATIENT_S,
    SHOP,
    Got,
    Receiver,
    after,
    an_endpoint,
    an_event,
    answering,
    happened,
    ok,
    only_attempt,
    round_at,
    states,
    until_idle,
)
from standardwebhooks.webhooks import Webhook

from paidup.db.transaction import Database
from paidup.delivery import attempts, endpoints, shown, store
from paidup.delivery.courier import Courier
from paidup.delivery.plan import SCHEDULE, Step
from paidup.delivery.send import Sender
from paidup.delivery.sign import MAX_BODY_BYTES
from paidup.errors import InvalidRequest
from paidup.events import EventType
from paidup.outbox import store as outbox
from paidup.testing.builders import LONG_AGO


async def test_an_event_arrives_signed(db: Database, receiver: Receiver, courier: Courier):
    """The receiver gets the event's bytes with a signature that the public package makes as well."""
    endpoint = await an_endpoint(db, receiver.url)
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    (got,) = receiver.got
    expected = {
        "id": "evt_ord1_1",
        "type": "order.paid",
        "created_at": "2026-11-23T08:00:00.000000Z",
        "shop": SHOP,
        "order_id": "ord1",
        "seq": 1,
        "data": {"amount_minor": 100},
    }
    assert expected == msgspec.json.decode(got.body)
    assert ("evt_ord1_1", str(int(NOW.timestamp()))) == (got.id, got.timestamp)
    assert Webhook(endpoint.secret or "").sign(got.id, NOW, got.body.decode()) == got.signature
    assert ["delivered"] == await states(db)


async def test_only_the_endpoints_that_asked_get_it(db: Database, receiver: Receiver, courier: Courier):
    """Types are filtered on our side, other shops hear nothing, and the outbox is emptied in any case."""
    await an_endpoint(db, receiver.url + "/all")
    await an_endpoint(db, receiver.url + "/refunds", [EventType.REFUND_SUCCEEDED])
    await an_endpoint(db, receiver.url + "/other", shop="bakery")
    await happened(db, an_event(), an_event(seq=2, type=EventType.REFUND_SUCCEEDED), an_event("x", shop="nobody"))
    await until_idle(db, courier, NOW)
    expected = [("/hook/all", 1), ("/hook/all", 2), ("/hook/refunds", 2)]
    assert expected == sorted((got.path, got.seq) for got in receiver.got)
    async with db.session() as tx:
        assert (0, []) == (await outbox.waiting(tx), await shown.deliveries_of(tx, "x"))


async def test_acknowledged_is_not_applied(db: Database, receiver: Receiver, courier: Courier):
    """The audit names what was answered 2xx and never said to be applied, once it is old enough."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event("said"), an_event("silent"))

    async def answers(got: Got) -> web.StreamResponse:
        return web.json_response({"applied": True}) if got.order_id == "said" else web.Response()

    receiver.answers = answers
    await until_idle(db, courier, NOW)
    async with db.session() as tx:
        assert ["silent"] == [delivery.order_id for delivery in await shown.audit(tx, after(60))]
        assert [] == await shown.audit(tx, NOW)
        (said,) = await shown.deliveries_of(tx, "said")
    assert said.applied_at == said.acknowledged_at
    assert said.applied_at is not None


async def test_a_failing_delivery_parks_its_order_and_nothing_else(db: Database, receiver: Receiver, courier: Courier):
    """Later events of the order wait behind it, other orders go on, and afterwards all come in order."""
    await an_endpoint(db, receiver.url)

    async def answers(got: Got) -> web.StreamResponse:
        return web.Response(status=500 if got.order_id == "ord1" else 200)

    receiver.answers = answers
    await happened(db, an_event(), an_event(seq=2), an_event("ord2"))
    await until_idle(db, courier, NOW)
    await happened(db, an_event(seq=3), an_event("ord2", seq=2))
    await until_idle(db, courier, after(1))
    assert ([1], [1, 2]) == (receiver.seqs(), receiver.seqs("ord2"))
    receiver.answers = ok
    await until_idle(db, courier, after(10))
    assert ([1, 1, 2, 3], ["delivered"] * 3) == (receiver.seqs(), await states(db))


async def test_a_repeat_has_the_same_id_and_a_fresh_timestamp(db: Database, receiver: Receiver, courier: Courier):
    """A receiver drops repeats by webhook-id, and its tolerance for old timestamps does not lock out late retries."""
    await an_endpoint(db, receiver.url)
    receiver.answers = answering(500)
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    await until_idle(db, courier, after(3600))
    first, second = receiver.got
    assert (first.id, first.body, int(first.timestamp) + 3600) == (second.id, second.body, int(second.timestamp))


async def test_every_attempt_is_kept(db: Database, receiver: Receiver, courier: Courier):
    """Status, reason, time and the start of the answer can be read afterwards, oldest first."""
    await an_endpoint(db, receiver.url)
    receiver.answers = answering(503, text="x" * 5000)
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    receiver.answers = ok
    await until_idle(db, courier, after(10))
    async with db.session() as tx:
        first, second = await attempts.attempts_of(tx, "ord1", since=LONG_AGO)
    assert (Step.AGAIN, 503, "503: not accepted", 1, b"x" * 4096) == (
        first.outcome,
        first.status,
        first.why,
        first.number,
        first.answer,
    )
    assert (Step.DELIVERED, 200, 2, b"OK", after(10)) == (
        second.outcome,
        second.status,
        second.number,
        second.answer,
        second.attempted_at,
    )


async def test_a_redirect_is_not_followed(db: Database, receiver: Receiver, courier: Courier):
    """The receiver cannot send us elsewhere; the reason says what to change."""
    await an_endpoint(db, receiver.url)
    receiver.answers = answering(307, headers={"Location": receiver.url + "/elsewhere"})
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    assert ["/hook"] == [got.path for got in receiver.got]
    assert "307: redirects are not followed; change the endpoint's URL" == (await only_attempt(db)).why


async def test_a_closed_connection_is_tried_again(db: Database, receiver: Receiver, courier: Courier):
    """A receiver that hangs up without an answer gets the event again."""
    await an_endpoint(db, receiver.url)

    receiver.hangs_up = True
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    assert (Step.AGAIN, None) == ((await only_attempt(db)).outcome, (await only_attempt(db)).status)
    receiver.hangs_up = False
    await until_idle(db, courier, after(10))
    assert ([1, 1], ["delivered"]) == (receiver.seqs(), await states(db))


async def test_nobody_listening_is_tried_again(db: Database, courier: Courier):
    """A refused connection is a failed attempt with its reason."""
    await an_endpoint(db, "http://127.0.0.1:1/hook")
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    attempt = await only_attempt(db)
    assert (Step.AGAIN, "no answer: Failed to connect to 127.0.0.1") == (attempt.outcome, attempt.why.split(":1 ")[0])


async def test_a_receiver_that_does_not_answer_in_time_is_tried_again(db: Database, receiver: Receiver):
    """The deadline bounds the whole attempt."""
    await an_endpoint(db, receiver.url)
    never = asyncio.Event()

    async def answers(_got: Got) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    receiver.answers = answers
    await happened(db, an_event())
    sender = Sender(allow_loopback=True, deadline_s=0.2)
    await until_idle(db, Courier(sender, patience_s=PATIENT_S), NOW)
    await sender.aclose()
    attempt = await only_attempt(db)
    assert (Step.AGAIN, "no answer: nothing came within 0.2 s") == (attempt.outcome, attempt.why)


async def test_an_answer_that_is_no_text_takes_nothing_from_the_others(
    db: Database, receiver: Receiver, courier: Courier
):
    """Each attempt of a batch is written down, whatever bytes one receiver sent."""

    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: \xff\x80gzip\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(noise, "127.0.0.1", 0) as server:
        await an_endpoint(db, receiver.url)
        await an_endpoint(db, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await happened(db, an_event())
        await until_idle(db, courier, NOW)
    assert (["delivered", "waiting"], 1) == (sorted(await states(db)), len(receiver.got))


async def test_a_slow_endpoint_does_not_hold_up_the_others(db: Database, receiver: Receiver, sender: Sender):
    """A round waits a moment only; what answers later is settled by a later round."""
    await an_endpoint(db, receiver.url)
    answer_now = asyncio.Event()

    async def answers(got: Got) -> web.StreamResponse:
        if got.order_id == "slow":
            await answer_now.wait()
        return web.Response()

    receiver.answers = answers
    courier = Courier(sender, patience_s=0.3)
    await happened(db, an_event("slow"))
    await round_at(db, courier, NOW)
    await happened(db, an_event("quick"))
    await until_idle(db, courier, NOW)
    assert (["waiting"], ["delivered"]) == (await states(db, "slow"), await states(db, "quick"))
    answer_now.set()
    await until_idle(db, courier, NOW)
    assert (["delivered"], [1]) == (await states(db, "slow"), receiver.seqs("slow"))


async def test_an_overloaded_endpoint_is_left_alone_as_long_as_it_asks(
    db: Database, receiver: Receiver, courier: Courier
):
    """429 with Retry-After stops everything for that endpoint, whatever order it belongs to."""
    await an_endpoint(db, receiver.url)
    receiver.answers = answering(429, headers={"Retry-After": "60"})
    await happened(db, an_event())
    await until_idle(db, courier, NOW)
    receiver.answers = ok
    await happened(db, an_event("ord2"))
    await until_idle(db, courier, after(59))
    assert 1 == len(receiver.got)
    await until_idle(db, courier, after(62))
    assert ([1, 1], [1]) == (receiver.seqs(), receiver.seqs("ord2"))


async def test_gone_disables_the_endpoint_and_keeps_its_events(db: Database, receiver: Receiver, courier: Courier):
    """After 410 nothing is sent; enabled again and redriven, everything arrives in order."""
    endpoint = await an_endpoint(db, receiver.url)
    receiver.answers = answering(410)
    await happened(db, an_event(), an_event(seq=2))
    await until_idle(db, courier, NOW)
    await happened(db, an_event(seq=3))
    await until_idle(db, courier, after(60))
    async with db.session() as tx:
        (disabled,) = await endpoints.list_endpoints(tx, SHOP)
    assert (False, "410: the receiver wants no more events; the endpoint is disabled") == (
        disabled.enabled,
        disabled.disabled_why,
    )
    assert ([1], ["skipped"] * 3) == (receiver.seqs(), await states(db))
    receiver.answers = ok
    async with db.transaction() as tx:
        await endpoints.enable(tx, SHOP, endpoint.id)
        assert 3 == await store.redrive_endpoint(tx, endpoint.id, after(90))
    await until_idle(db, courier, after(90))
    assert ([1, 1, 2, 3], ["delivered"] * 3) == (receiver.seqs(), await states(db))


async def test_an_event_that_can_never_be_sent_does_not_block_its_order(
    db: Database, receiver: Receiver, courier: Courier
):
    """One that is too large is dead at once, with its reason, and the next one is sent."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event(data={"note": "x" * MAX_BODY_BYTES}), an_event(seq=2))
    await until_idle(db, courier, NOW)
    assert (["dead", "delivered"], [2]) == (await states(db), receiver.seqs())


async def test_after_the_last_try_it_is_a_dead_letter_that_can_be_redriven(
    db: Database, receiver: Receiver, courier: Courier
):
    """The order goes on behind a dead letter; redriven, it is sent again under the same id."""
    await an_endpoint(db, receiver.url)

    async def answers(got: Got) -> web.StreamResponse:
        return web.Response(status=500 if got.seq == 1 else 200)

    receiver.answers = answers
    await happened(db, an_event(), an_event(seq=2))
    at_s = 0.0
    for wait_s in (0, *SCHEDULE.steps_s):
        assert 2 not in receiver.seqs()
        at_s += wait_s + 1
        await until_idle(db, courier, after(at_s))
    tries = len(SCHEDULE.steps_s) + 1
    assert ([1] * tries + [2], ["dead", "delivered"]) == (receiver.seqs(), await states(db))
    receiver.answers = ok
    async with db.transaction() as tx:
        (dead, _) = await shown.deliveries_of(tx, "ord1")
        assert 1 == await store.redrive(tx, [dead.id], after(at_s))
    await until_idle(db, courier, after(at_s))
    assert (1, ["delivered"] * 2) == (receiver.seqs()[-1], await states(db))
    assert 2 == len({got.id for got in receiver.got})


async def test_a_redriven_delivery_comes_before_those_that_still_wait(
    db: Database, receiver: Receiver, courier: Courier
):
    """Event 2 waits for its retry when event 1 is redriven: 1 goes first, then 2."""
    await an_endpoint(db, receiver.url)
    await happened(db, an_event(data={"note": "x" * MAX_BODY_BYTES}))
    await until_idle(db, courier, NOW)
    receiver.answers = answering(500)
    await happened(db, an_event(seq=2))
    await until_idle(db, courier, NOW)
    receiver.answers = ok
    async with db.transaction() as tx:
        await tx.execute("UPDATE events SET data = '{}' WHERE seq = 1")
        (dead, _) = await shown.deliveries_of(tx, "ord1")
        await store.redrive(tx, [dead.id], after(10))
    await until_idle(db, courier, after(10))
    assert ([2, 1, 2], ["delivered"] * 2) == (receiver.seqs(), await states(db))


async def test_redrive_takes_only_what_is_over_and_belongs_to_the_shop(
    db: Database, receiver: Receiver, courier: Courier
):
    """Another shop's, a waiting and an applied delivery stay as they are; too many at a time are refused."""
    await an_endpoint(db, receiver.url)
    receiver.answers = answering(200, headers={"Paidup-Applied": "true"})
    await happened(db, an_event("applied"))
    await until_idle(db, courier, NOW)
    receiver.answers = answering(500)
    await happened(db, an_event("waiting"), an_event("dead", data={"note": "x" * MAX_BODY_BYTES}))
    await until_idle(db, courier, NOW)
    async with db.transaction() as tx:
        found = [*await shown.deliveries_of(tx, "applied"), *await shown.deliveries_of(tx, "waiting")]
        (dead,) = await shown.deliveries_of(tx, "dead")
        assert 0 == await store.redrive(tx, [delivery.id for delivery in found], NOW)
        assert 0 == await store.redrive(tx, [dead.id], NOW, shop="bakery")
        assert 1 == await store.redrive(tx, [dead.id], NOW, shop=SHOP)
        with pytest.raises(InvalidRequest, match="at most"):
            await store.redrive(tx, list(range(store.MAX_REDRIVEN + 1)), NOW)
