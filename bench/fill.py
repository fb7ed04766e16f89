"""Tables as they look after a long time, made set-based: history by day, open payments, deliveries that wait.

The rows are as long as real ones, their ids sort by time as ours do, and every index is filled; only seals and chains
are made up, so `paidup verify` would (rightly) not believe them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from paidup.clock import days_after
from paidup.db.partitions import ensure_partitions
from paidup.db.transaction import Database
from paidup.orders.order import LatePayment
from paidup.shops import store as shops

SHOP = "bench"
ROWS_PER_ORDER = 4
"""History of one paid order: a callback, a decision, two events."""
_TIMEOUT_S = 3600.0

# The time of an id, nine characters of base 32, as ids.new_id writes it; md5 gives the characters of chance.
_MADE_UP = """
CREATE OR REPLACE FUNCTION pg_temp.placed(at timestamptz) RETURNS text LANGUAGE sql AS $$
  SELECT '00' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz',
    ((extract(epoch FROM at) * 1000)::bigint >> (5 * (8 - place)) & 31)::int + 1, 1), '' ORDER BY place)
  FROM generate_series(0, 8) AS place $$;
CREATE OR REPLACE FUNCTION pg_temp.chance() RETURNS text LANGUAGE sql VOLATILE AS
  $$ SELECT substr(md5(random()::text), 1, 16) $$;
"""

_NAMES = """
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT n, at, '{prefix}' || n AS no, 'ord' || place || pg_temp.chance() AS order_id,
  'pay' || place || pg_temp.chance() AS pay_id, 'cbk' || place || pg_temp.chance() AS callback_id,
  'dec' || place || pg_temp.chance() AS decision_id,
  'evt' || place || pg_temp.chance() AS event_id
FROM (SELECT n, at, pg_temp.placed(at) AS place
      FROM (SELECT n, '{start}'::timestamptz + n * ({spread_s}::float8 / {count}) * interval '1 second' AS at
            FROM generate_series(0, {count} - 1) AS n) AS times) AS places"""

_ORDERS = """
INSERT INTO orders (id, shop, shop_order_no, amount_minor, currency, state, late_payment, paid_by, event_seq, chain,
  created_at, expires_at, updated_at, seal)
SELECT order_id, 'bench', no, 1250, 'CNY', {state}, 'reopen', {paid_by}, {seq}, decode(md5(order_id), 'hex'), at,
  at + interval '2 hours', at, decode(md5(no), 'hex') FROM made ORDER BY n"""

_PAYMENTS = """
INSERT INTO payments (id, shop, order_id, channel, account, method, merchant_ref, channel_txn_id, payee, amount_minor,
  currency, state, registered, created_at, expires_at, paid_at, updated_at, seal)
SELECT pay_id, 'bench', order_id, 'wechat', 'main', 'native', pay_id, {txn}, '1900000001/wx0000000000000001', 1250,
  'CNY', {state}, false, at, at + interval '2 hours', {paid_at}, at, decode(md5(pay_id), 'hex') FROM made ORDER BY n"""

_NUMBERS = """
INSERT INTO numbers (number, order_id, shop, amount_minor, made_at)
SELECT w.number, order_id, 'bench', w.amount_minor, w.made_at FROM made CROSS JOIN LATERAL (VALUES
  (order_id, 1250::bigint, at), (no, NULL, NULL), (pay_id, 1250, at), ({txn}, NULL, NULL),
  ('customer-' || n, NULL, NULL)) AS w (number, amount_minor, made_at)
WHERE w.number IS NOT NULL ORDER BY n"""

_INBOX = """
INSERT INTO inbox (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body)
SELECT callback_id, at, 'bench', 'wechat', 'main', pay_id, 'TRANSACTION.SUCCESS', '/callbacks/wechat/main',
  '[["made-up","' || repeat('h', 685) || '"]]', decode(repeat('6262', 480), 'hex') FROM made ORDER BY n"""

_DECISIONS = """
INSERT INTO decisions (id, decided_at, road, outcome, why, shop, callback_id, order_id, payment_id, before, after,
  evidence, event_seq, told, prev)
SELECT decision_id, at, 'callback', 'applied', 'the channel says it is paid; the order is paid', 'bench', callback_id,
  order_id, pay_id, 'order unpaid, payment open', 'order paid, payment paid',
  '{"made_up":"' || repeat('e', 385) || '"}', 2, decode(md5(pay_id), 'hex'), '' FROM made ORDER BY n"""

_EVENTS = """
INSERT INTO events (id, created_at, shop, type, order_id, seq, subject_id, data)
SELECT overlay(event_id placing seq::text FROM 30), at + seq * interval '1 microsecond', 'bench',
  CASE seq WHEN 1 THEN 'payment.paid' ELSE 'order.paid' END, order_id, seq,
  CASE seq WHEN 1 THEN pay_id ELSE order_id END, '{"made_up":"' || repeat('d', 385) || '"}'
FROM made CROSS JOIN generate_series(1, 2) AS seq ORDER BY n, seq"""

_DELIVERIES = """
INSERT INTO deliveries (event_id, event_created_at, endpoint_id, shop, order_id, seq, type, state, head, due_at,
  attempts, why, acknowledged_at, applied_at, created_at)
SELECT overlay(event_id placing seq::text FROM 30), at + seq * interval '1 microsecond', e.id, 'bench', order_id, seq,
  CASE seq WHEN 1 THEN 'payment.paid' ELSE 'order.paid' END, {state}, {head}, {due_at}, 1, '', {done_at}, {done_at}, at
