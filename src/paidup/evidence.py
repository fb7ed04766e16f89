"""Evidence: what somebody says about money. Four roads bring it, one door (apply.py) weighs it.

A callback may be late, repeated or contradicted, so nothing here is called a fact. Roads differ in speed, never in
authority.
"""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from paidup.errors import InvalidRequest
from paidup.money import Money

MAX_NUMBER_CHARS = 500
"""A key or a number. Honest ones have some 30; PostgreSQL indexes no text of more than 2704 bytes."""
MAX_NOTE_CHARS = 2000
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


class Road(StrEnum):
    """How evidence reached us."""

    CALLBACK = "callback"  # the channel told us
    QUERY = "query"  # we asked the channel
    BILL = "bill"  # the channel's bill of the day says so
    OPERATOR = "operator"  # a person says so, with a reason


class PaymentSays(StrEnum):
    """What the channel says of a payment, in one vocabulary for all channels (CHANNELS' status map)."""

    NOT_FOUND = "not_found"  # the channel does not know it; while it is young this means nothing
    WAITING = "waiting"  # known, not paid yet
    PAID = "paid"  # the money is ours
    FAILED = "failed"  # this attempt failed; the customer may try again
    CLOSED = "closed"  # nobody can pay it any more
    GIVEN_BACK = "given_back"  # it was paid, and all of it has gone back to the customer since


class RefundSays(StrEnum):
    """What the channel says of a refund."""

    NOT_FOUND = "not_found"
    PENDING = "pending"  # accepted; the money has not arrived yet
    SUCCEEDED = "succeeded"  # the customer has the money
    FAILED = "failed"  # the money is (again) ours


class DisputeSays(StrEnum):
    """What the channel says of a dispute (a chargeback): the customer's bank asks for the money back."""

    INQUIRED = "inquired"  # the bank only asks about the payment; the money stays where it is
    OPENED = "opened"
    WON = "won"
    LOST = "lost"


class _Evidence(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What all evidence carries. Raises InvalidRequest for what the database could not hold.

    key names the happening as the channel does (event id, notify_id); two pieces with one key are repeats. It only
    saves work: weighing the same evidence twice changes nothing.
    """

    road: Road
    channel: str
    account: str
    key: str
    received_at: datetime
    occurred_at: datetime | None = None
    merchant_ref: str | None = None
    """The number under which the merchant named the payment (out_trade_no; for Stripe our metadata)."""
    channel_txn_id: str | None = None
    """The channel's own number of the payment (transaction_id, trade_no, PaymentIntent id)."""
    other_ref: str | None = None
    """Another number by which we may know the payment: that of Stripe's Checkout page, which the shop may register."""
    amount: Money | None = None
    payee: str | None = None
    """Who got the money, as the message says (mchid and appid, app_id and seller_id, live or test mode)."""
    note: str = ""
    """The channel's own words for the state, for people: ``TRADE_SUCCESS``, ``USERPAYING``."""

    def __post_init__(self) -> None:
        must_be_holdable(self.note, MAX_NOTE_CHARS)
        texts = [value for value in msgspec.structs.astuple(self) if isinstance(value, str)]
        if "\x00" in "".join(texts) or max(map(len, texts)) > MAX_NUMBER_CHARS:  # hardly ever: then one by one
            for name, value in msgspec.structs.asdict(self).items():
                if isinstance(value, str) and name != "note":
                    must_be_holdable(value, MAX_NUMBER_CHARS)
        if self.occurred_at is not None and not EARLIEST <= self.occurred_at <= LATEST:
            raise InvalidRequest(f"it is said to have happened in the year {self.occurred_at.year}")


class PaymentEvidence(_Evidence, frozen=True, gc=False, kw_only=True, tag="payment"):
    """Somebody says that a payment is in some state. `amount` is what the customer was asked for."""

    says: PaymentSays


class RefundEvidence(_Evidence, frozen=True, kw_only=True, tag="refund"):
    """Somebody says that a refund is in some state. `amount` is the refund's own amount, if stated."""

    says: RefundSays
    merchant_refund_ref: str | None = None
    """The number under which the merchant named the refund (out_refund_no, out_request_no, our metadata)."""
    channel_refund_id: str | None = None
    so_far: Money | None = None
    """What this and all earlier refunds of the payment gave back together, where the channel states the sum alone."""


class DisputeEvidence(_Evidence, frozen=True, kw_only=True, tag="dispute"):
    """Somebody says that the payment is disputed. `amount` is the disputed amount."""

    says: DisputeSays
    dispute_id: str


Evidence = PaymentEvidence | RefundEvidence | DisputeEvidence


def must_be_holdable(text: str, max_chars: int) -> None:
    """Raises InvalidRequest for a text of the channel's that PostgreSQL could not keep, signed or not."""
    if "\x00" in text or len(text) > max_chars:
        raise InvalidRequest(f"{text[:40]!r} is no such text: it holds a NUL, or more than {max_chars} characters")


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Evidence] = msgspec.json.Decoder(Evidence)


def encode(evidence: Evidence) -> bytes:
    """Evidence as JSON, as it is kept in the inbox and in the journal."""
    return _encoder.encode(evidence)


def decode(data: bytes | str) -> Evidence:
    """The inverse of `encode`. Raises msgspec.ValidationError on anything else."""
    return _decoder.decode(data)
