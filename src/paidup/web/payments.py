"""Payments and refunds: open, register, ask, give back."""

from datetime import timedelta

import msgspec
from starlette.requests import Request

from paidup.channels.messages import Declined, Retryable, Unknown
from paidup.checkout.open import Wanted, account_of, open_payment, register_payment
from paidup.checkout.refund import request_refund
from paidup.db.transaction import Tx
from paidup.errors import ChannelError, Conflict, NotFound
from paidup.hand import confirm as confirming
from paidup.hand import release as releasing
from paidup.hand.confirm import Confirm
from paidup.hand.done import Done
from paidup.hand.release import Release
from paidup.intake import inbox
from paidup.money import Money
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED, State
from paidup.people.audit import Actor
from paidup.refunds import store as refunds
from paidup.refunds.refund import Refund
from paidup.repair import worker as repair
from paidup.schedule import store as schedule
from paidup.shops.store import ApiKey, Scope
from paidup.web import shapes
from paidup.web.context import Context
from paidup.web.orders import place_in
from paidup.web.route import Route


async def open_(context: Context, key: ApiKey, request: Request, body: shapes.OpenPayment) -> shapes.PaymentOut:
    """Offer an order to the customer through a channel account; pay_with is what the customer's device needs."""
    offer = await open_payment(
        context.db,
        context.asker,
        context.handlers,
        shop=key.shop,
        order_id=request.path_params["id"],
        wanted=Wanted(
            channel=body.channel,
            account=body.account,
            method=body.method,
            extra=body.extra,
            key=request.headers["idempotency-key"],
        ),
        now=context.clock.now(),
    )
    match offer.outcome:
        case Declined(code=code, why=why):
            raise Conflict(f"{body.channel} declined to open it: {code}: {why}")
        case Retryable(why=why) | Unknown(why=why):
            raise ChannelError(
                f"{body.channel} did not say whether payment {offer.payment.id} is open: {why}. Send the same request "
                "under the same Idempotency-Key again: it is the same payment"
            )
    if offer.payment.state in (State.CLOSING, State.CLOSED):
        raise Conflict(
            f"payment {offer.payment.id} was given up while it was opened; it is not for the customer any more"
        )
    return payment_out(offer.payment)


async def register(context: Context, key: ApiKey, request: Request, body: shapes.RegisterPayment) -> shapes.PaymentOut:
    """Guard a payment of this order that the shop opened at the channel by itself."""
    async with context.db.transaction() as tx:
        return await _register(tx, context, key, request.path_params["id"], body)


async def register_order(
    context: Context, key: ApiKey, _request: Request, body: shapes.RegisterOrderPayment
) -> shapes.PaymentOut:
    """Guard a payment that the shop opened at the channel by itself, in one call: its order is placed, too."""
    async with context.db.transaction() as tx:
        order = await place_in(tx, context, key, body)
        return await _register(tx, context, key, order.id, body)


async def _register(
    tx: Tx, context: Context, key: ApiKey, order_id: str, body: shapes.RegisterPayment
) -> shapes.PaymentOut:
    now, wanted = context.clock.now(), Wanted(channel=body.channel, account=body.account, method=body.method)
    account_of(context.asker, key.shop, wanted)
    # A callback may have come first; it waits for this row, and is weighed once it is there.
    await inbox.unpark(tx, body.channel, body.account, body.merchant_ref, body.channel_txn_id, now)
    payment = await register_payment(
        tx,
        context.asker,
        shop=key.shop,
        order_id=order_id,
        wanted=wanted,
        merchant_ref=body.merchant_ref,
        channel_txn_id=body.channel_txn_id,
        expires_at=body.expires_at,
        now=now,
    )
    return payment_out(payment)


async def show(context: Context, key: ApiKey, request: Request) -> shapes.PaymentOut:
    """Look up a payment by its id."""
    return payment_out(await _the_payment(context, key, request.path_params["id"]))


async def status(context: Context, key: ApiKey, request: Request) -> shapes.StatusOut:
    """For the page of a waiting buyer: asks the channel at once, within the budget; says where it stands."""
    payment = await _the_payment(context, key, request.path_params["id"])
    asked = False
    if payment.state not in MONEY_ARRIVED:
        asked = await repair.ask_now(
            context.db,
            payment.id,
            now=context.clock.now(),
            asker=context.asker,
            handlers=context.handlers,
            budget_per_s=context.settings.query_budget_per_s,
            lease=timedelta(seconds=repair.lease_s(context.settings.call_deadline_s) * context.clock.rate),
            spans=context.spans,
        )
        if asked:
            context.wake()
        payment = await _the_payment(context, key, payment.id)
    async with context.db.session() as tx:
        due = (await schedule.get(tx, [payment.id])).get(payment.id)
    return shapes.StatusOut(
        payment_id=payment.id,
        state=payment.state,
        paid=payment.state in MONEY_ARRIVED,
        asked=asked,
        next_question_at=due.due_at if due else None,
    )


