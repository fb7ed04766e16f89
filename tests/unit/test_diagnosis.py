"""Why an order is unpaid: each diagnosis of the closed list is given for its reason, and says what comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from paidup.cases.store import Case
from paidup.delivery.shown import Delivery
from paidup.diagnosis.judge import judge
from paidup.diagnosis.verdict import Diagnosis, Facts
from paidup.journal.store import Call, Entry
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Cause
from paidup.refunds.states import State as RefundState
from paidup.settle.payments import new_refund
from paidup.testing.builders import a_payment, an_order

T = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def facts(order: Any = None, payments: Any = (), **more: Any) -> Facts:
    nothing: dict[str, Any] = {
        "refunds": (), "decisions": (), "calls": (), "deliveries": (), "cases": (), "waiting": (), "next_at": None,
    }  # fmt: skip
    return Facts(order=order or an_order(), payments=payments, **nothing | more)


def a_call(outcome: str, *, purpose: str = "query", at: datetime = T, why: str = "connection refused") -> Call:
    return Call(
        id="cal1", called_at=at, shop="acme", channel="wechat", account="main", subject_id="p", purpose=purpose,
        outcome=outcome, why=why, status=None, elapsed_ms=3, answer="",
    )  # fmt: skip


def a_decision(road: str, *, why: str = "the channel says it is paid", at: datetime = T, **more: Any) -> Entry:
    return Entry(id="dec1", decided_at=at, road=road, outcome="applied", why=why, shop="acme", evidence="{}", **more)


def a_delivery(state: str, **more: Any) -> Delivery:
    return Delivery(
        **{
            "id": 1, "event_id": "e", "type": "order.paid", "endpoint_id": "ept", "shop": "acme", "order_id": "o",
            "seq": 2, "state": state, "due_at": T, "attempts": 1, "why": "500", "acknowledged_at": None,
            "applied_at": None, "created_at": T,
        } | more
    )  # fmt: skip


def payment(state: PaymentState, **more: Any) -> Payment:
    return msgspec.structs.replace(a_payment(), state=state, **more)


def order(state: OrderState, **more: Any) -> Any:
    return msgspec.structs.replace(an_order(), state=state, **more)


def a_case(kind: str) -> Case:
    return Case(id="cas1", shop="acme", kind=kind, subject_id="p", order_id="o", why="", opened_at=T)


OPEN, CREATED = payment(PaymentState.OPEN), payment(PaymentState.CREATED)
UNPAID = {
    Diagnosis.NOT_STARTED: facts(),
    Diagnosis.NOT_OPENED: facts(payments=[CREATED], calls=[a_call("success")]),
    Diagnosis.NOT_PAID_YET: facts(payments=[OPEN], calls=[a_call("success")]),
    Diagnosis.CHANNEL_AWAY: facts(payments=[OPEN], calls=[a_call("retryable"), a_call("unknown")]),
    Diagnosis.DECLINED: facts(
        payments=[OPEN],
        decisions=[a_decision("callback", why="an attempt failed; the customer may try again", payment_id=OPEN.id)],
    ),
    Diagnosis.HELD: facts(payments=[payment(PaymentState.HELD, received_minor=900)]),
    Diagnosis.CALLBACK_STUCK: facts(
        payments=[OPEN], waiting=[("parked", "x", "cbk1"), ("poisoned", "no such column", "cbk2")]
    ),
    Diagnosis.CALLBACK_WAITS: facts(payments=[OPEN], waiting=[("parked", "it came too early", "cbk1")]),
    Diagnosis.UNANSWERED: facts(payments=[payment(PaymentState.CLOSING)], cases=[a_case("unanswered")]),
    Diagnosis.CLOSING: facts(order(OrderState.CLOSING), [payment(PaymentState.CLOSING)]),
    Diagnosis.CLOSED: facts(order(OrderState.CLOSED), [payment(PaymentState.CLOSED)]),
}


@pytest.mark.parametrize("diagnosis", UNPAID)
def test_each_reason_gets_its_diagnosis(diagnosis: Diagnosis) -> None:
    """The sentence says that it is not paid (or not known), and something comes next."""
    verdict = judge(UNPAID[diagnosis])
    assert diagnosis == verdict.diagnosis
    assert verdict.english().startswith(("Not paid", "Not known"))
    assert verdict.next_step.english().endswith(".")


def test_the_list_is_closed() -> None:
    """Every diagnosis is given to some order above, or below for the paid ones."""
    assert set(Diagnosis) == {*UNPAID, Diagnosis.PAID, Diagnosis.REFUNDED}


def test_the_next_step_has_its_time() -> None:
    """What Paidup does by itself, it says when."""
    verdict = judge(facts(payments=[OPEN], next_at=T + timedelta(seconds=14)))
    assert "The channel is asked again at 2026-11-23 08:00:14 UTC, by itself." == verdict.next_step.english()


def test_a_failed_attempt_is_told_though_the_channel_says_afterwards_that_nobody_has_paid() -> None:
    """With its time, until something else becomes of the payment."""
    failed = a_decision("callback", why="an attempt failed; the customer may try again", payment_id=OPEN.id)
    repeated = msgspec.structs.replace(
        a_decision("query", why="the customer has not paid yet", payment_id=OPEN.id), outcome="repeated"
    )
    moved = a_decision("query", why="the customer is paying", payment_id=OPEN.id)
    asked = [a_call("success", why="waiting (requires_payment_method)")]
    told = judge(facts(payments=[OPEN], decisions=[failed, repeated], calls=asked))
    assert (Diagnosis.DECLINED, True) == (told.diagnosis, "tried at 2026-11-23 08:00:00 UTC" in told.english())
    after = judge(facts(payments=[OPEN], decisions=[failed, repeated, moved], calls=asked))
    assert Diagnosis.NOT_PAID_YET == after.diagnosis


def test_a_channel_that_answers_nonsense_does_not_answer() -> None:
    """The sentence on top tells so much; what a parser complains of stands in the timeline."""
    nonsense = a_call(
        "unknown", why="HTTP 502 from Stripe makes no sense: JSON is malformed: invalid character (byte 0)"
    )
    told = judge(facts(payments=[OPEN], calls=[nonsense, nonsense])).english()
    assert told.endswith("does not answer our questions (HTTP 502 from Stripe could not be read).")


def test_who_has_not_scanned_the_code_has_not_begun() -> None:
    """The channel took the offer, and does not know the payment when it is asked."""
    told = judge(facts(payments=[OPEN], calls=[a_call("success", why="not_found (ACQ.TRADE_NOT_EXIST)")]))
    assert (Diagnosis.NOT_OPENED, True) == (told.diagnosis, "nobody has begun to pay" in told.english())


def test_one_call_in_vain_is_no_outage() -> None:
    """A single failed question is not shown to a customer as an outage."""
    assert Diagnosis.NOT_PAID_YET == judge(facts(payments=[OPEN], calls=[a_call("retryable")])).diagnosis


def paid_facts(road: str, **more: Any) -> Facts:
    paid = payment(PaymentState.PAID, paid_at=T)
    proof = a_decision(
        road, at=T + timedelta(seconds=31), payment_id=paid.id,
        before="order unpaid, payment open", after="order paid, payment paid",
    )  # fmt: skip
    later = more.pop("later", [])
    return facts(order(OrderState.PAID, paid_by=paid.id), [paid], decisions=[proof, *later], **more)


@pytest.mark.parametrize(
    ("road", "later", "says"),
    [
        ("callback", [], "The callback told us after 31 s."),
        ("query", [], "The callback was lost; the active query found it after 31 s."),
        ("query", ["callback"], "The callback was late; the active query found it first, after 31 s."),
        ("bill", [], "Neither callback nor query told us; the channel's bill did."),
        ("operator", [], "A person confirmed it by hand."),
    ],
)
def test_a_paid_order_says_how_we_learned_it(road: str, later: list[str], says: str) -> None:
    """By which road, and how long after the money moved."""
    others = [a_decision(other, payment_id=a_payment().id, why="already paid") for other in later]
    assert says in judge(paid_facts(road, later=others)).english()


@pytest.mark.parametrize(
    ("delivery", "says", "next_step"),
    [
        (a_delivery("delivered", acknowledged_at=T, applied_at=T), "told and confirmed", "Nothing more"),
        (a_delivery("delivered", acknowledged_at=T), "has not said that it acted", "Nothing more"),
        (a_delivery("waiting"), "not reached yet: 500", "told again at 2026-11-23 08:00:00 UTC"),
        (a_delivery("dead"), "could not be told: 500", "re-send"),
        (None, "No endpoint", "API"),
    ],
)
def test_a_paid_order_says_whether_the_shop_knows(delivery: Delivery | None, says: str, next_step: str) -> None:
    """And what is left to do when it does not."""
    verdict = judge(paid_facts("callback", deliveries=[delivery] if delivery else []))
    assert Diagnosis.PAID == verdict.diagnosis
    assert says in verdict.english()
    assert next_step in verdict.next_step.english()


def test_money_given_back_is_said() -> None:
    """A refund that failed is none."""
    paid = payment(PaymentState.PAID, paid_at=T)
    made = new_refund(paid, "ref1", 500, Cause.REQUESTED, "cold tea", T)
    done = msgspec.structs.replace(made, state=RefundState.SUCCEEDED)
    failed = msgspec.structs.replace(made, id="ref2", amount_minor=700, state=RefundState.FAILED)
    given = judge(msgspec.structs.replace(paid_facts("callback"), refunds=[done, failed])).english()
    assert ("5.00 CNY was given back" in given, "7.00" in given) == (True, False)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (RefundState.REQUESTED, "The channel is asked about the refund at 2026-11-23 08:01:00 UTC, by itself."),
        (RefundState.PENDING, "The channel is asked about the refund at 2026-11-23 08:01:00 UTC, by itself."),
        (RefundState.SUCCEEDED, "Nothing more is needed."),
    ],
)
def test_a_refund_under_way_is_what_comes_next(state: RefundState, says: str) -> None:
    """Nothing more is needed only once the customer has the money; what the shop was not told goes first."""
    told = msgspec.structs.replace(paid_facts("callback"), deliveries=[a_delivery("delivered", applied_at=T)])
    made = new_refund(told.payments[0], "ref1", 500, Cause.REQUESTED, "cold tea", T)
    under_way = msgspec.structs.replace(
        told, refunds=[msgspec.structs.replace(made, state=state)], next_at=T + timedelta(minutes=1)
    )
    untold = msgspec.structs.replace(under_way, deliveries=[a_delivery("dead")])
    assert says == judge(under_way).next_step.english()
    assert "Mend the shop's endpoint" in judge(untold).next_step.english()


def test_a_refunded_order_is_told_apart() -> None:
    """It was paid, and is not any more."""
    base = paid_facts("callback")
    refunded = msgspec.structs.replace(base.order, state=OrderState.REFUNDED)
    assert Diagnosis.REFUNDED == judge(msgspec.structs.replace(base, order=refunded)).diagnosis


@pytest.mark.parametrize(
    ("lanes", "says"),
    [
        ([a_delivery("waiting", seq=1), a_delivery("waiting", seq=2, attempts=0, why="")], "not reached yet: 500"),
        ([a_delivery("waiting", seq=1, attempts=0, why=""), a_delivery("waiting", seq=2)], "not reached yet: 500"),
        ([a_delivery("dead", seq=1, why="410"), a_delivery("delivered", seq=2)], "could not be told: 410"),
        ([a_delivery("delivered", seq=2), a_delivery("skipped", seq=2, why="disabled")], "The shop was told"),
        ([a_delivery("waiting", seq=1, attempts=0, why="")], "not reached yet: not tried yet"),
    ],
)
def test_what_the_shop_was_told_is_judged_by_all_of_it(lanes: list[Delivery], says: str) -> None:
    """An event that fails holds up those behind it: they were not tried, and the sentence tells of the one that was."""
    assert says in judge(paid_facts("callback", deliveries=lanes)).english()
    assert says in judge(paid_facts("callback", deliveries=lanes[::-1])).english()


def test_no_sentence_speaks_of_where_it_is_read() -> None:
    """The console, the API and the command line say the same words."""
    told = [judge(facts) for facts in UNPAID.values()] + [judge(paid_facts("bill", deliveries=[a_delivery("dead")]))]
    assert [] == [one for one in told if "page" in f"{one.english()} {one.next_step.english()}"]
