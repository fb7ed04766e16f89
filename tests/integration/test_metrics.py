"""The figures of the business are a function of the database: right after every road, restart and dropped partition."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_side import an_api
from merchant import Merchant
from paidup import ids
from paidup.clock import days_after, monotonic_s
from paidup.db.partitions import drop_old, ensure_partitions
from paidup.db.transaction import Database, Tx
from paidup.errors import NotFound
from paidup.events import EventType
from paidup.intake import worker as intake
from paidup.intake.receive import Receiver
from paidup.journal import store as journal
from paidup.metrics import database
from paidup.metrics import families as f
from paidup.metrics.exporter import Exporter
from paidup.metrics.families import FAMILIES, Kind, Source
from paidup.metrics.process import Beat, Queue, Vitals
from paidup.metrics.readings import Distribution, Readings
from paidup.metrics.tallies import Account, Tallies
from paidup.sandbox.keys import Keys
from paidup.testing.builders import NOW

TOKEN = "a-token-that-prometheus-has"
ACCOUNTS = [("wechat", "main")]
ROADS = ("callback", "query")


def a_decision(at: datetime, outcome: str = "ignored", road: str = "callback") -> journal.Entry:
    return journal.Entry(
        id=ids.new_id("dec", at), decided_at=at, road=road, outcome=outcome, why="", shop="acme", evidence="{}"
    )


def a_call(at: datetime, elapsed_ms: int, outcome: str = "success") -> journal.Call:
    return journal.Call(
        id=ids.new_id(ids.CALL, at), called_at=at, shop="acme", channel="wechat", account="main", subject_id="pay",
        purpose="query", outcome=outcome, why="", status=200, elapsed_ms=elapsed_ms, answer="",
    )  # fmt: skip


async def decide(db: Database, *moments: datetime, outcome: str = "ignored") -> None:
    async with db.transaction() as tx:
        await journal.write(tx, [a_decision(at, outcome) for at in moments])


async def read(db: Database, tallies: Tallies, now: datetime, accounts: Sequence[Account] = ACCOUNTS) -> Readings:
    async with db.session() as tx:
        return await tallies.read(tx, now, accounts)


async def decided(db: Database, tallies: Tallies, now: datetime) -> float:
    """How many decisions the counters tell of."""
    found = (await read(db, tallies, now)).of(f.DECISIONS).values()
    return sum(value for value in found if isinstance(value, float))


async def test_each_road_is_counted_where_it_ends(merchant: Merchant) -> None:
    """One payment is told by its callback, one found by a query: counters, latencies and events say so."""
    now = merchant.clock.now()
    receiver = Receiver(merchant.db, merchant.accounts, max_waiting=10, keep_per_source=10)
    told, lost = [await merchant.offer(await merchant.order(number)) for number in ("A-1", "A-2")]
    merchant.pay(told)
    merchant.pay(lost)
    for request in merchant.callbacks(told):
        await receiver.receive(request, "wechat", "main", source="test", now=now)
    await intake.run_once(merchant.db, now=now, limit=10, handlers=merchant.handlers)
    await merchant.clock.advance(40)
    while await merchant.repair():
        pass
    found = await read(merchant.db, Tallies(), merchant.clock.now())
    await receiver.close()
    waited = {road: found.of(f.PAID_AFTER)[road,] for road in ROADS}
    assert {("wechat", "callback"): 1, ("wechat", "query"): 1} == some(found, f.PAID)
    assert {("shop", "applied"): 2, ("callback", "applied"): 1, ("query", "applied"): 1} == some(found, f.DECISIONS)
    assert {("wechat", "main"): 1} == some(found, f.CALLBACKS)
    assert {("order.paid",): 2, ("payment.paid",): 2} == some(found, f.EVENTS)
    assert {("wechat", "open", "success"): 2, ("wechat", "query", "success"): 1} == some(found, f.CALLS)
    assert {"callback": 1, "query": 1} == {road: sum(part.counts) for road, part in waited.items() if counted(part)}
    assert (0.0, 40.0) == (waited["callback"].total, waited["query"].total)


def counted(value: object) -> bool:
    assert isinstance(value, Distribution)
    return True


def some(readings: Readings, family: f.Family) -> dict[tuple[str, ...], float]:
    """The series of a family that are not zero."""
    return {key: value for key, value in readings.of(family).items() if isinstance(value, float) and value}


async def test_a_counter_is_the_same_in_another_process_and_after_a_restart(db: Database) -> None:
    """It is a function of the database: who begins to count late in the day tells what the others tell."""
    day = days_after(NOW, 0)
    early = Tallies()
    told = []
    for minute in (5, 65, 400, 700):
        now = day + timedelta(minutes=minute)
        await decide(db, now - timedelta(seconds=90), now - timedelta(seconds=1))
        told.append((await decided(db, early, now), await decided(db, Tallies(), now)))
    assert [(2, 2), (4, 4), (6, 6), (8, 8)] == told


async def test_a_row_that_is_committed_late_is_counted_once(db: Database) -> None:
    """A transaction that was open while the counters were read shows up afterwards, and does not show up twice."""
    tallies = Tallies()
    late_at = NOW - timedelta(seconds=100)
    async with db.transaction() as tx:
        await journal.write(tx, [a_decision(late_at)])
        before = await decided(db, tallies, NOW)
    after = [await decided(db, tallies, NOW + timedelta(seconds=s)) for s in (1, 100, 3000)]
    assert (0, [1, 1, 1]) == (before, after)


async def test_a_dropped_partition_takes_nothing_off_a_counter(db: Database) -> None:
    """Retention removes days that no counter counts any more; a count of the whole table would have fallen."""
    tallies = Tallies()
    long_ago = NOW - timedelta(days=500)
    async with db.transaction() as tx:
        await ensure_partitions(tx, long_ago, days_ahead=0)
        await ensure_partitions(tx, NOW)
    await decide(db, *[long_ago] * 7, NOW - timedelta(minutes=10))
    before = await decided(db, tallies, NOW)
    async with db.transaction() as tx:
        dropped = await drop_old(tx, NOW)
        left = await tx.fetchval("SELECT count(*) FROM decisions")
    assert (1, 1, 1, True) == (before, await decided(db, tallies, NOW), left, len(dropped) > 0)


async def test_a_counter_begins_anew_at_midnight(db: Database) -> None:
    """Prometheus takes that for a restart, and adds what the new day has; yesterday's rows are not told again."""
    tallies = Tallies()
    midnight = days_after(NOW, 1)
    await decide(db, *[midnight - timedelta(seconds=5)] * 3, midnight + timedelta(seconds=1))
    moments = [midnight - timedelta(seconds=1), midnight + timedelta(seconds=2), midnight + timedelta(hours=3)]
    assert [3, 1, 1] == [await decided(db, tallies, at) for at in moments]


