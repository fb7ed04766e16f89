"""What is above the limit of one person takes two, by whichever way somebody goes about it."""

import asyncio
from typing import Any

import msgspec
import pytest

from api_side import ORDER, Api
from paidup.apply import Item, apply
from paidup.errors import Conflict
from paidup.evidence import PaymentEvidence, PaymentSays, Road
from paidup.hand.approve import approve, refuse
from paidup.hand.refund import GiveBack, refund
from paidup.money import Money
from paidup.people.audit import Actor
from paidup.sandbox.faults import Faults

BIG = 5_000_000
"""50,000 CNY; one person may do up to 1,000 CNY."""
ZOE = Actor("zoe", "console")


async def a_big_payment(api: Api) -> dict[str, Any]:
    """Open at the channel."""
    _, order = await api.call("POST", "/v1/orders", ORDER | {"amount_minor": BIG, "shop_order_no": "BIG-1"})
    status, payment = await api.call("POST", f"/v1/orders/{order['id']}/payments", {"channel": "wechat"}, once="o")
    assert 201 == status, payment
    return payment


async def a_big_one_held(api: Api, came_minor: int) -> dict[str, Any]:
    """Two people said that another amount came."""
    held = await api.confirmed(await a_big_payment(api) | {"amount_minor": came_minor}, "4200-held")
    assert "held" == held["state"]
    return held


async def the_channel_says(api: Api, payment: dict[str, Any], came_minor: int) -> None:
    """An answer of the channel goes through the door."""
    now = api.paidup.clock.now()
    said = PaymentEvidence(
        road=Road.QUERY, channel="wechat", account="main", key="again", received_at=now, says=PaymentSays.PAID,
        merchant_ref=payment["merchant_ref"], channel_txn_id="4200-held", amount=Money(came_minor, "CNY"),
    )  # fmt: skip
    async with api.paidup.db.transaction() as tx:
        await apply(tx, [Item(what=said, shop="acme", road="query")], now, api.paidup.handlers)


async def release(api: Api, payment: dict[str, Any], decision: str) -> dict[str, Any]:
    """What one key is answered."""
    path = f"/v1/payments/{payment['id']}/release"
    status, answer = await api.call("POST", path, {"decision": decision, "reason": "as agreed by phone"})
    assert 200 == status, answer
    return answer


async def refunds_of(api: Api, payment: dict[str, Any]) -> list[int]:
    """What is given back, in minor units."""
    return [one["amount_minor"] for one in (await api.call("GET", f"/v1/trace/{payment['id']}"))[1]["refunds"]]


async def order_of(api: Api, payment: dict[str, Any]) -> str:
    """Its state."""
    return (await api.call("GET", f"/v1/orders/{payment['order_id']}"))[1]["state"]


@pytest.mark.parametrize("said_minor", [BIG, 1])
async def test_the_limit_of_a_confirmation_goes_by_what_was_agreed_too(api: Api, said_minor: int) -> None:
    """The channel is silent: whatever amount one person types, a second one is asked, and nothing is held or paid."""
    payment = await a_big_payment(api)
    api.sandbox.faults = Faults(drop=1)
    word = {"channel_txn_id": "4200-made-up", "reason": "I say so", "amount_minor": said_minor}
    _, asked = await api.call("POST", f"/v1/payments/{payment['id']}/confirm", word, once="c")
    assert ("waiting", True) == (asked["state"], "above the limit" in asked["says"]), asked
    assert "open" == (await api.call("GET", f"/v1/payments/{payment['id']}"))[1]["state"]


async def test_another_amount_than_agreed_is_never_one_persons_word(api: Api) -> None:
    """Below the limit, too: later the release of what came goes by it."""
    payment = await api.an_open_payment()
    api.sandbox.faults = Faults(drop=1)
    path, word = f"/v1/payments/{payment['id']}/confirm", {"channel_txn_id": "4200-made-up", "reason": "I say so"}
    _, asked = await api.call("POST", path, word | {"amount_minor": 1251}, once="c1")
    _, done = await api.call("POST", path, word, once="c2")
    assert ("waiting", True, "done") == (
        asked["state"],
        "not the amount that was agreed" in asked["says"],
        done["state"],
    )


async def test_a_small_sum_for_a_big_order_is_taken_by_two(api: Api) -> None:
    """0.01 CNY came for 50,000: the order is paid once a second key agrees, and not before."""
    payment = await a_big_one_held(api, 1)
    asked, again = await release(api, payment, "accept"), await release(api, payment, "accept")
    assert ("held", True) == (asked["state"], "the order that it would pay" in asked["says"])
    assert (asked["approval_id"], "unpaid") == (again["approval_id"], await order_of(api, payment))
    assert 409 == (await api.call("POST", f"/v1/approvals/{asked['approval_id']}/approve", {"reason": "me again"}))[0]
    assert 200 == (await api.second_agrees(asked))[0]
    assert "paid" == await order_of(api, payment)


