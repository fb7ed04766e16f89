"""The pool: what a transaction promises, and what is said when there is no database."""

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import pytest

from paidup.db.transaction import Database, DatabaseAway, require_version, without_password
from paidup.errors import ConfigError


async def test_a_transaction_that_ends_is_kept(empty_db: Database) -> None:
    """What was written is seen by the next transaction."""
    async with empty_db.transaction() as tx:
        await tx.execute("create table paid as select 1250 as amount_minor")
    async with empty_db.session() as tx:
        assert 1250 == await tx.fetchval("select amount_minor from paid")


async def test_a_transaction_that_raises_leaves_nothing(empty_db: Database) -> None:
    """An error in the middle undoes everything before it."""

    async def fail_in_the_middle() -> None:
        async with empty_db.transaction() as tx:
            await tx.execute("create table paid ()")
            await tx.execute("insert into nowhere default values")

    with pytest.raises(asyncpg.UndefinedTableError):
        await fail_in_the_middle()
    async with empty_db.session() as tx:
        assert await tx.fetchval("select to_regclass('paid')") is None


async def test_transactions_read_what_others_committed(empty_db: Database) -> None:
    """The isolation is READ COMMITTED even where the server's default is stricter."""
    async with empty_db.session() as tx:
        name = await tx.fetchval("select current_database()")
        await tx.execute(f"alter database {name} set default_transaction_isolation = 'serializable'")
    again = await Database.connect(empty_db.dsn)
    async with again.session() as outside, again.transaction() as inside:
        assert "serializable" == await outside.fetchval("show default_transaction_isolation")
        assert "read committed" == await inside.fetchval("show transaction_isolation")
    await again.close()


async def test_sessions_are_set_up(empty_db: Database) -> None:
    """Connections say who they are, do not compile queries, and count days in UTC."""
    query = "select current_setting('application_name'), current_setting('jit'), current_setting('TimeZone')"
    async with empty_db.session() as tx:
        row = await tx.fetchrow(query)
    assert row is not None
    assert ("paidup", "off", "UTC") == tuple(row)


async def test_what_the_server_allows_others_does_not_cut_us_short(db: Database) -> None:
    """A server that ends statements, waits and sessions after a moment does so for others; ours take their time."""
    async with db.session() as tx:
        for name in ("statement_timeout", "lock_timeout", "idle_session_timeout"):
            await tx.execute(
                f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {name} = 50', current_database()); END $$"
            )
    ours = await Database.connect(db.dsn)
    try:
        assert 1 == await ours.read("SELECT 1 FROM pg_sleep(0.2)")
    finally:
        await ours.close()


async def test_a_database_that_takes_writes_again_is_written_to_again(empty_db: Database) -> None:
    """Sessions keep what was so when they began; those that took no writes are left for new ones."""
    read_only = (
        "DO $$ BEGIN EXECUTE format("
        "'ALTER DATABASE %I SET default_transaction_read_only = {}', current_database()); END $$"
    )
    async with empty_db.session() as admin:
        await admin.execute(read_only.format("on"))
        ours = await Database.connect(empty_db.dsn, max_size=1)
        await admin.execute(read_only.format("off"))
    try:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await ours.write("CREATE TABLE paid ()")
        await ours.write("CREATE TABLE paid ()")
    finally:
        await ours.close()


async def test_jsonb_is_text(empty_db: Database) -> None:
    """jsonb goes in and comes out as str; whoever owns the column decodes it."""
    async with empty_db.session() as tx:
        came_out = await tx.fetchval("select $1::jsonb", '{"openid": "o1"}')
    assert isinstance(came_out, str)
    assert {"openid": "o1"} == json.loads(came_out)