async def test_a_call_falls_into_the_bucket_whose_bound_it_reaches(db: Database) -> None:
    """As Prometheus has it: 250 ms are at most 0.25 s, 251 are more."""
    async with db.transaction() as tx:
        await journal.write_calls(tx, [a_call(NOW, ms) for ms in (0, 50, 250, 251, 60_000)])
    part = (await read(db, Tallies(), NOW)).of(f.CALL_TOOK)["wechat",]
    assert isinstance(part, Distribution)
    by_bound = dict(zip((*f.CALL_S, float("inf")), part.counts, strict=True))
    assert ({0.05: 2, 0.25: 1, 0.5: 1, float("inf"): 1}, 60.551) == (
        {bound: count for bound, count in by_bound.items() if count},
        round(part.total, 6),
    )


async def test_a_stranger_makes_no_label(db: Database, merchant: Merchant) -> None:
    """What is sent to made-up channels and accounts is counted as unknown, and its words are nowhere."""
    receiver = Receiver(merchant.db, merchant.accounts, max_waiting=10, keep_per_source=100)
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    (request, *_) = merchant.callbacks(payment)
    for number in range(20):
        with pytest.raises(NotFound):
            await receiver.receive(request, f"evil{number}", 'x"}\n1', source=f"10.0.0.{number}", now=NOW)
    await receiver.close()
    found = await read(merchant.db, Tallies(), NOW)
    assert {("unknown", "unknown_account"): 20} == some(found, f.QUARANTINED)
    assert [("unknown", "unknown_account")] == list(receiver.counts)


