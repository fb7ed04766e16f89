"""The proof that can be run at any time: sums that must agree, and rows that must not exist.

It reads one snapshot, so it holds while callbacks arrive. A breach names the rows.
"""

from typing import Any

import msgspec

from paidup.db.transaction import Database, Tx


class Check(msgspec.Struct, frozen=True):
    """One claim. `sums` are the figures it was judged by; `breaches` are up to ten ids that break it."""

    name: str
    claim: str
    sums: dict[str, int]
    breaches: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing breaks the claim."""
        return not self.breaches


class _Claim(msgspec.Struct, frozen=True):
    name: str
    claim: str
    sums: str
    breaches: str


_MONEY = "('paid', 'disputed', 'charged_back')"

# Each callback counts once, as the strongest thing that became of its evidence.
_CALLBACKS = _Claim(
    "callbacks",
    "received = applied + repeated + ignored + rejected + parked + waiting + quarantined",
    """
    WITH settled AS (
      SELECT callback_id, bool_or(outcome = 'applied') AS applied, bool_or(outcome = 'rejected') AS rejected,
        bool_or(outcome = 'repeated') AS repeated
      FROM decisions WHERE callback_id IS NOT NULL GROUP BY callback_id)
    SELECT count(*) AS received,
      count(*) FILTER (WHERE q.state IS NULL AND s.applied) AS applied,
      count(*) FILTER (WHERE q.state IS NULL AND s.rejected AND NOT s.applied) AS rejected,
      count(*) FILTER (WHERE q.state IS NULL AND s.repeated AND NOT s.applied AND NOT s.rejected) AS repeated,
      count(*) FILTER (WHERE q.state IS NULL AND NOT (s.applied OR s.rejected OR s.repeated)) AS ignored,
      count(*) FILTER (WHERE q.state = 'parked') AS parked,
      count(*) FILTER (WHERE q.state = 'waiting') AS waiting,
      count(*) FILTER (WHERE q.state = 'poisoned') AS quarantined
    FROM inbox i LEFT JOIN inbox_queue q ON q.callback_id = i.id LEFT JOIN settled s ON s.callback_id = i.id""",
    """
    SELECT i.id FROM inbox i WHERE NOT EXISTS (SELECT FROM inbox_queue q WHERE q.callback_id = i.id)
      AND NOT EXISTS (SELECT FROM decisions d WHERE d.callback_id = i.id)
    UNION ALL SELECT q.callback_id FROM inbox_queue q WHERE NOT EXISTS (SELECT FROM inbox i WHERE i.id = q.callback_id)
    LIMIT 10""",
)

_PAID_ONCE = _Claim(
    "paid once",
    "each payment whose money arrived was announced exactly once, and no other",
    f"""
    SELECT (SELECT count(*) FROM payments WHERE state IN {_MONEY}) AS paid_payments,
      (SELECT count(*) FROM events WHERE type = 'payment.paid') AS paid_events""",
    f"""
    SELECT p.id FROM payments p LEFT JOIN (
      SELECT subject_id, count(*) AS n FROM events WHERE type = 'payment.paid' GROUP BY subject_id) e
      ON e.subject_id = p.id
    WHERE (p.state IN {_MONEY}) <> (coalesce(e.n, 0) = 1) OR coalesce(e.n, 0) > 1 LIMIT 10""",
)

_ORDERS = _Claim(
    "orders",
    "a paid order has exactly one payment that paid it, over the same money; an unpaid one has none",
    f"""
    SELECT count(*) FILTER (WHERE state IN ('paid', 'refunded')) AS paid_orders,
      (SELECT count(*) FROM orders o JOIN payments p ON p.id = o.paid_by AND p.order_id = o.id
       WHERE p.state IN {_MONEY}) AS with_their_payment FROM orders""",
    f"""
    SELECT o.id FROM orders o LEFT JOIN payments p ON p.id = o.paid_by AND p.order_id = o.id AND p.state IN {_MONEY}
    WHERE (o.state IN ('paid', 'refunded')) <> (p.id IS NOT NULL)
      OR (p.id IS NOT NULL AND (p.amount_minor, p.currency) <> (o.amount_minor, o.currency)) LIMIT 10""",
)

_GIVEN_BACK = _Claim(
    "given back",
    "a paid payment that did not pay its order is being given back",
    f"""
    SELECT count(*) AS surplus_payments FROM payments p JOIN orders o ON o.id = p.order_id
    WHERE p.state IN {_MONEY} AND o.paid_by IS DISTINCT FROM p.id""",
    f"""
    SELECT p.id FROM payments p JOIN orders o ON o.id = p.order_id
    WHERE p.state IN {_MONEY} AND o.paid_by IS DISTINCT FROM p.id
      AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id) LIMIT 10""",
)

_NUMBERED = _Claim(
    "event order",
    "each order's events are numbered 1, 2, 3 … without gaps",
    "SELECT (SELECT coalesce(sum(event_seq), 0) FROM orders) AS numbered, (SELECT count(*) FROM events) AS events",
    """
    SELECT o.id FROM orders o LEFT JOIN (
      SELECT order_id, count(*) AS n, count(DISTINCT seq) AS d, max(seq) AS top FROM events GROUP BY order_id) e
      ON e.order_id = o.id
    WHERE o.event_seq <> coalesce(e.n, 0) OR o.event_seq <> coalesce(e.d, 0) OR o.event_seq <> coalesce(e.top, 0)
    LIMIT 10""",
)

_REFUNDS = _Claim(
    "refunds",
    "what was refunded of a payment is the sum of its succeeded refunds, and no more than was paid",
    """
    SELECT (SELECT coalesce(sum(refunded_minor), 0) FROM payments) AS refunded_minor,
      (SELECT coalesce(sum(amount_minor), 0) FROM refunds WHERE state = 'succeeded') AS succeeded_minor""",
    """
    SELECT p.id FROM payments p LEFT JOIN (
      SELECT payment_id, sum(amount_minor) AS minor FROM refunds WHERE state = 'succeeded' GROUP BY payment_id) r
      ON r.payment_id = p.id
    WHERE p.refunded_minor <> coalesce(r.minor, 0) OR (p.refunded_minor > p.amount_minor AND NOT EXISTS (
      SELECT FROM cases c WHERE c.subject_id = p.id AND c.kind = 'over_refunded')) LIMIT 10""",
)

_JOBS = _Claim(
    "jobs",
    "every unfinished payment and refund has its next question, or a person who was told",
    """
    SELECT (SELECT count(*) FROM payments WHERE state IN ('created', 'open', 'closing'))
        + (SELECT count(*) FROM refunds WHERE state IN ('requested', 'pending')) AS unfinished,
      (SELECT count(*) FROM due) AS scheduled""",
    """
    SELECT id FROM (
      SELECT id FROM payments WHERE state IN ('created', 'open', 'closing')
      UNION ALL SELECT id FROM refunds WHERE state IN ('requested', 'pending')) s
    WHERE NOT EXISTS (SELECT FROM due d WHERE d.subject_id = s.id)
      AND NOT EXISTS (SELECT FROM cases c WHERE c.subject_id = s.id AND c.kind = 'unanswered') LIMIT 10""",
)

_TOLD = _Claim(
    "told",
    "every event is queued, or was given to each endpoint that wants it",
    """
    SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM outbox_queue) AS queued,
      (SELECT count(*) FROM deliveries WHERE state = 'delivered') AS delivered,
      (SELECT count(*) FROM deliveries WHERE state = 'waiting') AS under_way,
      (SELECT count(*) FROM deliveries WHERE state = 'dead') AS dead_letters""",
    """
    SELECT q.event_id FROM outbox_queue q WHERE NOT EXISTS (SELECT FROM events e WHERE e.id = q.event_id) LIMIT 10""",
)

CLAIMS = (_CALLBACKS, _PAID_ONCE, _ORDERS, _GIVEN_BACK, _NUMBERED, _REFUNDS, _JOBS, _TOLD)

SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


async def verify(db: Database) -> list[Check]:
    """Run all checks on one snapshot."""
    async with db.transaction() as tx:
        await tx.execute(SNAPSHOT)
        return [await _check(tx, claim) for claim in CLAIMS]


async def _check(tx: Tx, claim: _Claim) -> Check:
    sums: Any = await tx.fetchrow(claim.sums)
    breaches = [str(row[0]) for row in await tx.fetch(claim.breaches)]
    return Check(claim.name, claim.claim, {name: int(value) for name, value in sums.items()}, breaches)
