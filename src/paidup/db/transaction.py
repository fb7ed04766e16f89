"""The pool, and the one transaction that a batch of work lives in.

Connections go straight to PostgreSQL, or through a pooler in session mode (`pooler.py`).
"""

# ruff: noqa: ASYNC109 - the timeouts are asyncpg's
import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from paidup.db import pooler
from paidup.errors import ConfigError

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.pool import Pool, PoolConnectionProxy

    _Plain = asyncpg.Connection[Record]
else:
    _Plain = asyncpg.Connection

OLDEST_SERVER_MAJOR = 15
COMMAND_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 15.0
_CLOSE_TIMEOUT_S = 10.0
_STATEMENT_CACHE_SIZE = 256

# Said once the connection is there, and again after each reset, for a pooler takes none of them with the connection, or
# forgets them with the reset.
_SESSION = {
    "application_name": "paidup",
    "jit": "off",  # compiling costs more than our short statements take
    "timezone": "UTC",
    "datestyle": "ISO, MDY",  # a day that a query makes text of is read by people and programs
    "intervalstyle": "postgres",
    # A plan is kept until its table is next analyzed. One that was made while the table was small reads all of it, and
    # with 80,000 new orders the door then took half a second for each batch. Every look-up of ours has an index that
    # fits; whoever wants whole tables says so (READ_WHOLE).
    "enable_seqscan": "off",
    # What a server allows others is not meant for migrations and reports; ours have limits of their own (the pool's).
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    # A worker that hangs inside a transaction must not hold its row locks for ever.
    "idle_in_transaction_session_timeout": "60s",
}

SET_SESSION = "; ".join(f"SET {name} = '{value}'" for name, value in _SESSION.items())
"""For whoever resets a session: without these it is not ours."""

READ_WHOLE = "SET LOCAL enable_seqscan = on"
"""For transactions whose statements read most of a table."""

# What time mends: nobody listens, the server hangs up, starts, stops or is full; or of several hosts in the URL none is
# what target_session_attrs asks for, as while a standby is being promoted.
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,
)