async def test_every_series_that_can_be_foreseen_starts_at_zero(db: Database) -> None:
    """Without that the first of its kind would be no increase to Prometheus."""
    found = await read(db, Tallies(), NOW)
    assert {(event.value,): 0.0 for event in EventType} == found.of(f.EVENTS)
    assert ({("wechat", "main"): 0.0}, 30) == (found.of(f.CALLBACKS), len(found.of(f.DECISIONS)))


async def test_the_gauges_tell_depth_and_age(db: Database) -> None:
    """Of a queue that waits, of a dead letter, of a case, of a verification that failed, of missing partitions."""
    old = NOW - timedelta(seconds=90)
    async with db.transaction() as tx:
        await fill_the_queues(tx, old)
        await ensure_partitions(tx, NOW, days_ahead=3)
        found = await database.read(tx, NOW, ACCOUNTS)
    told = {family.name: value for family, labels, value in found if labels == ()}
    assert {("waiting",): 1, ("parked",): 0, ("poisoned",): 1} == found.of(f.QUEUED)
    assert {("silent_channel",): 1} == found.of(f.CASES)
    assert {("dead",): 1, ("skipped",): 0} == found.of(f.GIVEN_UP)
    assert {("payment",): 1, ("refund",): 0} == found.of(f.QUESTIONS)
    assert {("wechat", "payment"): 1} == found.of(f.QUESTIONS_OVERDUE)
    assert {("wechat", "main"): 86400.0} == found.of(f.LAST_CALLBACK)
    assert {3.0} == set(found.of(f.PARTITIONS_AHEAD).values())
    late = [f.QUEUE_LATE, f.QUESTIONS_LATE, f.OUTBOX_LATE, f.LANES_LATE, f.CASES_LATE, f.VERIFY_AGE]
    assert [90.0] * 6 == [told[family.name] for family in late]
    assert (1, 1, 0) == (told[f.OUTBOX.name], told[f.LANES.name], told[f.VERIFY_HOLDS.name])


async def fill_the_queues(tx: Tx, old: datetime) -> None:
    """One of each kind, as old as that."""
    await tx.execute("INSERT INTO shops VALUES ('acme', 'reopen', $1)", old)
    await tx.execute(
        """INSERT INTO inbox_queue (callback_id, received_at, shop, channel, account, evidence, state, available_at)
        SELECT 'cbk', $1, 'acme', 'wechat', 'main', '[]', state, $1 FROM unnest('{waiting,poisoned}'::text[]) state""",
        old,
    )
    await tx.execute("INSERT INTO due VALUES ('pay', 'payment', 'wechat', 'main', $1)", old)
    await tx.execute("INSERT INTO outbox_queue VALUES ('evt', 'acme', 'ord', 1, 'order.paid', $1)", old)
    await tx.execute("INSERT INTO endpoints VALUES ('ept', 'acme', 'https://x', '{w}', '{*}', true, '', null, $1)", old)
    await tx.execute(
        """INSERT INTO deliveries (event_id, event_created_at, endpoint_id, shop, order_id, seq, type, state, head,
          due_at, created_at)
        SELECT 'evt', $1, 'ept', 'acme', 'ord' || n, 1, 'order.paid', s, s = 'waiting', $1, $1
        FROM unnest('{waiting,dead}'::text[]) WITH ORDINALITY AS x (s, n)""",
        old,
    )
    await tx.execute("INSERT INTO cases VALUES ('cas', 'acme', 'silent_channel', 'wechat/main', null, '', $1)", old)
    await tx.execute("INSERT INTO verifications VALUES ($1, null, $1, 0, false, '', '[]')", old)


