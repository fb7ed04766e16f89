"""The doctor: what is refused, what is warned about, and that it sees it on a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from paidup.clock import FastClock, SystemClock
from paidup.db.doctor import Facts, Finding, Severity, examine, judge
from paidup.db.embedded import start_embedded
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.errors import ConfigError

HEALTHY = Facts(
    server_version=180004,
    encoding="UTF8",
    timezone="UTC",
    fsync="on",
    synchronous_commit="on",
    full_page_writes="on",
    data_checksums="on",
    is_standby=False,
    is_read_only=False,
    may_make_tables=True,
    others_tables=0,
    connections=97,
    clock_difference=timedelta(milliseconds=3),
)


STRANGER = "paidup_test_stranger"


def topics(findings: list[Finding], severity: Severity) -> set[str]:
    return {finding.topic for finding in findings if finding.severity is severity}


@asynccontextmanager
async def a_stranger(db: Database) -> AsyncIterator[Database]:
    """The same database, by a user who was given nothing."""
    async with db.session() as tx:
        await tx.execute(f"CREATE ROLE {STRANGER} LOGIN PASSWORD 'poor'")
    _, _, where = db.dsn.partition("@")
    poor = await Database.connect(f"postgresql://{STRANGER}:poor@{where}")
    try:
        yield poor
    finally:
        await poor.close()
        async with db.session() as tx:
            await tx.execute(f"DROP OWNED BY {STRANGER}; DROP ROLE {STRANGER}")


def test_a_healthy_database_is_found_healthy() -> None:
    """Nothing is refused or warned about without a cause."""
    assert {Severity.OK} == {finding.severity for finding in judge(HEALTHY)}


@pytest.mark.parametrize(
    ("facts", "topic"),
    [
        (replace(HEALTHY, server_version=140011), "version"),
        (replace(HEALTHY, pending=("0002_delivery",)), "schema"),
        (replace(HEALTHY, schema_trouble="migration 0001_core was changed"), "schema"),
        (replace(HEALTHY, is_standby=True), "role"),
        (replace(HEALTHY, is_read_only=True), "role"),
        (replace(HEALTHY, may_make_tables=False), "rights"),
        (replace(HEALTHY, others_tables=1), "rights"),
        (replace(HEALTHY, encoding="SQL_ASCII"), "encoding"),
        (replace(HEALTHY, sorted_marks="0123456789abcdefghjkmnpqrszt"), "collation"),
        (replace(HEALTHY, timezone="Asia/Shanghai"), "timezone"),
        (replace(HEALTHY, fsync="off"), "fsync"),
        (replace(HEALTHY, full_page_writes="off"), "full_page_writes"),
        (replace(HEALTHY, synchronous_commit="off"), "synchronous_commit"),
    ],
)
def test_what_breaks_a_promise_is_refused(facts: Facts, topic: str) -> None:
    """Exactly the broken thing is refused, and it comes first."""
    findings = judge(facts)
    assert [(topic, Severity.REFUSE)] == _troubles(findings)
    assert topic == findings[0].topic


@pytest.mark.parametrize(
    ("facts", "topic"),
    [
        (replace(HEALTHY, data_checksums="off"), "data_checksums"),
        (replace(HEALTHY, synchronous_commit="local"), "synchronous_commit"),
        (replace(HEALTHY, clock_difference=timedelta(seconds=-1.1)), "clock"),
        (replace(HEALTHY, clock_difference=timedelta(seconds=1.1)), "clock"),
        (replace(HEALTHY, connections=39), "max_connections"),
    ],
)
def test_what_needs_a_look_is_warned_about(facts: Facts, topic: str) -> None:
    """A warning does not stop anybody from starting."""
    assert [(topic, Severity.WARN)] == _troubles(judge(facts))


@pytest.mark.parametrize("value", ["on", "remote_apply", "remote_write"])
def test_commits_that_survive_a_crash_are_accepted(value: str) -> None:
    """Each of them writes to our own disk before it answers."""
    assert [] == _troubles(judge(replace(HEALTHY, synchronous_commit=value)))


async def test_the_embedded_server_is_healthy(run_dir: Path) -> None:
    """With its default settings and every migration, the embedded server passes."""
    async with await start_embedded(run_dir / "healthy") as server:
        db = await Database.connect(server.dsn)
        await migrate(db)
        findings = await examine(db, SystemClock())
        await db.close()
    assert [] == _troubles(findings)


async def test_a_real_server_without_durability_is_refused(run_dir: Path) -> None:
    """The doctor asks the server itself, whatever its configuration file says."""
    careless = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "20"}
    async with await start_embedded(run_dir / "careless", options=careless) as server:
        db = await Database.connect(server.dsn)
        findings = await examine(db, SystemClock())
        await db.close()
    assert [
        ("schema", Severity.REFUSE),
        ("fsync", Severity.REFUSE),
        ("full_page_writes", Severity.REFUSE),
        ("synchronous_commit", Severity.REFUSE),
        ("max_connections", Severity.WARN),
    ] == _troubles(findings)


async def test_a_schema_that_does_not_fit_is_refused(empty_db: Database) -> None:
    """Somebody else's database is named as such instead of raising."""
    async with empty_db.session() as tx:
        await tx.execute("create table wordpress_posts ()")
    [schema] = [finding for finding in await examine(empty_db, SystemClock()) if finding.topic == "schema"]
    assert Severity.REFUSE == schema.severity
    assert "wordpress_posts" in schema.says


async def test_a_user_without_rights_is_told_which_it_needs(empty_db: Database) -> None:
    """Who may make no tables is refused by the doctor, and told in one sentence by the migration."""
    async with a_stranger(empty_db) as poor:
        assert "rights" in topics(await examine(poor, SystemClock()), Severity.REFUSE)
        with pytest.raises(ConfigError, match="GRANT CREATE"):
            await migrate(poor)


async def test_a_user_who_does_not_own_the_tables_is_refused(db: Database) -> None:
    """Who may write rows, and not change tables, can make no new day."""
    async with a_stranger(db) as poor:
        async with db.session() as tx:
            await tx.execute(f"GRANT ALL ON SCHEMA public TO {STRANGER}")
            await tx.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {STRANGER}")
        assert "rights" in topics(await examine(poor, SystemClock()), Severity.REFUSE)


async def test_a_database_that_takes_no_writes_is_told(db: Database) -> None:
    """A standby, or a database that somebody has made read-only: the doctor refuses it, and a start says what to do."""
    async with db.session() as tx:
        await tx.execute(
            "DO $$ BEGIN EXECUTE format("
            "'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$"
        )
    closed = await Database.connect(db.dsn)
    try:
        assert "role" in topics(await examine(closed, SystemClock()), Severity.REFUSE)
        with pytest.raises(ConfigError, match="takes no writes"):
            await migrate(closed)
    finally:
        await closed.close()


async def test_a_clock_that_runs_away_is_seen(db: Database) -> None:
    """Our clock and the database's are compared."""
    ours = FastClock(datetime(2001, 1, 1, tzinfo=UTC), 2)
    assert ("clock", Severity.WARN) in _troubles(await examine(db, ours))


def _troubles(findings: list[Finding]) -> list[tuple[str, Severity]]:
    return [(finding.topic, finding.severity) for finding in findings if finding.severity != Severity.OK]