class Tx(Protocol):
    """What code that is handed a transaction may do with it. asyncpg's connections satisfy it; jsonb is `str`."""

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> "list[Record]":
        """All rows."""
        ...

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> "Record | None":
        """The first row, or None."""
        ...

    # Any: the type is that of the column, which only the query knows.
    async def fetchval(self, query: str, *args: object, column: int = 0, timeout: float | None = None) -> Any:
        """One column of the first row, or None."""
        ...

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """The command tag, such as ``UPDATE 3``. Without arguments the query may hold several statements."""
        ...

    async def executemany(
        self, command: str, args: Iterable[Sequence[object]], *, timeout: float | None = None
    ) -> None:
        """Run one statement for each of several rows of arguments."""
        ...

    async def copy_records_to_table(
        self,
        table_name: str,
        *,
        records: Iterable[Sequence[object]] | AsyncIterable[Sequence[object]],
        columns: Iterable[str] | None = None,
        schema_name: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """Stream rows into a table with COPY; returns the command tag."""
        ...


class _Connection(_Plain):
    """One that is not reset after what leaves nothing behind in the session: a reset takes a round trip, and three
    times as long as the beginning or the end of a transaction."""

    untouched = False

    def is_untouched(self) -> None:
        """Nothing was left behind since it was lent."""
        self.untouched = True

    def get_reset_query(self) -> str:
        """What asyncpg runs when a connection goes back to the pool; nothing if it is empty."""
        if self.untouched:
            self.untouched = False
            return ""
        return f"{super().get_reset_query()}\n{SET_SESSION}"


class DatabaseAway(ConfigError):
    """The server does not answer, starts, stops, recovers or is full: it may be there in a moment."""


class Database:
    """A pool of connections to one database."""

    def __init__(self, dsn: str, pool: "Pool[Record]", *, has_pooler: bool = False) -> None:
        self.dsn = dsn
        self.has_pooler = has_pooler
        self._pool = pool

    def __repr__(self) -> str:
        return f"Database({without_password(self.dsn)})"

    @classmethod
    async def connect(cls, dsn: str, *, max_size: int = 10) -> Self:
        """Open a pool of at most `max_size` connections, the first of them at once.

        Raises DatabaseAway when it cannot be reached now, ConfigError when it refuses us, is too old, or stands behind
        a pooler whose sessions are shared.
        """
        _must_have_its_files(dsn)
        greeting = _Greeting(dsn)
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=max_size,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                statement_cache_size=_STATEMENT_CACHE_SIZE,
                connection_class=_Connection,
                init=greeting,
            )
        except _AWAY as failure:
            raise DatabaseAway(_cannot_connect(dsn, failure)) from None
        except (ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
            raise ConfigError(_cannot_connect(dsn, failure)) from None
        return cls(dsn, pool, has_pooler=bool(greeting.has_pooler))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """One READ COMMITTED transaction: committed when the block ends, rolled back when it raises.

        It must leave nothing behind in the session: no SET without LOCAL, no session lock, no LISTEN.
        """
        async with self._writing() as connection:
            async with connection.transaction(isolation="read_committed"):
                yield connection
            cast(_Connection, connection).is_untouched()  # it is asyncpg's wrapper around one, which passes calls on

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        """A connection without a transaction, for reads."""
        async with self._pool.acquire() as connection:
            yield connection

    async def write(self, query: str, *args: object) -> str:
        """One statement that is a transaction by itself, committed when this returns; gives the command tag.

        It must leave nothing behind in the session either.
        """
        async with self._writing() as connection:
            tag = await connection.execute(query, *args)
            cast(_Connection, connection).is_untouched()
            return tag

    @asynccontextmanager
    async def _writing(self) -> "AsyncIterator[PoolConnectionProxy[Record]]":
        """A connection; where it turns out to take no writes, all are made anew: they may lead to the primary then."""
        async with self._pool.acquire() as connection:
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                await self._pool.expire_connections()
                raise

    async def read(self, query: str, *args: object) -> Any:
        """The first column of the first row, or None. It must leave nothing behind in the session either."""
        async with self._pool.acquire() as connection:
            found = await connection.fetchval(query, *args)
            cast(_Connection, connection).is_untouched()
            return found

    async def copy_csv(self, query: str, *args: object, into: Path, timeout: float) -> None:
        """Stream a query's rows into a file, as CSV without a header; NULL is nothing between two commas."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(READ_WHOLE)  # a day may be most of its table
            with into.open("wb") as file:  # by us: asyncpg, cancelled while it opens a path, leaves it open
                await connection.copy_from_query(query, *args, output=file, format="csv", timeout=timeout)

    async def close(self) -> None:
        """Close the connections, waiting a few seconds for work that still holds one; then it loses it."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


class _Greeting:
    """What is said to each new connection; the first one is looked at before, so that nothing is said to a stranger."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.has_pooler: bool | None = None

    async def __call__(self, connection: _Plain) -> None:
        require_version(connection.get_server_version().major)
        if self.has_pooler is None:
            self.has_pooler = await pooler.has_pooler(connection, self._second)
        await connection.execute(SET_SESSION)

    async def _second(self) -> _Plain:
        return await asyncpg.connect(self._dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=pooler.WITHIN_S)


def require_version(major: int) -> None:
    """Raises ConfigError when this major version of PostgreSQL is too old."""
    if major < OLDEST_SERVER_MAJOR:
        raise ConfigError(
            f"the server is PostgreSQL {major}; Paidup needs {OLDEST_SERVER_MAJOR} or newer. Upgrade it (pg_upgrade), "
            "or leave the database URL unset to use the embedded one"
        )


def without_password(dsn: str) -> str:
    """The DSN as it may be shown to people: the password, wherever it stands, is ``***``.

    One whose password holds a mark that ends the host (``/``, ``?``, ``#``) cannot be told apart, and is not shown.
    """
    try:
        parts = urlsplit(dsn)
        hidden = [(key, "***" if "password" in key.lower() else value) for key, value in parse_qsl(parts.query)]
        is_whole = parts.fragment == "" and "@" not in f"{parts.path}{parts.query}"
    except ValueError:
        is_whole = False
    if not is_whole:
        return "<a DSN that cannot be read>"
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}{':***' if colon else ''}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(hidden, safe="/*"), ""))


def _must_have_its_files(dsn: str) -> None:
    """A missing one would look as if the server were away. Raises ConfigError naming it."""
    try:
        named = [(key, Path(value)) for key, value in parse_qsl(urlsplit(dsn).query) if key in _FILES and value]
    except ValueError:
        return  # it is told with all else that is wrong
    for key, path in named:
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"the database URL's {key}={path}: {error.strerror}; name a readable file") from None


_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def _cannot_connect(dsn: str, failure: Exception) -> str:
    # A DSN that cannot be read may be quoted, password and all, by the library's own message.
    why = " ".join(f"{failure}".split()).rstrip(".") or type(failure).__name__
    if isinstance(failure, ValueError) and "root certificate" not in why:
        why = "it is no address; marks such as / ? # @ in a password are written %2F %3F %23 %40"
    return (
        f"cannot connect to {without_password(dsn)}: {why}. "
        "Check that the server runs, and the host, user, password and database name in the URL"
    )
