"""How long each thing may take at most, and what takes longer."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from paidup.simulator.witness import Breach

if TYPE_CHECKING:
    from asyncpg import Connection, Record

PAYMENT_BOUND = timedelta(minutes=35)
"""After the trouble and its own expiry a payment is final within this: the widest gap of the closing schedule, two
rounds, an open breaker. One that the shop registers long after its expiry is asked about from then on."""
REFUND_BOUND = timedelta(hours=2, minutes=30)
"""After the trouble a refund is settled within this: twice the gap for refunds that are hours old."""
CLOSING_BOUND = timedelta(seconds=90)
"""Where nothing goes wrong, a payment that is being closed is closed within this: it is asked about at once.
Alipay's page cannot be closed before somebody follows it, or its time is over."""
ASKING_BOUND = timedelta(seconds=45)
"""Where nothing goes wrong, whoever is due is asked about within this; even workers that look twice a minute would."""

LATE = """
SELECT 'payment ' || id || ' is still ' || state AS what FROM payments p
WHERE state IN ('created', 'open', 'closing') AND greatest(expires_at, created_at, $1) + $3 < $2
  AND NOT EXISTS (SELECT FROM cases c WHERE c.subject_id = p.id)
UNION ALL
SELECT 'refund ' || id || ' is still ' || state FROM refunds r
WHERE state IN ('requested', 'pending') AND greatest(created_at, $1) + $4 < $2
  AND NOT EXISTS (SELECT FROM cases c WHERE c.subject_id = r.id)
UNION ALL
SELECT 'order ' || id || ' is still ' || state FROM orders o
WHERE state IN ('unpaid', 'closing') AND greatest(expires_at, $1) + $3 < $2
  AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = o.id)
  AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id
    AND (p.state = 'held' OR (p.state = 'closing' AND p.expires_at + $3 >= $2)))"""

SLOW_TO_CLOSE = """
SELECT 'payment ' || id || ' is closing since ' || updated_at FROM payments p
WHERE state = 'closing' AND updated_at > $1 AND updated_at + $3 < $2 AND NOT (method = 'page' AND expires_at + $3 >= $2)
  AND NOT EXISTS (SELECT FROM cases c WHERE c.subject_id = p.id)"""

UNASKED = """
SELECT kind || ' ' || subject_id || ' is due since ' || due_at FROM due WHERE greatest(due_at, $1) + $3 < $2"""


async def too_late(connection: "Connection[Record]", calm_at: datetime, now: datetime) -> list[Breach]:
    """Once the trouble is over, every payment, refund and order is settled, or a person called, within its bound."""
    rows = await connection.fetch(LATE, calm_at, now, PAYMENT_BOUND, REFUND_BOUND)
    return [Breach("settled within the bound", row[0]) for row in rows]


async def slow_to_close(connection: "Connection[Record]", trouble_at: datetime, now: datetime) -> list[Breach]:
    """What began to be closed after the last trouble is closed at once, whoever else was asking about it."""
    rows = await connection.fetch(SLOW_TO_CLOSE, trouble_at, now, CLOSING_BOUND)
    return [Breach("closing is not put off", row[0]) for row in rows]


async def unasked(connection: "Connection[Record]", trouble_at: datetime, now: datetime) -> list[Breach]:
    """Long after the last trouble, whoever is due is asked about, however many others are due."""
    rows = await connection.fetch(UNASKED, trouble_at, now, ASKING_BOUND)
    return [Breach("who is due is asked about", row[0]) for row in rows]