async def test_the_gauges_tell_of_bills_stock_and_transactions(db: Database) -> None:
    """Of a bill that is late and one that nobody fetches, of breaks by kind, of what is sold out, of who is stuck."""
    async with db.transaction() as tx:
        await fill_what_follows(tx, NOW - timedelta(seconds=90))
        found = await database.read(tx, NOW, [*ACCOUNTS, ("stripe", "main")])
    assert {("wechat", "main"): 2, ("stripe", "main"): 0} == found.of(f.BILLS_OVERDUE)
    assert {("long", "open"): 1, ("short", "waiting"): 2} == found.of(f.BREAKS)
    assert {"RUNNING": 1, "MANUAL": 1} == {labels[0]: value for labels, value in found.of(f.TRANSACTIONS).items()}
    gauges = (f.SOLD_OUT, f.OVERSOLD, f.BREAKS_LATE, f.TRANSACTIONS_LATE, f.TRANSACTIONS_OLDEST)
    assert [2, 0, 90.0, 30.0, 90.0] == [found.of(family)[()] for family in gauges]


async def test_an_oversold_article_is_told_although_the_schema_forbids_it(db: Database) -> None:
    """The constraint is taken away, as a hand or a restored dump might: the figure is not a constant."""
    async with db.transaction() as tx:
        await fill_what_follows(tx, NOW)
        await tx.execute("ALTER TABLE skus DROP CONSTRAINT never_oversold")
        await tx.execute("UPDATE skus SET available = -1 WHERE sku = 'gone'")
        found = await database.read(tx, NOW, ACCOUNTS)
    assert (2, 1) == (found.of(f.SOLD_OUT)[()], found.of(f.OVERSOLD)[()])


async def fill_what_follows(tx: Tx, old: datetime) -> None:
    """Bills, breaks, articles and transactions, some of them settled, the others as old as that."""
    await tx.execute("INSERT INTO shops VALUES ('acme', 'reopen', $1)", old)
    await tx.execute(
        """INSERT INTO bill_fetches (channel, account, kind, day, state, due_at, alarmed)
        SELECT 'wechat', 'main', 'trades', DATE '2026-01-01' + n, state, $1::timestamptz - age, alarmed
        FROM (VALUES (1, 'waiting', interval '0', true), (2, 'waiting', interval '2 hours', false),
          (3, 'waiting', interval '0', false), (4, 'done', interval '1 day', true)) AS b (n, state, age, alarmed)""",
        old,
    )
    await tx.execute(
        """INSERT INTO reconciliations (id, shop, channel, account, day, begins_at, ends_at, bill_version, began_at,
          ended_at, lines, matched, opened, reopened, cleared)
        VALUES ('run', 'acme', 'wechat', 'main', '2026-01-01', $1, $1, 1, $1, $1, 0, 0, 0, 0, 0)""",
        old,
    )
    await tx.execute(
        """INSERT INTO breaks (id, shop, channel, account, day, key, kind, what, state, currency, differs_minor, why,
          next_step, run_id, first_seen_at, changed_at)
        SELECT 'brk' || n, 'acme', 'wechat', 'main', '2026-01-01', n, kind, 'payment', state, 'CNY', 1, '', '', 'run',
          $1::timestamptz - (state = 'waiting')::int * interval '1 day', $1
        FROM (VALUES (1, 'long', 'open'), (2, 'short', 'waiting'), (3, 'short', 'waiting'), (4, 'long', 'healed'))
          AS b (n, kind, state)""",
        old,
    )
    await tx.execute(
        """INSERT INTO skus (id, shop, sku, unlimited, preorder_limit, available, created_at, updated_at)
        SELECT 'sku' || name, 'acme', name, unlimited, preorder, available, $1, $1
        FROM (VALUES ('gone', false, 0, 0), ('promised', false, 5, -5), ('here', false, 0, 1), ('soon', false, 5, 0),
          ('endless', true, 0, -9)) AS s (name, unlimited, preorder, available)""",
        old,
    )
    await tx.execute(
        """INSERT INTO orders (id, shop, shop_order_no, amount_minor, currency, state, late_payment, created_at,
          expires_at, updated_at) VALUES ('ord', 'acme', 'A-1', 1, 'CNY', 'unpaid', 'reopen', $1, $1, $1)""",
        old,
    )
    await tx.execute(
        """INSERT INTO transactions (id, shop, order_id, name, kind, agreed, data, state, why, began_at, expires_at,
          due_at, ended_at, updated_at)
        SELECT 'xid' || n, 'acme', 'ord', 'sale', 'saga', '', '', state, '', $1, $1, $1::timestamptz + due,
          $1::timestamptz + ended, $1
        FROM (VALUES (1, 'RUNNING', interval '1 minute', null::interval), (2, 'MANUAL', null, null),
          (3, 'DONE', null, interval '0')) AS t (n, state, due, ended)""",
        old,
    )


