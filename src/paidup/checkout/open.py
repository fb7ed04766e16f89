"""Open a payment at its channel, or register one that the shop opened by itself.

The payment's row is durable before the channel is called: if we die in between, the schedule asks the channel about it.
An unknown outcome is never sent again as a new payment; it is queried under the same number.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from paidup import ids, numbers
from paidup.apply import Item, apply
from paidup.ask import Asker, payment_name, to_open
from paidup.channels.channel import Account
from paidup.channels.messages import Declined, Exchange, Outcome, Success
from paidup.channels.registry import CHANNELS
from paidup.db.transaction import Database, Tx
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.handlers import Handlers
from paidup.journal import store as journal
from paidup.journal.store import Call
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.orders.states import State as OrderState
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.schedule import store as schedule
from paidup.settle.book import ClosePayment, Opened

FIRST_QUESTION_AFTER_S = 14
"""When a new payment is first asked about; from then on repair/due.py says when. Earlier, hardly anybody has paid."""

MAX_EXTRA = 20

MAX_REF_CHARS = 255
"""Of the number of a payment that a shop registers. Stripe's Checkout Sessions have 66."""

MAX_LIFE = timedelta(days=30)
"""Of a payment that a shop registers: as long as an order may live."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The offer that a shop wants. method: one of the channel's, "" for its first. extra: openid, return_url …"""

    channel: str
    account: str
    method: str = ""
    extra: Mapping[str, str] = {}
    key: str = ""
    """The caller's idempotency key: the same order and key mean the same payment, also after a crash of ours."""


class Offer(msgspec.Struct, frozen=True):
    """The payment, and how the channel took it."""

    payment: Payment
    outcome: Outcome


async def open_payment(
    db: Database, asker: Asker, handlers: Handlers, *, shop: str, order_id: str, wanted: Wanted, now: datetime
) -> Offer:
    """Offer an order to the customer through one channel account.

    The same key finds the payment that it made before; one whose answer was lost is sent again under the same number,
    of which the channel makes one trade.

    Raises NotFound, Conflict (the order cannot be paid now) or InvalidRequest; the channel's answer is in `outcome`.
    """
    account = account_of(asker, shop, wanted)
    async with db.transaction() as tx:
        order = await _order(tx, shop, order_id)
        payment = _new_payment(order, account, wanted, now)
        known = await payments.get(tx, payment.id) if wanted.key else None
        if known and _was_answered(known, payment):
            return Offer(known, Success(pay_with=known.pay_with))
        _must_be_payable(order, now)
        step = CHANNELS[account.channel].open(to_open(known or payment, order), account, now)
        if known is None:
            await _insert(tx, payment, now)
    outcome, calls = await _send(asker, account, step, payment)
    async with db.transaction() as tx:
        await apply(tx, _follow_up(payment, outcome), max(now, asker.now_of()), handlers)
        await journal.write_calls(tx, calls)
        written = await payments.get(tx, payment.id)
    return Offer(written or payment, outcome)


async def register_payment(
    tx: Tx,
    asker: Asker,
    *,
    shop: str,
    order_id: str,
    wanted: Wanted,
    merchant_ref: str,
    channel_txn_id: str | None,
    expires_at: datetime | None = None,
    now: datetime,
) -> Payment:
    """Guard a payment that the shop opened at the channel by itself; registering it twice gives the same payment.

    merchant_ref: the number under which the shop opened it (out_trade_no; for Stripe the PaymentIntent's id).
    expires_at: until when it can be paid at the channel; the order's end unless given.
    An order that is paid or given up already wants no money: what is registered for it is withdrawn at once.
    Raises InvalidRequest when the channel could never be asked about it, for then there is no guarding it.
    """
    if not 1 <= len(merchant_ref) <= MAX_REF_CHARS:
        what = f"the number under which the payment was opened (1 to {MAX_REF_CHARS} characters)"
        raise InvalidRequest(f"merchant_ref must be {what}")
    if expires_at is not None and expires_at > now + MAX_LIFE:
        raise InvalidRequest(f"expires_at must lie within the next {MAX_LIFE.days} days")
    account = account_of(asker, shop, wanted)
    order = await _order(tx, shop, order_id)
    payment = msgspec.structs.replace(
        _new_payment(order, account, wanted, now),
        merchant_ref=merchant_ref,
        channel_txn_id=channel_txn_id,
        # What is registered when the order is paid or given up already is withdrawn, as all its other offers were.
        state=PaymentState.OPEN if order.state is OrderState.UNPAID else PaymentState.CLOSING,
        registered=True,
        expires_at=expires_at or order.expires_at,
    )
    CHANNELS[account.channel].query(payment_name(payment, order), account, now)  # built, not sent
    if await payments.insert(tx, payment):
        await numbers.write(tx, numbers.of_payment(payment))
        await _put_due(tx, payment, now)
        return payment
    known = await payments.locate(tx, [(0, account.channel, account.name, merchant_ref, None)])
    if known.get(0) != order_id:
        raise Conflict(f"{merchant_ref} is already registered for another order at {account.channel}/{account.name}")
    return next(p for p in await payments.of_orders(tx, [order_id]) if p.merchant_ref == merchant_ref)


