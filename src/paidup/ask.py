"""Calls to channels about our own payments and refunds, and what their answers bring to the door. 主动查单/补单

Whoever calls a channel (the repair worker, the opening of a payment) does it here, so that every call ends in one of
four certain ways and stands in the journal.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from paidup import ids
from paidup.apply import Item
from paidup.channels.accounts import AccountsFolder
from paidup.channels.bill import BillName
from paidup.channels.channel import Account, Channel, PaymentName, RefundName, ToOpen
from paidup.channels.messages import Declined, Exchange, Request, Success
from paidup.channels.registry import CHANNELS
from paidup.errors import NotFound
from paidup.evidence import Evidence, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays
from paidup.journal.store import Call
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.refunds.refund import Refund
from paidup.refunds.states import State as RefundState
from paidup.resilience.breaker import State
from paidup.settle.book import RefundDeclined

if TYPE_CHECKING:  # it brings an HTTP client along, which takes its time
    from paidup.channels.http import ChannelHttp, Sent

SURELY_FIRST_SENT_WITHIN = timedelta(minutes=10)
"""From then on a refund may have been sent, whatever its job says: a job that a sweep made anew, or that came back with
a backup, knows of no sending. Channels know our number far longer, so that until then a second sending pays nothing;
Stripe, the most forgetful one, keeps an Idempotency-Key for a day."""


class Answer(msgspec.Struct, frozen=True):
    """What asking brought: items for the door, and the calls for the journal."""

    items: tuple[Item, ...] = ()
    calls: tuple[Call, ...] = ()


class Asker:
    """Asks channels. It holds the connections; everything else is an argument."""

    def __init__(
        self, http: "ChannelHttp", accounts: AccountsFolder, *, now_of: Callable[[], datetime], deadline_s: float
    ) -> None:
        self._http = http
        self._accounts = accounts
        self.now_of = now_of
        self._deadline_s = deadline_s

    async def about_payment(self, payment: Payment, order: Order, now: datetime) -> Answer:
        """Ask what became of a payment; one that is closing and not paid is then closed at the channel. Where what we
        know as paid went back, it is asked how."""
        channel, account = self._party(payment)
        name = payment_name(payment, order)
        sent, call = await self.send(account, channel.query(name, account, now), payment.shop, payment.id, "query")
        found = _evidence(sent)
        if _went_back_unheard(payment, found):
            named, named_call = await self._unnamed_refund(channel, account, payment, name, now)
            return Answer(_items(payment.shop, (*named, *found)) if named else (), (call, named_call))
        if payment.state is not PaymentState.CLOSING or not _may_close(found):
            return Answer(_items(payment.shop, found), (call,))
        name = _latest_name(name, found)
        sent, close_call = await self.send(
            account, channel.close(name, account, now), payment.shop, payment.id, "close"
        )
        return Answer(_items(payment.shop, (*found, *_evidence(sent))), (call, close_call))

    async def _unnamed_refund(
        self, channel: Channel[Any], account: Account, payment: Payment, name: PaymentName, now: datetime
    ) -> tuple[tuple[Evidence, ...], Call]:
        """A refund to which nobody gave a number, as that by a cancel, bears the payment's own at Alipay. A sum names
        none: booked by its name, the bill finds it again."""
        refund = RefundName(
            payment=name,
            merchant_refund_ref=payment.merchant_ref,
            channel_refund_id=None,
            money=payment.money,
            reason="",
        )
        query = channel.query_refund(refund, account, now)
        sent, call = await self.send(account, query, payment.shop, payment.id, "query_refund")
        return _evidence(sent), call

    async def about_refund(self, refund: Refund, payment: Payment, order: Order, asked: int, now: datetime) -> Answer:
        """Send a refund, or ask what became of it.

        A refund that may have been sent already is asked about first, and sent again only when the channel does not
        have it; it goes out under the same number each time, so that it can pay only once. An old one may have been
        sent even if its job was never worked on (`asked` is 0).
        """
        channel, account = self._party(payment)
        name = refund_name(refund, payment, order)
        calls: list[Call] = []
        found: tuple[Evidence, ...] = ()
        if refund.state is not RefundState.REQUESTED or asked > 0 or now - refund.created_at > SURELY_FIRST_SENT_WITHIN:
            query = channel.query_refund(name, account, now)
            sent, call = await self.send(account, query, refund.shop, refund.id, "query_refund")
            found = _evidence(sent)
            calls.append(call)
            if refund.state is not RefundState.REQUESTED or not _is_unknown(found):
                return Answer(_items(refund.shop, found), tuple(calls))
        sent, call = await self.send(account, channel.refund(name, account, now), refund.shop, refund.id, "refund")
        calls.append(call)
        items = _items(refund.shop, (*found, *_evidence(sent)))
        if isinstance(sent.outcome, Declined):
            why = f"{sent.outcome.code}: {sent.outcome.why}"
            declined = RefundDeclined(order_id=order.id, refund_id=refund.id, why=why)
            items += (Item(what=declined, shop=refund.shop, road="query"),)
        return Answer(items, tuple(calls))

    async def for_bill(self, account: Account, name: BillName, now: datetime) -> "tuple[Sent, Call]":
        """Ask where the bill of a day is."""
        exchange = CHANNELS[account.channel].ask_bill(name, account, now)
        return await self.send(account, exchange, account.shop, bill_subject(account, name), "ask_bill")

    async def download(
        self, account: Account, name: BillName, request: Request, into: BinaryIO, *, max_bytes: int, deadline_s: float
    ) -> "tuple[Sent, Call]":
        """Fetch the file of a bill, at once after it was asked for."""
        called_at = self.now_of()
        sent = await self._http.download(
            account, request, into, max_bytes=max_bytes, now_of=self.now_of, deadline_s=deadline_s
        )
        return sent, _call(account, sent, called_at, account.shop, bill_subject(account, name), "download_bill")

    async def send(
        self, account: Account, exchange: Exchange, shop: str, subject_id: str, purpose: str
    ) -> "tuple[Sent, Call]":
        """Send one exchange; returns what is certain afterwards, and its line for the journal."""
        called_at = self.now_of()
        sent = await self._http.send(account, exchange, now_of=self.now_of, deadline_s=self._deadline_s)
        return sent, _call(account, sent, called_at, shop, subject_id, purpose)

    def is_open(self, account: Account) -> bool:
        """Whether the account's breaker keeps calls back."""
        return self._http.breaker(account).state is State.OPEN

    def account_of(self, shop: str, channel: str, name: str) -> Account:
        """The shop's own account of this name. Raises NotFound naming those it has, and nobody else's."""
        own = {(account.channel, account.name): account for account in self._accounts.current.of_shop(shop)}
        if (channel, name) not in own:
            known = ", ".join("/".join(key) for key in own) or "none"
            raise NotFound(f"shop {shop} has no channel account {channel}/{name}; it has: {known[:300]}")
        return own[channel, name]

    def account(self, channel: str, name: str) -> Account:
        """The channel account of this name. Raises NotFound."""
        return self._accounts.current.get(channel, name)

    def _party(self, payment: Payment) -> tuple[Channel[Any], Account]:
        """Raises NotFound, also when the account of this name is another merchant's by now: that one does not know the
        payment, which would be called closed, and its refunds refused, while the customer can pay, or has paid."""
        account = self.account(payment.channel, payment.account)
        if not account.takes_for(payment.payee):
            raise NotFound(
                f"{payment.channel}/{payment.account} takes money for {account.payee} now, and payment {payment.id} is "
                f"{payment.payee}'s: put that account back under its name"
            )
        return CHANNELS[payment.channel], account


