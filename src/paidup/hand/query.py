"""Query now: ask the channel about a payment, whatever its state, and bring the answer to the door."""

from datetime import timedelta

import msgspec

from paidup.apply import apply
from paidup.ask import Answer
from paidup.db.transaction import Tx
from paidup.errors import Conflict, TooSoon
from paidup.evidence import PaymentEvidence, PaymentSays
from paidup.hand.desk import Desk, the_payment
from paidup.journal import store as journal
from paidup.orders import store as orders
from paidup.payments.payment import Payment
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.schedule import store as schedule

AT_MOST_EVERY = timedelta(seconds=3)
"""Alipay wants so long between two questions about one trade; what opened it was none."""


class Asked(msgspec.Struct, frozen=True):
    """What asking brought. channel_says: what the channel says of it, None when it gave no usable answer."""

    before: Payment
    after: Payment
    channel_says: PaymentSays | None
    answer: str


async def query_now(desk: Desk, actor: Actor, payment_id: str, *, shop: str | None = None) -> Asked:
    """Ask now, and put it into the audit. Raises NotFound, and TooSoon when it was asked a moment ago."""
    asked = await ask(desk, payment_id, shop=shop)
    payment = asked.before
    async with desk.db.transaction() as tx:
        await audit.write(
            tx, actor, "payment.queried", desk.now(), shop=payment.shop, subject_id=payment.id,
            order_id=payment.order_id, why=asked.answer, before=f"payment {payment.state}",
            after=f"payment {asked.after.state}",
        )  # fmt: skip
    return asked


async def ask(desk: Desk, payment_id: str, *, shop: str | None = None) -> Asked:
    """Ask the channel, within the account's budget, and apply what it answers."""
    now = desk.now()
    async with desk.db.transaction() as tx:
        payment = await the_payment(tx, payment_id, shop)
        order = await orders.get(tx, payment.order_id)
        if order is None:
            raise Conflict(f"payment {payment_id} has no order")
        calls = [
            call for call in await journal.calls_of(tx, [payment.id], since=order.since) if call.purpose == "query"
        ]
        if calls and now - calls[-1].called_at < AT_MOST_EVERY * desk.clock.rate:
            raise TooSoon("the channel was asked about this payment a moment ago; look again in three seconds")
        granted, wait_s = await schedule.spend(
            tx, payment.channel, payment.account, 1, rate_per_s=desk.settings.query_budget_per_s, now=now
        )
        if not granted:
            raise TooSoon(f"this account's budget of questions is used up; try again in {wait_s:.0f} s")
    answer = await desk.asker.about_payment(payment, order, now)
    answered_at = max(now, desk.now())
    async with desk.db.transaction() as tx:
        await apply(tx, answer.items, answered_at, desk.handlers)
        await journal.write_calls(tx, list(answer.calls))
        after = await the_payment(tx, payment_id, shop)
    return Asked(payment, after, _says(answer), answer.calls[-1].why if answer.calls else "")


async def last_word(tx: Tx, payment: Payment) -> PaymentSays | None:
    """What the channel said of it when it was last asked, by whomever; None when it gave no usable answer."""
    calls = await journal.calls_of(tx, [payment.id], since=payment.created_at - timedelta(days=1))
    answered = [c for c in calls if c.purpose == "query" and c.outcome == "success"]
    word = answered[-1].why.split(" ", 1)[0].rstrip(",") if answered else ""
    return PaymentSays(word) if word in set(PaymentSays) else None


def _says(answer: Answer) -> PaymentSays | None:
    said = [item.what.says for item in answer.items if isinstance(item.what, PaymentEvidence)]
    return said[0] if said else None
