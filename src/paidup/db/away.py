"""Is it the database that is away?"""

from pathlib import Path
from traceback import walk_tb

import asyncpg

_SAYS_SO = (
    asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)  # fmt: skip
_CLOSED = "connection is closed"
"""What asyncpg says to whoever goes on with a connection that broke under him."""
_CONNECTS = Path(asyncpg.__file__).with_name("connect_utils.py")


def is_away(error: BaseException) -> bool:
    """Whether this was raised because the server cannot be reached, and not because of a file or another server.

    An OSError, which a TimeoutError is, too, says only that something could not be opened, reached, or waited for.
    """
    was_closed = isinstance(error, asyncpg.InterfaceError) and _CLOSED in str(error)
    if isinstance(error, _SAYS_SO) or was_closed:
        return True
    was_connecting = any(Path(frame.f_code.co_filename) == _CONNECTS for frame, _ in walk_tb(error.__traceback__))
    return isinstance(error, OSError) and was_connecting


def takes_no_writes(error: BaseException) -> bool:
    """Whether the server is a standby, or was told to be read-only."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)
