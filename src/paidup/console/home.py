"""Home: are callbacks arriving, are orders getting paid, what is stuck. Nothing here counts a whole table."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from paidup.console.gate import Visit
from paidup.console.pages import page
from paidup.console.watched import OVERDUE
from paidup.db.transaction import Tx
from paidup.tally import store as tally
from paidup.tally.store import Account, Point

MANY = 1000
"""Beyond so many, "1000+" says it."""

# Each count stops at MANY + 1, and walks an index of what is unfinished.
STUCK = f"""
SELECT
  (SELECT min(received_at) FROM inbox_queue WHERE state = 'waiting') AS oldest_callback,
  (SELECT count(*) FROM (SELECT FROM inbox_queue WHERE state = 'poisoned' LIMIT {MANY + 1}) AS few) AS poisoned,
  (SELECT count(*) FROM (SELECT FROM due WHERE due_at < $1 LIMIT {MANY + 1}) AS few) AS overdue,
  (SELECT count(*) FROM (SELECT FROM deliveries
    WHERE state IN ('dead', 'skipped') LIMIT {MANY + 1}) AS few) AS given_up,
  (SELECT min(created_at) FROM outbox_queue) AS oldest_event,
  (SELECT count(*) FROM (SELECT FROM quarantine
    WHERE replayed_at IS NULL AND received_at > $2 LIMIT {MANY + 1}) AS few) AS quarantined,
  (SELECT count(*) FROM (SELECT FROM approvals WHERE state = 'waiting' LIMIT {MANY + 1}) AS few) AS approvals,
  (SELECT count(*) FROM (SELECT FROM transactions
    WHERE ended_at IS NULL AND state = 'MANUAL' LIMIT {MANY + 1}) AS few) AS stuck_transactions,
  (SELECT count(*) FROM (SELECT FROM transactions
    WHERE due_at < $1 LIMIT {MANY + 1}) AS few) AS late_transactions,
  (SELECT count(*) FROM (SELECT FROM skus
    WHERE NOT unlimited AND available + preorder_limit <= 0 LIMIT {MANY + 1}) AS few) AS sold_out,
  (SELECT count(*) FROM (SELECT FROM skus
    WHERE is_low AND (unlimited OR available + preorder_limit > 0) LIMIT {MANY + 1}) AS few) AS low,
  (SELECT count(*) FROM (SELECT FROM due LIMIT {MANY + 1}) AS few) AS watched"""

OPEN_CASES = """
SELECT c.kind, coalesce(p.currency, r.currency, '') AS currency, count(*) AS cases,
  coalesce(sum(coalesce(p.amount_minor, r.amount_minor)), 0)::bigint AS amount_minor, min(c.opened_at) AS since
FROM (SELECT kind, subject_id, opened_at FROM cases WHERE resolved_at IS NULL ORDER BY id DESC LIMIT 5000) AS c
LEFT JOIN payments p ON p.id = c.subject_id LEFT JOIN refunds r ON r.id = c.subject_id
GROUP BY 1, 2 ORDER BY cases DESC, 1, 2"""

LATE = timedelta(minutes=1)
STEP, LENGTH = timedelta(minutes=15), timedelta(hours=24)


class Kind(msgspec.Struct, frozen=True):
    """The open cases of one kind and currency, and what they are about together; no currency: about no money."""

    kind: str
    amount_minor: int
    currency: str
    cases: int
    since: datetime


class Trouble(msgspec.Struct, frozen=True):
    """One thing that is stuck: a sentence, how many, and the page that shows them."""

    text: str
    count: int
    path: str
    since: datetime | None = None


async def show(visit: Visit) -> Response:
    """The whole page, or the living part of it for htmx."""
    now = visit.context.clock.now()
    async with visit.context.db.session() as tx:
        values = await _values(tx, now)
    template = "home_live.html" if visit.request.headers.get("hx-request") else "home.html"
    return page(visit.visitor, now, template, values)


async def _values(tx: Tx, now: datetime) -> dict[str, object]:
    accounts = await tally.accounts(tx, now)
    stuck = dict(await tx.fetchrow(STUCK, now - OVERDUE, now - timedelta(days=1)) or {})
    kinds = msgspec.convert([dict(row) for row in await tx.fetch(OPEN_CASES)], list[Kind])
    points = await tally.series(tx, now, STEP, LENGTH)
    silent = [kind for kind in kinds if kind.kind == "silent_channel"]
    return {
        "accounts": accounts,
        "troubles": _troubles(stuck, now),
        "kinds": kinds,
        "silent": silent,
        "watched": stuck["watched"],
        "many": MANY,
        "series": _series(points, now),
        "totals": _totals(accounts),
    }


def _troubles(stuck: Mapping[str, object], now: datetime) -> list[Trouble]:
    """What does not move, worst first."""
    found = [
        Trouble("Callbacks that could not be applied", _count(stuck, "poisoned"), "/callbacks?state=poisoned"),
        Trouble("Deliveries that were given up", _count(stuck, "given_up"), "/deliveries"),
        Trouble("Overdue questions to a channel", _count(stuck, "overdue"), "/watched?late=yes"),
        Trouble("Callbacks in quarantine since yesterday", _count(stuck, "quarantined"), "/callbacks/quarantine"),
        Trouble("Decisions that wait for a second person", _count(stuck, "approvals"), "/approvals"),
        Trouble("Transactions across services that need a person", _count(stuck, "stuck_transactions"), "/stock"),
        Trouble("Transactions across services that are late", _count(stuck, "late_transactions"), "/stock"),
        Trouble("Articles that are sold out", _count(stuck, "sold_out"), "/stock?trouble=yes"),
        Trouble("Articles that are running low", _count(stuck, "low"), "/stock?trouble=yes"),
    ]
    callback, event = _late(stuck, "oldest_callback", now), _late(stuck, "oldest_event", now)
    found += [
        Trouble("Callbacks that wait for the door", int(callback is not None), "/callbacks", callback),
        Trouble("Events that wait to be handed out", int(event is not None), "/deliveries", event),
    ]
    return [trouble for trouble in found if trouble.count]


def _late(stuck: Mapping[str, object], name: str, now: datetime) -> datetime | None:
    since = stuck[name]
    return since if isinstance(since, datetime) and now - since > LATE else None


def _count(stuck: Mapping[str, object], name: str) -> int:
    return int(str(stuck[name]))


def _totals(accounts: list[Account]) -> dict[str, int]:
    names = ("paid_hour", "paid_hour_before", "paid_day", "paid_day_before", "by_callback", "by_query", "by_bill",
             "by_operator", "callbacks_hour")  # fmt: skip
    return {name: sum(getattr(account, name) for account in accounts) for name in names}


def _series(points: list[Point], now: datetime) -> str:
    """For the chart: seconds, paid by callback, healed; a step without any is a zero, not a gap."""
    by_at = {point.at: point for point in points}
    newest = max(by_at, default=now)
    steps = [newest - STEP * n for n in range(int(LENGTH / STEP) - 1, -1, -1)]
    rows = [by_at.get(at, Point(at, 0, 0)) for at in steps]
    columns = [[int(p.at.timestamp()) for p in rows], [p.callback for p in rows], [p.healed for p in rows]]
    return msgspec.json.encode(columns).decode()
