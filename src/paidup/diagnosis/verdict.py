"""What a diagnosis rests on, and what it says.

The diagnoses are a closed list. Each sentence is a template with its values beside it, so that whoever shows it writes
times and money as its reader does, in the reader's language.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from paidup.cases.store import Case
from paidup.delivery.shown import Delivery
from paidup.journal.store import Call, Entry
from paidup.money import Money
from paidup.orders.order import Order
from paidup.payments.payment import Payment
from paidup.refunds.refund import Refund

Value = str | int | datetime | Money


class Diagnosis(StrEnum):
    """Where an order stands, or why it is not paid."""

    PAID = "paid"
    REFUNDED = "refunded"
    HELD = "held"  # money came, but not as agreed: a person decides
    CALLBACK_WAITS = "callback_waits"  # the channel told us of something that is not there yet
    CALLBACK_STUCK = "callback_stuck"  # the channel told us, and it could not be applied
    NOT_STARTED = "not_started"  # no payment was started
    NOT_OPENED = "not_opened"  # the channel does not know the payment yet
    CHANNEL_AWAY = "channel_away"  # the channel does not answer our questions
    DECLINED = "declined"  # the customer tried, and the channel declined
    NOT_PAID_YET = "not_paid_yet"  # the channel says that nobody has paid
    CLOSING = "closing"  # no longer offered; the channel has not confirmed yet
    CLOSED = "closed"  # nobody can pay it any more
    UNANSWERED = "unanswered"  # our questions are exhausted: the bill or a person will tell


class Said(msgspec.Struct, frozen=True):
    """A sentence: a template in English, and its values."""

    text: str
    values: Mapping[str, Value] = {}

    def english(self) -> str:
        """As the command line and the API show it: times in UTC."""
        return self.text.format(**{name: _plain(value) for name, value in self.values.items()})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a diagnosis rests on. waiting: callbacks that were set aside, as (state, why, id)."""

    order: Order
    payments: Sequence[Payment]
    refunds: Sequence[Refund]
    decisions: Sequence[Entry]
    calls: Sequence[Call]
    deliveries: Sequence[Delivery]
    cases: Sequence[Case]
    waiting: Sequence[tuple[str, str, str]]
    next_at: datetime | None


class Verdict(msgspec.Struct, frozen=True):
    """The diagnosis; sentences that tell what happened; and what comes next, by itself or by a person."""

    diagnosis: Diagnosis
    sentences: tuple[Said, ...]
    next_step: Said

    def english(self) -> str:
        """What happened, in one line."""
        return " ".join(said.english() for said in self.sentences)


def _plain(value: Value) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)