def bill_subject(account: Account, name: BillName) -> str:
    """How a bill is called in the journal and in cases: ``wechat/main trades 2026-11-22``."""
    return f"{account.channel}/{account.name} {name.kind} {name.day}"


def _call(account: Account, sent: "Sent", called_at: datetime, shop: str, subject_id: str, purpose: str) -> Call:
    return Call(
        id=ids.new_id(ids.CALL, called_at),
        called_at=called_at,
        shop=shop,
        channel=account.channel,
        account=account.name,
        subject_id=subject_id,
        purpose=purpose,
        outcome=type(sent.outcome).__name__.lower(),
        why=_why(sent),
        status=sent.status,
        elapsed_ms=sent.elapsed_ms,
        answer=sent.answer.decode("utf-8", "replace").replace("\x00", "\ufffd"),
    )


def _latest_name(name: PaymentName, found: Iterable[Evidence]) -> PaymentName:
    """With the channel's own number, if the answer just told it."""
    numbers = [e.channel_txn_id for e in found if isinstance(e, PaymentEvidence) and e.channel_txn_id]
    return msgspec.structs.replace(name, channel_txn_id=numbers[-1]) if numbers else name


def payment_name(payment: Payment, order: Order) -> PaymentName:
    """How a payment is named to its channel."""
    return PaymentName(
        merchant_ref=payment.merchant_ref,
        channel_txn_id=payment.channel_txn_id,
        money=payment.money,
        method=payment.method,
        created_at=payment.created_at,
        reopen=to_open(payment, order),
        registered=payment.registered,
    )


