"""A pooler between Paidup and PostgreSQL: in session mode all is as without one; in any other mode it is refused."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from paidup.clock import SystemClock
from paidup.db.doctor import Severity, examine
from paidup.db.embedded_account import unprivileged_account
from paidup.db.transaction import _SESSION, Database
from paidup.errors import ConfigError
from paidup.wakeups import Wakeups

Pooled = Callable[..., str]


@pytest.fixture
def pooled(db_dsn: str, reachable_dir: Path) -> Iterator[Pooled]:
    """Starts PgBouncer in the mode that is named, before this test's database; gives the URL through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer on this machine: `apt-get install pgbouncer` brings it (.ci/run does)")
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str, more: str = "") -> str:
        url, process = _start(program, db_dsn, reachable_dir, mode, more)
        started.append(process)
        return url

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def _start(program: str, dsn: str, folder: Path, mode: str, more: str) -> tuple[str, subprocess.Popen[bytes]]:
    parts = urlsplit(dsn)
    where = parse_qs(parts.query)
    host, port = where["host"][0] if "host" in where else parts.hostname, where.get("port", [parts.port or 5432])[0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ours = free.getsockname()[1]
    users, config = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" "{parts.password}"\n')
    config.write_text(
        f"[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {ours}\n"
        f"unix_socket_dir =\nauth_type = plain\nauth_file = {users}\npool_mode = {mode}\n{more}\n"
    )
    account = unprivileged_account()  # may enter the folder of the embedded server's socket
    them = {"user": account.uid, "group": account.gid, "extra_groups": ()} if account else {}
    process = subprocess.Popen([program, "-q", config], **them)
    return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{ours}{parts.path}", process


async def connect(url: str) -> Database:
    """Once it listens."""
    for _ in range(100):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", urlsplit(url).port)) == 0:
                break
        await asyncio.sleep(0.05)
    return await Database.connect(url)


async def test_a_session_of_a_pooler_is_set_up_as_ours(pooled: Pooled) -> None:
    """PgBouncer as it is installed takes us, and our settings hold, also after a session was given back."""
    db = await connect(pooled("session"))
    try:
        for _ in range(2):
            async with db.session() as tx:
                found = {name: await tx.fetchval("SELECT current_setting($1)", name) for name in _SESSION}
            assert {**_SESSION, "idle_in_transaction_session_timeout": "1min"} == found
        [pooler] = [one for one in await examine(db, SystemClock()) if one.topic == "pooler"]
        assert (Severity.OK, True) == (pooler.severity, "session mode" in pooler.says)
    finally:
        await db.close()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("more", ["", "default_pool_size = 1"])
async def test_a_pooler_that_lends_sessions_for_less_is_refused(pooled: Pooled, mode: str, more: str) -> None:
    """It would lose settings and notices without a word: the sentence says which setting to change."""
    with pytest.raises(ConfigError, match="pool_mode = session"):
        await connect(pooled(mode, more))


async def test_a_pooler_with_one_session_is_not_taken_for_a_wrong_one(
    pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a second connection waits in vain for a session, the first one has one of its own."""
    monkeypatch.setattr("paidup.db.pooler.WITHIN_S", 0.2)
    db = await connect(pooled("session", "default_pool_size = 1"))
    assert db.has_pooler
    await db.close()


async def test_wakeups_pass_through_a_pooler(pooled: Pooled, db_dsn: str) -> None:
    """Another process hears what we say, and we do not hear ourselves."""
    url = pooled("session")
    await (await connect(url)).close()
    ours: asyncio.Queue[str] = asyncio.Queue()
    theirs: asyncio.Queue[str] = asyncio.Queue()
    talker = Wakeups(url, ("intake",), heard=ours.put_nowait, lost=lambda: None)
    hearer = Wakeups(db_dsn, ("intake",), heard=theirs.put_nowait, lost=lambda: None)
    try:
        for one, heard in ((talker, ours), (hearer, theirs)):
            await one.run_once(SystemClock().now())
            assert "intake" == heard.get_nowait()
        talker.tell("intake")
        await talker.run_once(SystemClock().now())
        assert "intake" == await asyncio.wait_for(theirs.get(), 5)
        await talker.run_once(SystemClock().now())  # what was said has come back by now
        assert ours.empty()
    finally:
        await talker.aclose()
        await hearer.aclose()