async def test_a_queue_of_many_is_counted_up_to_a_bound(db: Database) -> None:
    """Scraping must not read millions of rows while the database is busy with them; the age is exact all the same."""
    async with db.transaction() as tx:
        await tx.execute(
            """INSERT INTO due SELECT 'p' || n, 'payment', 'wechat', 'main', $1::timestamptz - n * interval '1 ms'
            FROM generate_series(1, $2::int) n""",
            NOW,
            database.COUNTED_UP_TO + 5000,
        )
        found = await database.read(tx, NOW, ACCOUNTS)
    bound = database.COUNTED_UP_TO
    assert {bound: 25.0} == {found.of(f.QUESTIONS)["payment",]: found.of(f.QUESTIONS_LATE)[()]}
    assert {("wechat", "payment"): bound} == found.of(f.QUESTIONS_OVERDUE)


class Counted:
    """A database that counts who reads it."""

    def __init__(self, db: Database) -> None:
        self.db, self.sessions = db, 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        self.sessions += 1
        async with self.db.session() as tx:
            yield tx


def an_exporter(db: Database | Counted, vitals: Vitals | None = None, *, kept_s: float = 60.0) -> Exporter:
    return Exporter(  # type: ignore[arg-type]
        db, vitals or Vitals(), now_of=lambda: NOW, accounts_of=lambda: ACCOUNTS, kept_s=kept_s
    )


async def test_many_scrapes_at_once_read_the_database_once(db: Database) -> None:
    """And within the next seconds nobody reads it again; one who gives up takes nothing from the others."""
    once = Counted(db)
    exporter = an_exporter(once)
    impatient = asyncio.create_task(exporter.read())
    others = [asyncio.create_task(exporter.read()) for _ in range(20)]
    await asyncio.sleep(0)
    impatient.cancel()
    answers = [(await other).of(f.UP) for other in others]
    await exporter.read()
    assert ([{(): 1.0}] * 20, 1) == (answers, once.sessions)


async def test_an_old_reading_is_made_anew(db: Database) -> None:
    """What is told is never older than kept_s."""
    each = Counted(db)
    exporter = an_exporter(each, kept_s=0.0)
    await exporter.read()
    await exporter.read()
    assert 2 == each.sessions


async def test_without_its_database_a_process_still_tells_of_itself(db: Database) -> None:
    """paidup_database_up is 0 then, and no figure of the business is told: an old one would be a lie."""
    vitals = Vitals(queues=[Queue("inbox", lambda: 3, 10)], beats=[Beat("intake", 5, monotonic_s())])
    vitals.acknowledged(503, 0.2)
    exporter = an_exporter(db, vitals)
    await db.close()
    found = await exporter.read()
    known = {family.name for family, _, _ in found if family.source is Source.DATABASE}
    assert {f.UP.name, f.READ_TOOK.name} == known
    assert ({(): 0.0}, {("inbox",): 3.0}, {("callbacks", "503"): 1.0}) == tuple(
        found.of(family) for family in (f.UP, f.FLUSHER, f.REQUESTS)
    )