def to_open(payment: Payment, order: Order) -> ToOpen:
    """What the channel is asked to offer to the customer."""
    return ToOpen(
        merchant_ref=payment.merchant_ref,
        money=payment.money,
        method=payment.method,
        description=order.description or order.shop_order_no,
        expires_at=payment.expires_at,
        extra=payment.extra,
    )


def refund_name(refund: Refund, payment: Payment, order: Order) -> RefundName:
    """How a refund is named to its channel."""
    return RefundName(
        payment=payment_name(payment, order),
        merchant_refund_ref=refund.merchant_ref,
        channel_refund_id=refund.channel_refund_id,
        money=refund.money,
        reason=refund.reason,
    )


def _evidence(sent: "Sent") -> tuple[Evidence, ...]:
    return sent.outcome.evidence if isinstance(sent.outcome, Success) else ()


def _items(shop: str, found: Iterable[Evidence]) -> tuple[Item, ...]:
    return tuple(Item(what=evidence, shop=shop, road=evidence.road) for evidence in found)


def _may_close(found: tuple[Evidence, ...]) -> bool:
    """The channel answered, and nothing in the answer says that it is paid or closed already."""
    ended = (PaymentSays.PAID, PaymentSays.CLOSED, PaymentSays.GIVEN_BACK)
    return bool(found) and not any(isinstance(e, PaymentEvidence) and e.says in ended for e in found)


def _went_back_unheard(payment: Payment, found: tuple[Evidence, ...]) -> bool:
    """The channel answered that all of what we know as paid has gone back, and we do not know of all of that."""
    is_gone = any(isinstance(e, PaymentEvidence) and e.says is PaymentSays.GIVEN_BACK for e in found)
    return is_gone and payment.state in MONEY_ARRIVED and payment.refunded_minor < payment.amount_minor


def _is_unknown(found: tuple[Evidence, ...]) -> bool:
    """The channel answered that it does not have the refund."""
    return any(isinstance(e, RefundEvidence) and e.says is RefundSays.NOT_FOUND for e in found)


def _why(sent: "Sent") -> str:
    match sent.outcome:
        case Success(evidence=evidence):
            return ", ".join(f"{e.says}{f' ({e.note})' if e.note else ''}" for e in evidence) or "accepted"
        case Declined(code=code, why=why):
            return f"{code}: {why}"
        case other:
            return other.why
