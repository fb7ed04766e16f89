"""What a list costs does not grow with the table behind it, and a page never leaves a row out."""

import json
from datetime import UTC, datetime, timedelta

import msgspec

from paidup import ids
from paidup.cases import store as cases
from paidup.db.transaction import Database, Tx
from paidup.intake import inbox, quarantine
from paidup.reconcile import runs
from paidup.tally import store as tally

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MANY = 5000


async def blocks_of(tx: Tx, query: str, *args: object) -> int:
    """How many blocks a statement touches, with the plan that is kept for any arguments."""
    await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    (plan,) = json.loads(await tx.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *args))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


def a_callback(n: int, shop: str, account: str) -> inbox.Received:
    """The n-th, three of which come in each millisecond."""
    at = NOW + timedelta(microseconds=333 * n)
    return inbox.Received(
        id=ids.new_id(ids.CALLBACK, at), received_at=at, shop=shop, channel="stripe", account=account, dedup_key=f"{n}",
        kind="x", target="/", headers="[]", body=b"{}" * 500, merchant_ref=None, evidence="[]",
    )  # fmt: skip


async def test_a_shops_callbacks_are_found_among_those_of_all(db: Database) -> None:
    """A shop with two callbacks beside one with thousands: only its own are read."""
    rows = [a_callback(n, "big", "b") for n in range(MANY)] + [a_callback(n, "small", "s") for n in range(2)]
    async with db.transaction() as tx:
        await inbox.store(tx, rows)
        await tx.execute("DELETE FROM inbox_queue")
        await tx.execute("ANALYZE inbox")
        args = "stripe", "s", None, 50, NOW + timedelta(days=1), None, "small"
        read = await blocks_of(tx, inbox.OF_ACCOUNT, *args)
        found = await inbox.page(tx, None, None, 50, shop="small", accounts=[("stripe", "s")])
    assert (True, {"small"}, 2) == (read < 200, {row["shop"] for row in found}, len(found)), read


async def test_pages_of_callbacks_leave_none_out(db: Database) -> None:
    """Page after page, of accounts whose callbacks came in the same milliseconds, gives each one once, newest first."""
    rows = [a_callback(n, "acme", "ab"[n % 2]) for n in range(60)]
    async with db.transaction() as tx:
        await inbox.store(tx, rows)
        await inbox.done(tx, [int(row["seq"]) for row in await tx.fetch("SELECT seq FROM inbox_queue LIMIT 30")])
        for state, of_all in ((None, 60), ("settled", 30)):
            seen: list[str] = []
            while found := await inbox.page(
                tx, None, state, 7, before=seen[-1] if seen else None, accounts=[("stripe", "a"), ("stripe", "b")]
            ):
                seen += [row["id"] for row in found]
            assert (of_all, sorted(set(seen), reverse=True)) == (len(seen), seen)


async def test_counting_the_last_minutes_reads_no_whole_day(db: Database) -> None:
    """A day of callbacks and decisions that no vacuum has seen yet: the minutes that are counted are read alone."""
    rows = [a_callback(n, "acme", "a") for n in range(MANY)]
    later = NOW + timedelta(hours=1)
    last = msgspec.structs.replace(rows[0], id=ids.new_id(ids.CALLBACK, later), received_at=later)
    async with db.transaction() as tx:
        await inbox.store(tx, [*rows, last])
        for row in (*rows, last):
            await tx.execute(DECIDED, ids.new_id("dec", row.received_at), row.received_at)
        await tx.execute("ANALYZE inbox, decisions")
        since, until = later - timedelta(minutes=2), later + timedelta(minutes=1)
        named = [ids.first_of(kind, at) for kind in (ids.CALLBACK, "dec") for at in (since, until)]
        read = await blocks_of(tx, tally.COUNT, since, until, *named)
        await tally.count(tx, since, until)
        counted = await tx.fetchval("SELECT sum(callbacks) FROM tally")
    assert (True, 1) == (read < 35, counted), read