def account_of(asker: Asker, shop: str, wanted: Wanted) -> Account:
    """The channel account, checked to be the shop's own. Raises NotFound otherwise."""
    return asker.account_of(shop, wanted.channel, wanted.account)


async def _order(tx: Tx, shop: str, order_id: str) -> Order:
    """The shop's order, locked. Raises NotFound."""
    order = next(iter(await orders.lock(tx, [order_id])), None)
    if order is None or order.shop != shop:
        raise NotFound(f"there is no order {order_id}")
    return order


def _must_be_payable(order: Order, now: datetime) -> None:
    if order.state is not OrderState.UNPAID or now >= order.expires_at:
        state = order.state if order.state is not OrderState.UNPAID else "expired"
        raise Conflict(f"order {order.id} is {state}; only an unpaid order can be offered to the customer")


def _was_answered(known: Payment, wanted: Payment) -> bool:
    """Whether the key's payment needs no further call. Raises Conflict when it can serve this request no more."""
    if (known.channel, known.account, known.method) != (wanted.channel, wanted.account, wanted.method):
        raise Conflict(f"this key opened payment {known.id} in another way; take a fresh key")
    if known.state in (PaymentState.CLOSING, PaymentState.CLOSED):
        raise Conflict(f"payment {known.id} of this key is {known.state}; open another one under a fresh key")
    return bool(known.pay_with) or known.state not in (PaymentState.CREATED, PaymentState.OPEN)


def _new_payment(order: Order, account: Account, wanted: Wanted, now: datetime) -> Payment:
    methods = CHANNELS[account.channel].methods
    method = wanted.method or methods[0]
    if method not in methods:
        raise InvalidRequest(f"{account.channel} has no method {method!r}; it has {', '.join(methods)}")
    if len(wanted.extra) > MAX_EXTRA:
        raise InvalidRequest(f"extra may have at most {MAX_EXTRA} fields")
    if wanted.key:
        payment_id = ids.derived_id(ids.PAYMENT, order.id, f"open/{wanted.key}")
    else:
        payment_id = ids.new_id(ids.PAYMENT, now, ids.shard_of(order.id))
    return Payment(
        id=payment_id,
        shop=order.shop,
        order_id=order.id,
        channel=account.channel,
        account=account.name,
        method=method,
        merchant_ref=payment_id,
        payee=account.payee,
        amount_minor=order.amount_minor,
        currency=order.currency,
        state=PaymentState.CREATED,
        extra=dict(wanted.extra),
        created_at=now,
        expires_at=order.expires_at,
        updated_at=now,
    )


async def _insert(tx: Tx, payment: Payment, now: datetime) -> None:
    if not await payments.insert(tx, payment):
        raise Conflict(f"payment number {payment.id} is taken; try again")
    await numbers.write(tx, numbers.of_payment(payment))
    await _put_due(tx, payment, now)


async def _put_due(tx: Tx, payment: Payment, now: datetime) -> None:
    first = now + timedelta(seconds=FIRST_QUESTION_AFTER_S * ids.spread())
    await schedule.put(tx, [(payment.id, "payment", payment.channel, payment.account, first)])


async def _send(
    asker: Asker, account: Account, step: Exchange | Success, payment: Payment
) -> tuple[Outcome, list[Call]]:
    if isinstance(step, Success):
        return step, []
    sent, call = await asker.send(account, step, payment.shop, payment.id, "open")
    return sent.outcome, [call]


def _follow_up(payment: Payment, outcome: Outcome) -> list[Item]:
    """What the channel's answer to the opening means for the payment; an unknown answer means nothing yet."""
    match outcome:
        case Success(pay_with=pay_with, channel_txn_id=channel_txn_id, evidence=evidence):
            opened = Opened(payment.order_id, payment.id, channel_txn_id, pay_with)
            told = [Item(what=e, shop=payment.shop, road=e.road) for e in evidence]
            return [Item(what=opened, shop=payment.shop, road="shop"), *told]
        case Declined(code=code, why=why):
            closing = ClosePayment(payment.order_id, payment.id, f"the channel declined it: {code}: {why}")
            return [Item(what=closing, shop=payment.shop, road="shop")]
        case _:
            return []