async def test_big_held_money_is_given_back_by_two(api: Api) -> None:
    """The request says which decision it is; agreed to, all that came goes back, once."""
    payment = await a_big_one_held(api, BIG - 1)
    asked = await release(api, payment, "give_back")
    assert [] == await refunds_of(api, payment)
    (listed,) = (await api.call("GET", "/v1/approvals"))[1]["items"]
    assert ("release_give_back", BIG - 1) == (listed["action"], listed["amount_minor"])
    assert 200 == (await api.second_agrees(asked))[0]
    assert 409 == (await api.second_agrees(asked))[0]
    assert [BIG - 1] == await refunds_of(api, payment)
    actions = {deed["action"] for deed in (await api.call("GET", "/v1/audit"))[1]["items"]}
    assert {"payment.release_asked", "approval.given", "payment.released"} <= actions


async def test_a_small_sum_is_given_back_by_one(api: Api) -> None:
    """Below the limit the decision is done at once."""
    payment = await a_big_one_held(api, 1)
    given = await release(api, payment, "give_back")
    assert (None, [1]) == (given["approval_id"], await refunds_of(api, payment))


async def test_two_agree_to_what_they_were_asked_about(api: Api) -> None:
    """Other money is held since: nothing is done, and the request can be refused and asked anew."""
    payment = await a_big_one_held(api, BIG - 1)
    asked = await release(api, payment, "give_back")
    await the_channel_says(api, payment, BIG - 2)
    status, answer = await api.second_agrees(asked)
    assert (409, True, []) == (status, "refuse this" in answer["detail"], await refunds_of(api, payment))
    refuse = f"/v1/approvals/{asked['approval_id']}/refuse"
    assert 200 == (await api.call("POST", refuse, {"reason": "it has changed"}))[0]
    assert asked["approval_id"] != (await release(api, payment, "give_back"))["approval_id"]


async def give_back(api: Api, payment: dict[str, Any], minor: int, once: str) -> dict[str, Any]:
    """What one key is answered that refunds by hand."""
    body = {"reason": "one tea was cold", "amount_minor": minor}
    status, answer = await api.call("POST", f"/v1/payments/{payment['id']}/refund-by-hand", body, once=once)
    assert 200 == status, answer
    return answer


async def test_a_big_refund_in_small_pieces_takes_a_second_person(api: Api) -> None:
    """One person alone gives back no more of a payment than the limit, in however many pieces."""
    payment = await api.confirmed(await a_big_payment(api), "4200-big")
    first, second = await give_back(api, payment, 60_000, "p1"), await give_back(api, payment, 60_000, "p2")
    assert ("done", "waiting", True) == (first["state"], second["state"], "by hand before" in second["says"])
    assert 200 == (await api.second_agrees(second))[0]
    assert [60_000, 60_000] == await refunds_of(api, payment)


async def test_the_same_key_refunds_once_and_is_written_once(api: Api) -> None:
    """Also once a second person has agreed to it."""
    payment = await api.confirmed(await a_big_payment(api), "4200-big")
    wanted = GiveBack(payment_id=payment["id"], amount_minor=BIG // 2, currency="CNY", why="one tea was cold")
    asked = await refund(api.desk, ZOE, wanted, key="ticket-312")
    await approve(api.desk, Actor("bo", "console"), str(asked.approval_id), "I looked")
    assert ("waiting", "done") == (asked.state, (await refund(api.desk, ZOE, wanted, key="ticket-312")).state)
    deeds = [deed["action"] for deed in (await api.call("GET", "/v1/audit"))[1]["items"]]
    assert ([BIG // 2], 1) == (await refunds_of(api, payment), deeds.count("refund.requested"))


async def test_asking_a_second_person_twice_asks_once(api: Api) -> None:
    """The same key with another wish is refused, and so is one whose request was decided; the audit has it once."""
    payment = await api.confirmed(await a_big_payment(api), "4200-big")
    wanted = GiveBack(payment_id=payment["id"], amount_minor=BIG // 2, currency="CNY", why="one tea was cold")
    asked, again = [await refund(api.desk, ZOE, wanted, key="ticket-312") for _ in range(2)]
    assert asked == again
    with pytest.raises(Conflict, match="for another request"):
        await refund(api.desk, ZOE, msgspec.structs.replace(wanted, amount_minor=BIG), key="ticket-312")
    await refuse(api.desk, Actor("bo", "console"), str(asked.approval_id), "not today")
    with pytest.raises(Conflict, match="bo has decided this already: refused"):
        await refund(api.desk, ZOE, wanted, key="ticket-312")
    deeds = [deed["action"] for deed in (await api.call("GET", "/v1/audit"))[1]["items"]]
    assert 1 == deeds.count("refund.asked")


async def test_pieces_in_one_moment_are_weighed_one_after_the_other(api: Api) -> None:
    """Five at once, each as much as one person may: one is done, and four wait."""
    payment = await api.confirmed(await a_big_payment(api), "4200-big")
    pieces = await asyncio.gather(*(give_back(api, payment, 100_000, f"p{n}") for n in range(5)))
    assert ["done", "waiting", "waiting", "waiting", "waiting"] == sorted(piece["state"] for piece in pieces)
