"""Both sides of a finished run: what our tables say, and what outsiders know."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from paidup.evidence import Evidence
from paidup.orders.order import Order
from paidup.outbox.store import Written
from paidup.payments.payment import Payment
from paidup.payments.store import payment_of
from paidup.refunds.refund import Refund
from paidup.sandbox.ledger import Trade
from paidup.sandbox.world import World
from paidup.simulator.witness import Witness

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Books", "Evidence", "Sides", "read_books"]

ORDERS = "SELECT * FROM orders ORDER BY id"
PAYMENTS = "SELECT * FROM payments ORDER BY id"
REFUNDS = "SELECT * FROM refunds ORDER BY id"
EVENTS = "SELECT * FROM events ORDER BY order_id, seq"
CASES = "SELECT subject_id, kind FROM cases WHERE resolved_at IS NULL"
BODIES = "SELECT body FROM inbox"
UNDELIVERED = "SELECT event_id, state, why FROM deliveries WHERE state <> 'delivered' ORDER BY id"
UNITS_GIVEN_UP = "SELECT DISTINCT order_id FROM reservations WHERE state = 'released'"
LEFT = """
SELECT (SELECT count(*) FROM due) AS due, (SELECT count(*) FROM outbox_queue) AS outbox,
  (SELECT count(*) FROM inbox_queue WHERE state = 'waiting') AS waiting,
  (SELECT count(*) FROM inbox_queue WHERE state = 'poisoned') AS poisoned,
  (SELECT count(*) FROM inbox_queue WHERE state = 'parked') AS parked"""


class Books(msgspec.Struct, frozen=True):
    """Our tables at one moment. cases: kinds of the open cases by what they are about. units_given_up: orders whose
    articles are on sale again."""

    orders: Mapping[str, Order]
    payments: Mapping[str, Payment]
    refunds: Mapping[str, Refund]
    events: Sequence[Written]
    cases: Mapping[str, frozenset[str]]
    bodies: frozenset[bytes]
    undelivered: Sequence[tuple[str, str, str]]
    left: Mapping[str, int]
    units_given_up: frozenset[str]

    def refunds_of(self, payment_id: str) -> list[Refund]:
        """The refunds of a payment."""
        return [refund for refund in self.refunds.values() if refund.payment_id == payment_id]

    def asks_a_person(self, payment_id: str) -> bool:
        """Whether a person was called about this payment or one of its refunds."""
        names = (payment_id, *(refund.id for refund in self.refunds_of(payment_id)))
        return any(self.cases.get(name) for name in names)


class Sides(msgspec.Struct, frozen=True):
    """Ours and theirs. calm_at: since when nothing went wrong any more."""

    books: Books
    world: World
    witness: Witness
    calm_at: datetime
    now: datetime
    untold: frozenset[str]
    """The merchant's numbers of which some notice never reached us, and that nothing else told us of, either."""
    differing: frozenset[str] = frozenset()
    """The payments of which a bill names another amount than we do: the difference is open, for people."""

    def trades(self) -> list[Trade]:
        """Everything that was ever opened at the channels."""
        return self.world.ledger.page(0, len(self.world.ledger))

    def payment_of(self, trade: Trade) -> Payment | None:
        """Our payment of a trade."""
        ours = (p for p in self.books.payments.values() if p.channel == trade.channel)
        return next((p for p in ours if trade.merchant_ref == p.merchant_ref), None)

    def trade_of(self, payment: Payment) -> Trade | None:
        """The channel's side of a payment; of several under one number the one that was paid."""
        same = [t for t in self.trades() if (t.channel, t.merchant_ref) == (payment.channel, payment.merchant_ref)]
        return next((t for t in same if t.paid_at), next(iter(same), None))


async def read_books(connection: "Connection[Record]") -> Books:
    """All of our tables; they are small."""
    cases: dict[str, set[str]] = {}
    for row in await connection.fetch(CASES):
        cases.setdefault(row["subject_id"], set()).add(row["kind"])
    left = await connection.fetchrow(LEFT)
    return Books(
        orders={row["id"]: _row(row, Order) for row in await connection.fetch(ORDERS)},
        payments={row["id"]: payment_of(row) for row in await connection.fetch(PAYMENTS)},
        refunds={row["id"]: _row(row, Refund) for row in await connection.fetch(REFUNDS)},
        events=[_event(row) for row in await connection.fetch(EVENTS)],
        cases={name: frozenset(kinds) for name, kinds in cases.items()},
        bodies=frozenset(bytes(row["body"]) for row in await connection.fetch(BODIES)),
        undelivered=[(row["event_id"], row["state"], row["why"]) for row in await connection.fetch(UNDELIVERED)],
        left=dict(left) if left else {},
        units_given_up=frozenset(row["order_id"] for row in await connection.fetch(UNITS_GIVEN_UP)),
    )


def _row(row: Any, kind: type[Any]) -> Any:
    return msgspec.convert({name: value for name, value in row.items() if name in kind.__struct_fields__}, kind)


def _event(row: Any) -> Written:
    return msgspec.convert(dict(row) | {"data": msgspec.json.decode(row["data"])}, Written)