async def test_rows_are_streamed_in(empty_db: Database) -> None:
    """COPY works inside a transaction."""
    async with empty_db.transaction() as tx:
        await tx.execute("create table paid (id text, amount_minor bigint)")
        await tx.copy_records_to_table("paid", records=[("a", 1), ("b", 2)], columns=["id", "amount_minor"])
        await tx.executemany("insert into paid values ($1, $2)", [("c", 3), ("d", 4)])
        assert 10 == await tx.fetchval("select sum(amount_minor)::bigint from paid")


async def test_the_password_is_not_shown(db_dsn: str) -> None:
    """Printing a database shows where it is and not how to get in."""
    password = db_dsn.split(":")[2].partition("@")[0]
    db = await Database.connect(db_dsn)
    await db.close()
    assert password not in repr(db)
    assert "***" in repr(db)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:secret@db.example:5432/paidup", "postgresql://u:***@db.example:5432/paidup"),
        ("postgresql://u@/paidup?host=/run/pg&password=secret", "postgresql://u@/paidup?host=/run/pg&password=***"),
        ("postgresql://u:se@cret@db.example/paidup", "postgresql://u:***@db.example/paidup"),
        ("postgresql://u@/paidup?sslpassword=secret", "postgresql://u@/paidup?sslpassword=***"),
        ("postgresql://[::1/secret", "<a DSN that cannot be read>"),
        ("postgresql://u:se/cret@db.example/paidup", "<a DSN that cannot be read>"),
        ("postgresql://u:se#cret@db.example/paidup", "<a DSN that cannot be read>"),
        ("postgresql://u:se?cret@db.example/paidup", "<a DSN that cannot be read>"),
    ],
)
def test_a_dsn_without_its_password(dsn: str, shown: str) -> None:
    """Wherever the password stands in the DSN, it is hidden, and the rest can be read."""
    assert shown == without_password(dsn)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://somebody:hush@127.0.0.1:1/paidup",
        "postgresql://somebody:hush@127.0.0.1:port/paidup",
        "postgresql://somebody:hush/hush@127.0.0.1:1/paidup",
        "mysql://somebody:hush@127.0.0.1/paidup",
    ],
)
async def test_no_database_is_a_setting_to_mend(dsn: str) -> None:
    """Nobody listening, or a URL that makes no sense: the error says what to check, and not the password."""
    with pytest.raises(ConfigError, match="Check that the server runs") as caught:
        await Database.connect(dsn)
    assert "hush" not in str(caught.value)


async def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No server would come to have it: the file is named, and nobody waits."""
    file = tmp_path / "root.crt"
    with pytest.raises(ConfigError, match=r"sslrootcert=.*root\.crt: No such file") as caught:
        await Database.connect(f"postgresql://u:hush@127.0.0.1:1/n?sslmode=verify-full&sslrootcert={file}")
    assert not isinstance(caught.value, DatabaseAway)


async def test_a_wrong_password_is_a_setting_to_mend(server_dsn: str) -> None:
    """The error quotes the server and says what to check."""
    user, _, rest = server_dsn.partition("@")
    with pytest.raises(ConfigError, match="password authentication failed"):
        await Database.connect(f"{user}x@{rest}")


def test_old_servers_are_refused() -> None:
    """PostgreSQL 14 lacks what the schema uses; the error says what to do."""
    with pytest.raises(ConfigError, match="Upgrade it"):
        require_version(14)
    require_version(15)


async def test_a_server_that_is_not_the_one_asked_for_may_become_it(db_dsn: str) -> None:
    """While no host of the URL is what it asks for, as during a failover, the database is away, not misconfigured."""
    parts = urlsplit(db_dsn)
    wanted = [*parse_qsl(parts.query), ("target_session_attrs", "standby")]
    with pytest.raises(DatabaseAway, match="cannot connect"):
        await Database.connect(urlunsplit(parts._replace(query=urlencode(wanted))))


async def test_a_server_that_hangs_up_is_starting_or_stopping() -> None:
    """Who takes a connection and closes it is no wrong setting: the database is away, and is waited for."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)  # the beginning of what a client says first
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DatabaseAway, match="cannot connect"):
            await Database.connect(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable")