async def test_metrics_are_closed_unless_a_token_opens_them(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]
) -> None:
    """Turnover is nobody's business: without the setting nobody reads it, with it whoever has the token."""
    got = []
    for settings in ({}, {"PAIDUP_METRICS_TOKEN": TOKEN}):
        async with an_api(db_dsn, tmp_path, channel_keys, **settings) as api:
            for sent in ("", "Bearer", f"Bearer {TOKEN}x", f"Bearer {api.key}", f"Basic {TOKEN}", f"Bearer {TOKEN}"):
                headers = {"authorization": sent} if sent else {}
                async with api.session.get(f"{api.url}/metrics", headers=headers) as answer:
                    got.append(answer.status)
                    assert TOKEN not in await answer.text()
    assert [*[403] * 6, *[401] * 5, 200] == got


async def test_what_a_server_tells_is_what_the_table_says(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]
) -> None:
    """Prometheus' own parser reads it; every family is there, with its kind and its labels and no other."""
    async with an_api(db_dsn, tmp_path, channel_keys, PAIDUP_METRICS_TOKEN=TOKEN) as api:
        await api.a_paid_payment()
        async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"{}") as refused:
            verdict = refused.status
        async with api.session.get(f"{api.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}) as answer:
            assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
            told = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    ours = {name: family.type for name, family in told.items() if name.startswith("paidup_")}
    assert {family.name.removesuffix("_total"): family.kind.value for family in FAMILIES} == ours
    labels = {name: {key for s in told[name].samples for key in s.labels} - {"le"} for name in ours}
    strange = {x.name for x in FAMILIES if labels[x.name.removesuffix("_total")] not in (set(), set(x.labels))}
    assert set() == strange
    answered = {
        s.labels["status"]: s.value for s in told["paidup_process_requests"].samples if s.labels["part"] == "callbacks"
    }
    assert (400 <= verdict < 500, {str(verdict): 1.0}) == (True, answered)
    assert told["process_resident_memory_bytes"].samples[0].value > 1e6


async def test_each_figure_of_the_database_is_found_by_an_index(db: Database) -> None:
    """Whatever grows for ever is never read from its beginning: neither by a counter nor by the silent look-ups."""
    grows = (
        "inbox",
        "decisions",
        "channel_calls",
        "delivery_attempts",
        "events",
        "payments",
        "quarantine",
        "breaks",
        "transactions",
        "bill_fetches",
        "stock_movements",
    )
    read_whole = {}
    async with db.transaction() as tx:
        await ensure_partitions(tx, NOW)
        await tx.execute("SET LOCAL enable_seqscan = off")
        watched = Watched(tx)
        await Tallies().read(watched, NOW, ACCOUNTS)
        await database.read(watched, NOW, ACCOUNTS)
        for query, arguments in watched.asked:
            plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {query}", *arguments))
            whole = [name for name in grows if re.search(rf"Seq Scan on {name}(_p\d+|_rest)?\b(?!_)", plan)]
            if whole:
                read_whole[query] = whole
    assert (True, {}) == (len(watched.asked) > 25, read_whole)


class Watched:
    """A transaction that remembers what it was asked."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        self.asked.append((query, args))
        return await self._tx.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        self.asked.append((query, args))
        return await self._tx.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> object:
        self.asked.append((query, args))
        return await self._tx.fetchval(query, *args)


def test_no_label_can_name_a_person_or_a_thing() -> None:
    """Ids, numbers of orders, sources and shops' words would make series without end, and tell of customers. Nor is any
    called job or instance, which are Prometheus' own words for whom it asks."""
    allowed = {
        "account", "channel", "kind", "outcome", "part", "purpose", "queue", "road", "state", "status", "table",
        "type", "verdict", "version", "worker",
    }  # fmt: skip
    assert set() == {label for family in FAMILIES for label in family.labels} - allowed


def test_the_names_follow_the_rules_of_prometheus() -> None:
    """Counters end in _total and nothing else does; base units; each name once."""
    names = [family.name for family in FAMILIES]
    wrong = [x.name for x in FAMILIES if (x.kind is Kind.COUNTER) is not x.name.endswith("_total")]
    assert (len(names), [], []) == (len(set(names)), wrong, [name for name in names if "_ms" in name])
