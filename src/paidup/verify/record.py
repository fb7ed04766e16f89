"""All that is written about one order."""

from collections.abc import Mapping, Sequence

import msgspec

from paidup.journal.store import Entry
from paidup.orders.order import Order
from paidup.outbox.store import Written
from paidup.payments.payment import Payment
from paidup.refunds.refund import Refund


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its rows. seals: as stored, by id. jobs: payments and refunds that have a next question.

    asked_people: (kind, subject) of all cases, resolved ones, too. events and decisions are None when they are so old
    that they may have left by age.
    """

    order: Order
    payments: Sequence[Payment]
    refunds: Sequence[Refund]
    seals: Mapping[str, bytes]
    jobs: frozenset[str]
    asked_people: frozenset[tuple[str, str]]
    events: Sequence[Written] | None
    decisions: Sequence[Entry] | None