async def refund(context: Context, key: ApiKey, request: Request, body: shapes.AskRefund) -> shapes.RefundOut:
    """Give money of a paid payment back; it is sent to the channel at once, and asked about until it is settled. No
    second person is asked, for this is the shop's own system with rules of its own; people use `refund-by-hand`."""
    payment = await _the_payment(context, key, request.path_params["id"])
    money = Money(body.amount_minor, payment.currency) if body.amount_minor is not None else None
    async with context.db.transaction() as tx:
        made = await request_refund(
            tx,
            context.handlers,
            shop=key.shop,
            payment_id=payment.id,
            money=money,
            reason=body.reason,
            key=request.headers["idempotency-key"],
            now=context.clock.now(),
        )
    return refund_out(made)


async def show_refund(context: Context, key: ApiKey, request: Request) -> shapes.RefundOut:
    """Look up a refund by its id."""
    async with context.db.session() as tx:
        found = await refunds.get(tx, request.path_params["id"])
    if found is None or found.shop != key.shop:
        raise NotFound(f"there is no refund {request.path_params['id']}")
    return refund_out(found)


async def testify(context: Context, key: ApiKey, request: Request, body: shapes.Testify) -> shapes.TestifiedOut:
    """The operator's road, as `confirm` goes it: a person says that a payment was paid. The channel is asked first;
    above a limit, or when the channel contradicts, it waits for a second person (`approval_id`)."""
    wanted = Confirm(
        payment_id=body.payment_id,
        channel_txn_id=body.channel_txn_id,
        amount_minor=body.amount_minor,
        currency=body.currency,
        why=body.reason,
    )
    once = f"{key.id}/{request.headers['idempotency-key']}"
    done = await confirming.confirm(context.desk, Actor(f"key:{key.id}", "api"), wanted, key=once, shop=key.shop)
    return await _testified(context, key, body.payment_id, done)


async def _the_payment(context: Context, key: ApiKey, payment_id: str) -> Payment:
    async with context.db.session() as tx:
        payment = await payments.get(tx, payment_id)
    if payment is None or payment.shop != key.shop:
        raise NotFound(f"there is no payment {payment_id}")
    return payment


async def release(context: Context, key: ApiKey, request: Request, body: shapes.Release) -> shapes.TestifiedOut:
    """Decide about money that came otherwise than agreed: take it as it is, or give it back. Where what came, or the
    order that it would pay, is above a limit, it waits for a second person (`approval_id`)."""
    wanted = Release(payment_id=request.path_params["id"], decision=body.decision, why=body.reason)
    done = await releasing.release(context.desk, Actor(f"key:{key.id}", "api"), wanted, shop=key.shop)
    return await _testified(context, key, wanted.payment_id, done)


async def _testified(context: Context, key: ApiKey, payment_id: str, done: Done) -> shapes.TestifiedOut:
    payment = payment_out(await _the_payment(context, key, payment_id))
    return shapes.TestifiedOut(**msgspec.structs.asdict(payment), says=done.says, approval_id=done.approval_id)


def payment_out(payment: Payment) -> shapes.PaymentOut:
    """A payment as the API shows it."""
    fields = {name: getattr(payment, name) for name in shapes.PaymentOut.__struct_fields__}
    return shapes.PaymentOut(**fields | {"state": payment.state.value})


def refund_out(made: Refund) -> shapes.RefundOut:
    """A refund as the API shows it."""
    return msgspec.convert(msgspec.structs.asdict(made), shapes.RefundOut)


ROUTES = (
    Route(
        "POST", "/v1/orders/{id}/payments", open_, Scope.WRITE,
        body=shapes.OpenPayment, gives=shapes.PaymentOut, status=201, keyed=True,
    ),
    Route(
        "POST", "/v1/orders/{id}/payments/register", register, Scope.WRITE,
        body=shapes.RegisterPayment, gives=shapes.PaymentOut, status=201,
    ),
    Route(
        "POST", "/v1/payments/register", register_order, Scope.WRITE,
        body=shapes.RegisterOrderPayment, gives=shapes.PaymentOut, status=201,
    ),
    Route("GET", "/v1/payments/{id}", show, Scope.READ, gives=shapes.PaymentOut),
    Route("GET", "/v1/payments/{id}/status", status, Scope.READ, gives=shapes.StatusOut),
    Route(
        "POST", "/v1/payments/{id}/refunds", refund, Scope.REFUND,
        body=shapes.AskRefund, gives=shapes.RefundOut, status=201, keyed=True,
    ),
    Route("POST", "/v1/payments/{id}/release", release, Scope.ADMIN, body=shapes.Release, gives=shapes.TestifiedOut),
    Route("GET", "/v1/refunds/{id}", show_refund, Scope.READ, gives=shapes.RefundOut),
    Route("POST", "/v1/evidence", testify, Scope.ADMIN, body=shapes.Testify, gives=shapes.TestifiedOut, keyed=True),
)  # fmt: skip
