"""Confirm a payment by hand, with the channel's number and a reason. The channel is asked first: if it says itself that
the payment is paid, nothing is left to confirm; if it contradicts, a second person must agree."""

import asyncpg
import msgspec

from paidup.apply import Item, apply
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest, NotFound, TooSoon
from paidup.evidence import PaymentEvidence, PaymentSays, Road
from paidup.hand.desk import ABOVE, Desk, a_reason, the_payment
from paidup.hand.done import Done
from paidup.hand.query import ask, last_word
from paidup.hand.second import Question, ask_second
from paidup.money import Money
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED, State
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.settle.book import Weighed

ACTION = "confirm"
MAX_TXN_CHARS = 64
_IN_WORDS = {
    PaymentSays.NOT_FOUND: "that it does not know the payment",
    PaymentSays.WAITING: "that nobody has paid",
    PaymentSays.FAILED: "that an attempt failed",
    PaymentSays.CLOSED: "that it is closed",
}


class Confirm(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says was paid, as they read it in the channel's own console."""

    payment_id: str
    channel_txn_id: str
    amount_minor: int
    currency: str
    why: str


class Foreseen(msgspec.Struct, frozen=True):
    """What confirming will do. because: why it takes a second person; empty when it does not."""

    payment: Payment
    channel_says: PaymentSays | None
    is_paid_already: bool
    because: str


async def foresee(desk: Desk, wanted: Confirm, *, shop: str | None = None) -> Foreseen:
    """Ask the channel, and say what would happen. Raises NotFound, InvalidRequest, or Conflict for what cannot be."""
    _must_make_sense(wanted)
    says = None
    try:
        asked = await ask(desk, wanted.payment_id, shop=shop)
        payment, says = asked.after, asked.channel_says
    except (TooSoon, NotFound):  # asked a moment ago, or its account is gone: what it said last must do
        async with desk.db.session() as tx:
            payment = await the_payment(tx, wanted.payment_id, shop)
            says = await last_word(tx, payment)
    if payment.state in MONEY_ARRIVED:
        if wanted.channel_txn_id == payment.channel_txn_id:
            return Foreseen(payment, says, True, "")
        raise Conflict(f"it is paid already, under the channel's number {payment.channel_txn_id}")
    if payment.state is State.HELD:
        raise Conflict("money came already, but not as agreed; release it instead")
    return Foreseen(payment, says, False, _because(desk, payment, wanted, says))


async def confirm(desk: Desk, actor: Actor, wanted: Confirm, *, key: str, shop: str | None = None) -> Done:
    """Confirm, or ask a second person to. The same key does it once."""
    a_reason(wanted.why)
    foreseen = await foresee(desk, wanted, shop=shop)
    payment = foreseen.payment
    if foreseen.is_paid_already:
        return Done("already", f"{payment.channel} itself says that it is paid: nothing is left to confirm")
    async with desk.db.transaction() as tx:
        if foreseen.because:
            question = Question(
                action=ACTION, payment=payment, money=Money(wanted.amount_minor, wanted.currency),
                because=foreseen.because, wanted=wanted, why=wanted.why, noted=f" ({wanted.channel_txn_id})",
                deed="payment.confirm_asked", after=foreseen.because,
            )  # fmt: skip
            return await ask_second(tx, desk, actor, question, key)
        return await put_through(tx, desk, actor, wanted)


async def put_through(tx: Tx, desk: Desk, actor: Actor, wanted: Confirm, *, with_whom: str = "") -> Done:
    """The operator's evidence goes through the same door as any other. Raises Conflict when it is rejected."""
    payment, now = await the_payment(tx, wanted.payment_id, None), desk.now()
    evidence = PaymentEvidence(
        road=Road.OPERATOR,
        channel=payment.channel,
        account=payment.account,
        key=f"operator:{payment.id}:{wanted.channel_txn_id}",
        received_at=now,
        merchant_ref=payment.merchant_ref,
        channel_txn_id=wanted.channel_txn_id,
        amount=Money(wanted.amount_minor, wanted.currency),
        says=PaymentSays.PAID,
        note=f"{actor.who}{f' with {with_whom}' if with_whom else ''}: {wanted.why}",
    )
    try:
        (result,) = await apply(tx, [Item(what=evidence, shop=payment.shop, road="operator")], now, desk.handlers)
    except asyncpg.UniqueViolationError:
        raise Conflict(f"{payment.channel} number {wanted.channel_txn_id} proves another payment already") from None
    if result.outcome is Weighed.REJECTED:
        raise Conflict(result.why)
    await audit.write(
        tx, actor, "payment.confirmed", now, shop=payment.shop, subject_id=payment.id, order_id=payment.order_id,
        why=f"{wanted.why} ({wanted.channel_txn_id})", before=result.before, after=result.after,
    )  # fmt: skip
    return Done("done", result.why)


def _because(desk: Desk, payment: Payment, wanted: Confirm, says: PaymentSays | None) -> str:
    """Money that differs from what was agreed is never one person's word: its release's limit goes by what came."""
    wanted_money = Money(wanted.amount_minor, wanted.currency)
    if says is not None and says is not PaymentSays.PAID:
        return f"the channel itself says {_IN_WORDS.get(says, says)}: a second person must agree"
    if desk.needs_second(wanted_money) or desk.needs_second(payment.money):
        return ABOVE
    if wanted_money != payment.money:
        return "it is not the amount that was agreed: a second person must agree"
    return ""


def _must_make_sense(wanted: Confirm) -> None:
    number = wanted.channel_txn_id
    if not 6 <= len(number) <= MAX_TXN_CHARS or not number.isascii() or not number.isprintable() or " " in number:
        raise InvalidRequest("write the channel's number as its console shows it, 6 to 64 characters without blanks")
    if wanted.amount_minor <= 0:
        raise InvalidRequest("the amount must be above zero")
