"""Which errors say that the database is away, and which only look alike."""

from pathlib import Path

import asyncpg
import pytest

from paidup.db.away import is_away


async def test_a_server_that_cannot_be_reached_is_away(tmp_path: Path) -> None:
    """Where there is no socket, and where nobody listens."""
    for host in (str(tmp_path), "127.0.0.1"):
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)) as raised:
            await asyncpg.connect(host=host, port=9, user="nobody", database="none", ssl=False)
        assert is_away(raised.value)


@pytest.mark.parametrize(
    "kind",
    [
        asyncpg.ConnectionDoesNotExistError, asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
    ],
)  # fmt: skip
def test_a_server_that_says_so_is_away(kind: type[Exception]) -> None:
    """It starts, it stops, or the connection is gone."""
    assert is_away(kind("no"))


def test_a_connection_that_broke_is_away_and_a_misused_one_is_not() -> None:
    """asyncpg calls both an InterfaceError."""
    closed = "cannot call Transaction.__aexit__(): the underlying connection is closed"
    said = (closed, "cannot perform operation: another operation is in progress")
    assert [True, False] == [is_away(asyncpg.InterfaceError(words)) for words in said]


def test_other_errors_say_nothing_of_the_database(tmp_path: Path) -> None:
    """A file that is missing, somebody's deadline, a statement that was given up, a defect of ours."""
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "bill.csv").read_bytes()
    others = (missing.value, TimeoutError(), asyncpg.QueryCanceledError("given up"), KeyError("x"))
    assert [False] * len(others) == [is_away(error) for error in others]