FROM made CROSS JOIN generate_series(1, 2) AS seq
CROSS JOIN unnest($1::text[]) WITH ORDINALITY AS e (id, place) ORDER BY n, seq"""

_QUEUED = """
INSERT INTO outbox_queue (event_id, shop, order_id, seq, type, created_at)
SELECT overlay(event_id placing seq::text FROM 30), 'bench', order_id, seq,
  CASE seq WHEN 1 THEN 'payment.paid' ELSE 'order.paid' END, at + seq * interval '1 microsecond'
FROM made CROSS JOIN generate_series(1, 2) AS seq ORDER BY n, seq"""

_DUE = """
INSERT INTO due (subject_id, kind, channel, account, due_at)
SELECT pay_id, 'payment', 'wechat', 'main', at FROM made ORDER BY random()"""

_PAID = {"state": "'paid'", "paid_by": "pay_id", "seq": "2", "txn": "'42' || pay_id", "paid_at": "at"}
_OPEN = {"state": "'unpaid'", "paid_by": "NULL", "seq": "0", "txn": "NULL", "paid_at": "NULL"}
_WAITS = {"state": "'waiting'", "head": "seq = 1", "due_at": "$2::timestamptz", "done_at": "NULL::timestamptz"}

_ENDPOINT = """
INSERT INTO endpoints (id, shop, url, secrets, types, created_at)
VALUES ($1, 'bench', 'https://shop.example/hooks', ARRAY['whsec_bm90IGEgc2VjcmV0IGF0IGFsbA=='], '{*}', $2)"""

_NOT_CUT_BY_DAY = ("orders", "payments", "refunds", "due", "inbox_queue", "outbox_queue", "deliveries")

_LEAVES = """
SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


async def history(db: Database, now: datetime, *, rows: int, days: int) -> int:
    """Paid orders with callback, decision and events, as many on each of `days` days; returns how many orders."""
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
        await ensure_partitions(tx, now - timedelta(days=days), days + 7)
    each = max(1, rows // ROWS_PER_ORDER // days)
    for ago in range(days, 0, -1):
        await _day(db, days_after(now, -ago), each)
    return each * days


async def _day(db: Database, day: datetime, orders: int) -> None:
    books = [_ORDERS.format(**_PAID), _PAYMENTS.format(**_PAID), _NUMBERS.format(**_PAID)]
    await _write(db, day, orders, 86000, f"{day:%m%d}-", [*books, _INBOX, _DECISIONS, _EVENTS])


async def open_payments(db: Database, now: datetime, count: int, overdue_s: float) -> None:
    """Unpaid orders with one open payment each, whose next question was due at some time in the last overdue_s."""
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
    statements = [_ORDERS.format(**_OPEN), _PAYMENTS.format(**_OPEN | {"state": "'open'"}), _DUE]
    await _write(db, now - timedelta(seconds=overdue_s), count, overdue_s, f"open-{now:%m%d%H%M%S}-", statements)


async def endpoints(db: Database, now: datetime, names: Sequence[str]) -> None:
    """Endpoints with these ids that want every event."""
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, now)
        for name in names:
            await tx.execute(_ENDPOINT, name, now)


async def deliveries(db: Database, at: datetime, orders: int, endpoint_ids: Sequence[str], due_at: datetime) -> None:
    """Two events for each order, made within the hour after `at`, which wait for each of these endpoints."""
    waits = (_DELIVERIES.format(**_WAITS), list(endpoint_ids), due_at)
    await _write(db, at, orders, 3600, f"told-{at:%d%H}-{endpoint_ids[0]}-", [_ORDERS.format(**_PAID), _EVENTS, waits])


async def queued_events(db: Database, at: datetime, orders: int, prefix: str) -> None:
    """Two events for each order, made within the second after `at`, that no endpoint was given yet."""
    async with db.transaction() as tx:
        await shops.put_shop(tx, SHOP, LatePayment.REOPEN, at)
    await _write(db, at, orders, 0.9, f"queued-{prefix}", [_ORDERS.format(**_PAID), _EVENTS, _QUEUED])


async def _write(
    db: Database,
    start: datetime,
    count: int,
    spread_s: float,
    prefix: str,
    statements: Sequence[str | tuple[object, ...]],
) -> None:
    async with db.transaction() as tx:
        await tx.execute(_MADE_UP)
        await tx.execute("SET LOCAL synchronous_commit = off")
        names = _NAMES.format(start=start.isoformat(), count=count, spread_s=spread_s, prefix=prefix)
        await tx.execute(names, timeout=_TIMEOUT_S)
        for statement in statements:
            text, *arguments = (statement,) if isinstance(statement, str) else statement
            await tx.execute(str(text), *arguments, timeout=_TIMEOUT_S)


async def analyze_books_and_queues(db: Database) -> None:
    """What autovacuum does within a minute after a table's first rows; before that, plans are made for empty tables."""
    async with db.session() as tx:
        await tx.execute(f"ANALYZE {', '.join(_NOT_CUT_BY_DAY)}", timeout=_TIMEOUT_S)


async def settle_down(db: Database) -> None:
    """What autovacuum has done in a database that did not grow in a minute: every table but the partitioned parents,
    which it never analyzes."""
    async with db.session() as tx:
        for row in await tx.fetch(_LEAVES):
            await tx.execute(f"VACUUM (ANALYZE) {row['name']}", timeout=_TIMEOUT_S)
