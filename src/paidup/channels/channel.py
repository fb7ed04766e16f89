"""A channel is a translator: bytes, keys and `now` in; evidence, or a request to send, out. It never waits.

The Protocol has no defaults: a missing method fails the type check, a careless one fails tests/conformance.
Adding a channel: docs/how-to/add-a-channel.md.
"""

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import BinaryIO, Protocol, TypeVar

import msgspec

from paidup.channels.bill import Bill, BillKind, BillName, BillProof
from paidup.channels.messages import CallbackRequest, Exchange, Reading, Reply, Success
from paidup.errors import CallbackRefused
from paidup.money import Money


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One merchant account at a channel, with its keys. Each channel derives its own.

    payee: whom the channel must name as the receiver, in the channel's own form. base_url: where to send requests.
    notify_url: where the channel sends callbacks to.
    """

    channel: str
    name: str
    shop: str
    payee: str
    base_url: str
    notify_url: str

    def takes_for(self, payee: str) -> bool:
        """Whether what this receiver is paid goes where this account's money goes, perhaps through another app."""
        return payee == self.payee

    def __repr__(self) -> str:
        """Whom it names, never its keys: accounts end up in tracebacks."""
        return f"{type(self).__name__}({self.channel}/{self.name})"


AccountT = TypeVar("AccountT", bound=Account)


class KeyInfo(msgspec.Struct, frozen=True):
    """A key as people may see it: never the key itself."""

    use: str  # "verify callbacks", "sign requests", "decrypt callbacks" …
    name: str  # serial number or id
    fingerprint: str  # first 16 hex digits of SHA-256 over the public part, or over the secret
    expires_at: datetime | None = None


class ToOpen(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to offer to the customer."""

    merchant_ref: str
    money: Money
    method: str  # one of the channel's `methods`
    description: str
    expires_at: datetime
    extra: Mapping[str, str] = {}  # for example openid for WeChat JSAPI, return_url for pages


class PaymentName(msgspec.Struct, frozen=True, kw_only=True):
    """How to name a payment to the channel. `reopen` is what it was opened with, for channels that can only be asked
    for an unknown id by repeating the opening under its idempotency key (Stripe). One that is `registered` was opened
    by the shop itself, and repeating an opening of ours would make another one."""

    merchant_ref: str
    channel_txn_id: str | None
    money: Money
    method: str
    created_at: datetime
    reopen: ToOpen
    registered: bool = False


class RefundName(msgspec.Struct, frozen=True, kw_only=True):
    """A refund to send or to ask about; sending it twice under the same merchant_refund_ref pays once."""

    payment: PaymentName
    merchant_refund_ref: str
    channel_refund_id: str | None
    money: Money
    reason: str


class Channel(Protocol[AccountT]):
    """One payment channel. `methods` are the ways to open a payment, the first being the default. `bills` are the
    kinds of bills it gives."""

    name: str
    methods: tuple[str, ...]
    bills: tuple[BillKind, ...]

    def parse_account(self, name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> AccountT:
        """Build an account from its account.toml and the files beside it. Raises ConfigError naming what is wrong."""
        ...

    def keys(self, account: AccountT) -> tuple[KeyInfo, ...]:
        """The account's keys as people may see them, old and new."""
        ...

    def read_callback(self, request: CallbackRequest, account: AccountT, now: datetime) -> Reading:
        """Verify on the raw bytes, then read. Raises CallbackRefused and nothing else, whatever the bytes are."""
        ...

    def accepted(self) -> Reply:
        """Tells the channel that the callback is stored. Sent only after it is durable."""
        ...

    def refused(self, refusal: CallbackRefused) -> Reply:
        """Tells the channel that the callback was not accepted, in its own form; never 2xx."""
        ...

    def open(self, payment: ToOpen, account: AccountT, now: datetime) -> Exchange | Success:
        """Offer a payment to the customer. Raises InvalidRequest when a field the method needs is missing.

        A Success means that there is nothing to send: what the customer's device needs is already signed (Alipay's
        page pay is a URL which the browser follows).
        """
        ...

    def query(self, payment: PaymentName, account: AccountT, now: datetime) -> Exchange:
        """Ask what became of a payment (主动查单). Raises InvalidRequest when what is known of it does not suffice."""
        ...

    def close(self, payment: PaymentName, account: AccountT, now: datetime) -> Exchange:
        """Make a payment unpayable. Success carries CLOSED evidence; a paid one answers with WAITING or PAID evidence
        or Declined, and is queried."""
        ...

    def refund(self, refund: RefundName, account: AccountT, now: datetime) -> Exchange:
        """Send a refund, idempotent under merchant_refund_ref."""
        ...

    def query_refund(self, refund: RefundName, account: AccountT, now: datetime) -> Exchange:
        """Ask what became of a refund."""
        ...

    def bill_zone(self, account: AccountT) -> tzinfo:
        """The time zone in which the days of its bills are counted."""
        ...

    def bill_ready_at(self, day: date, account: AccountT) -> datetime:
        """From when on it is worth asking for the bill of a day."""
        ...

    def ask_bill(self, name: BillName, account: AccountT, now: datetime) -> Exchange:
        """Ask where a bill is (对账单); a Success carries `bill`. "There is none" is NoBill, never an error."""
        ...

    def read_bill(self, file: BinaryIO, name: BillName, account: AccountT, proof: BillProof) -> Bill:
        """Check a downloaded file as a whole, then give its lines one at a time. `file` can seek, and stays open as
        long as the bill is read. Raises BillRefused and nothing else, whatever the bytes are."""
        ...
