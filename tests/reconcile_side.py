"""Our books as they should be: written from what the channel booked."""

from collections.abc import Iterable, Sequence

import msgspec

from kept import keep
from paidup import ids
from paidup.channels.channel import Account
from paidup.db.transaction import Database
from paidup.orders.states import State as OrderState
from paidup.payments.payment import Payment
from paidup.payments.states import State as PaymentState
from paidup.reconcile import runs, store
from paidup.reconcile.breaks import Break
from paidup.reconcile.decide import Change
from paidup.reconcile.states import State
from paidup.refunds.refund import Refund
from paidup.refunds.states import State as RefundState
from paidup.sandbox.bookings import Entry, EntryKind
from paidup.settle.book import Book
from paidup.testing.builders import NOW, a_payment, a_refund, an_order
from paidup.web.examples import EXAMPLES
from paidup.web.reconcile import BreakLife, Reconciliations


def books_of(entries: Sequence[Entry], account: Account) -> list[Book]:
    """One order per payment, paid and given back as the entries say."""
    failed = {entry.refund_ref for entry in entries if entry.kind is EntryKind.REFUND_FAILURE}
    settled = {entry.refund_ref: entry.at for entry in entries if entry.kind is EntryKind.REFUND_FAILURE}
    paid = [entry for entry in entries if entry.kind is EntryKind.PAYMENT]
    books = []
    for n, entry in enumerate(paid, start=1):
        payment = _payment(n, entry, account)
        back = [one for one in entries if one.kind is EntryKind.REFUND and one.number == entry.number]
        refunds = [_refund(n, k, one, payment, one.refund_ref in failed) for k, one in enumerate(back)]
        given_back = sum(r.amount_minor for r in refunds if r.state is RefundState.SUCCEEDED)
        order = an_order(
            n, shop=account.shop, state=OrderState.PAID, paid_by=payment.id, amount_minor=entry.amount_minor,
            currency=entry.currency,
        )  # fmt: skip
        payment = msgspec.structs.replace(payment, refunded_minor=given_back)
        refunds = [msgspec.structs.replace(r, settled_at=settled.get(r.merchant_ref, r.settled_at)) for r in refunds]
        books.append(Book(order, {payment.id: payment}, {r.id: r for r in refunds}))
    return books


async def book(db: Database, entries: Iterable[Entry], account: Account) -> list[Book]:
    """Write them."""
    books = books_of(list(entries), account)
    await keep(db, *books)
    return books


def _payment(n: int, entry: Entry, account: Account) -> Payment:
    return a_payment(
        n, shop=account.shop, order_id=an_order(n).id, channel=account.channel, account=account.name,
        merchant_ref=entry.merchant_ref, channel_txn_id=entry.number, payee=account.payee,
        amount_minor=entry.amount_minor, currency=entry.currency, state=PaymentState.PAID, paid_at=entry.at,
    )  # fmt: skip


def _refund(n: int, k: int, entry: Entry, payment: Payment, failed: bool) -> Refund:
    state = RefundState.FAILED if failed else RefundState.SUCCEEDED
    return a_refund(
        n * 10 + k, shop=payment.shop, order_id=payment.order_id, payment_id=payment.id, channel=payment.channel,
        account=payment.account, merchant_ref=entry.refund_ref, channel_refund_id=entry.refund_number,
        amount_minor=-entry.amount_minor, currency=entry.currency, state=state, settled_at=entry.at,
    )  # fmt: skip


async def a_break(db: Database, shop: str, payment_id: str | None = None, order_id: str | None = None) -> Break:
    """An open break of this shop, as the example of the API has it, with the run that found it."""
    life, day = EXAMPLES[BreakLife], EXAMPLES[Reconciliations]
    run = msgspec.structs.replace(day.items[0], id=ids.new_id("rec", NOW), shop=shop, bill_id=None)
    broken = msgspec.structs.replace(
        life.broken, id=ids.new_id("brk", NOW), run_id=run.id, shop=shop, payment_id=payment_id, order_id=order_id,
        state=State.OPEN,
    )  # fmt: skip
    async with db.transaction() as tx:
        await runs.write(tx, run)
        await store.write(tx, [Change(None, broken, "found", broken.why)], "test", NOW)
    return broken