DECIDED = """
INSERT INTO decisions (id, decided_at, road, outcome, why, shop, evidence)
VALUES ($1, $2, 'callback', 'ignored', '', 'acme', repeat('e', 1000))"""


async def test_a_shops_cases_are_found_among_those_of_all(db: Database) -> None:
    """A shop with one resolved case beside one with thousands, and the open one among the thousands: few are read."""
    async with db.transaction() as tx:
        await tx.execute(CASES, NOW, MANY)
        await tx.execute("ANALYZE cases")
        read = [
            await blocks_of(tx, cases.LIST_OF_SHOP, with_resolved, 50, None, None, shop)
            for shop, with_resolved in (("small", True), ("small", False), ("big", False))
        ]
        found = [
            [case.id for case in await cases.page(tx, shop, 50, with_resolved=resolved, before=before)]
            for shop, resolved, before in (("small", True, None), ("small", False, None), ("big", False, None),
                                           ("big", False, "cas-1"), (None, False, None))
        ]  # fmt: skip
    assert (True, [["cas-small"], [], ["cas-1"], [], ["cas-1"]]) == (max(read) < 20, found), read


CASES = """
INSERT INTO cases (id, shop, kind, subject_id, why, opened_at, resolved_at)
SELECT 'cas-' || n, 'big', 'x', 'pay' || n, '', $1::timestamptz, CASE WHEN n <> 1 THEN $1::timestamptz END
FROM generate_series(1, $2::int) n
UNION ALL SELECT 'cas-small', 'small', 'x', 'pay', '', $1::timestamptz, $1::timestamptz"""


async def test_a_shops_quarantine_is_found_among_that_of_all(db: Database) -> None:
    """An account for which nothing was refused, beside one with thousands: these are not read."""
    async with db.transaction() as tx:
        await tx.execute(REFUSED, NOW, MANY)
        await tx.execute("ANALYZE quarantine")
        read = await blocks_of(tx, quarantine.OF_ACCOUNTS, ["stripe", "stripe"], ["none", "other"], None, 50)
        newest = await quarantine.of_accounts(tx, [("stripe", "none"), ("stripe", "many")], 2)
        next_ones = await quarantine.of_accounts(tx, [("stripe", "many")], 2, before=newest[-1]["id"])
    ids_of = [row["id"] for row in (*newest, *next_ones)]
    assert (True, ["qua-999", "qua-998", "qua-997", "qua-996"]) == (read < 20, ids_of), read


REFUSED = """
INSERT INTO quarantine (id, received_at, channel, account, source, verdict, why, target, headers, body)
SELECT 'qua-' || to_char(n, 'FM000'), $1::timestamptz, 'stripe', 'many', 's', 'v', '', '/', '[]', ''
FROM generate_series(1, 999) n WHERE n < $2::int"""


async def test_the_newest_days_are_found_without_the_older_ones(db: Database) -> None:
    """A page of reconciled days, the latest run of each, reads about a page of thousands of runs."""
    async with db.transaction() as tx:
        await tx.execute(RUNS, NOW, MANY)
        await tx.execute("ANALYZE reconciliations")
        read = await blocks_of(tx, runs.PAGE, None, None, None, None, None, 50)
        newest = [row["id"] for row in await tx.fetch(runs.PAGE, None, None, None, None, None, 3)]
    assert (True, ["rec-2-5000", "rec-2-4999", "rec-2-4998"]) == (read < 250, newest), read


RUNS = """
INSERT INTO reconciliations (id, shop, channel, account, day, begins_at, ends_at, bill_version, began_at, ended_at,
  lines, matched, opened, reopened, cleared)
SELECT 'rec-' || again || '-' || n, 'acme', 'stripe', 'main', date '2012-01-01' + n, $1::timestamptz, $1::timestamptz,
  1, $1::timestamptz, $1::timestamptz, 0, 0, 0, 0, 0
FROM generate_series(1, 2) AS again, generate_series(1, $2::int) AS n ORDER BY again, n"""
