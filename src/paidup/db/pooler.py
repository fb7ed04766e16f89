"""Whether a connection has a session of its own, as it has straight to PostgreSQL, or through a pooler in session mode.

A pooler in transaction mode lends a session to whoever has a transaction: prepared statements get lost, settings leak
to others and back, and nobody hears a NOTIFY. Some of that goes unnoticed for days, so it is looked for at the start.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from paidup.errors import ConfigError

SHARED = (
    "the pooler in between lends a session for the length of a transaction, and Paidup needs one for each connection: "
    "set pool_mode = session for this database, or give the URL of PostgreSQL itself"
)

_ROUNDS = 5
WITHIN_S = 5.0
"""How long a second connection waits for a session, before it counts as not given one."""
_PID = "SELECT pg_backend_pid()"

# What we prepared is not there, or what we did not prepare is: that was another session.
_STRANGE = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)

# Any: asyncpg's connections are generic in their rows, which do not matter here.
Connect = Callable[[], Awaitable[Any]]


async def has_pooler(connection: Any, connect: Connect) -> bool:
    """Whether a pooler stands between: the process that works for us is not the one that greeted us.

    connect: makes a second connection to the same place. Raises ConfigError when the pooler's sessions are shared.
    """
    try:
        pid = await connection.fetchval(_PID)
        if pid == connection.get_server_pid():
            return False
        other = await connect()
        try:
            shared = await _share(connection, other, pid)
        finally:
            other.terminate()
    except _STRANGE:
        shared = True
    if shared:
        raise ConfigError(SHARED)
    return True


async def _share(connection: Any, other: Any, pid: int) -> bool:
    """Whether another connection's transaction is given the session that we had, so that we are given another one."""
    try:
        for _ in range(_ROUNDS):
            async with other.transaction():
                theirs = await other.fetchval(_PID)
                if theirs == pid or await connection.fetchval(_PID, timeout=WITHIN_S) != pid:
                    return True
    except TimeoutError:
        return False  # no session is left for the second connection: then the first one keeps its own
    except asyncpg.PostgresConnectionError as error:
        if "statement pooling mode" in str(error):  # PgBouncer's last words after a BEGIN, where it lends for less
            return True
        raise
    return False
