"""How commands end when something around them fails: one line, and never the exit code of a verdict.

`paidup verify` ends with 1 when money is lost or doubled, and somebody is woken then.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from paidup.db.transaction import Database
from paidup.sandbox.accounts import write_accounts
from sandbox_merchant import keys
from waits import somebody_waits_for

FULL = Path("/dev/full")
END_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


class Ran:
    """What a command said, and how it ended."""

    def __init__(self, code: int | None, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode(), err.decode()
        self.lines = self.err.splitlines()


@pytest.fixture
def env(db_dsn: str, tmp_path: Path) -> dict[str, str]:
    """As in a terminal, where Python keeps back what is printed until there is more, or until it ends."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PAIDUP_", "PYTHON"))}
    return clean | {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_PORT": "0"}


async def paidup(*args: str | bytes, env: dict[str, str], stdout: int = asyncio.subprocess.PIPE) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "paidup", *args, env=env, stdout=stdout, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return Ran(process.returncode, out or b"", err)


async def test_a_database_that_goes_away_is_no_breach(env: dict[str, str], db: Database) -> None:
    """In the middle of verify, which waits for a table."""
    async with db.transaction() as tx:
        await tx.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        verifying = asyncio.create_task(paidup("verify", env=env))
        async with asyncio.timeout(60):
            await somebody_waits_for(db, await tx.fetchval("SELECT pg_backend_pid()"))
        await tx.execute(END_ALL)
        ran = await verifying
    assert (2, 1, True) == (ran.code, len(ran.lines), "the database went away" in ran.err), ran.err


@pytest.mark.parametrize("form", ["text", "json"])
async def test_figures_that_could_not_be_read_are_no_success(env: dict[str, str], db: Database, form: str) -> None:
    """`paidup metrics`, whose database goes away while it reads, ends with an error, and says so."""
    args = ("metrics", "--json") if form == "json" else ("metrics",)
    async with db.transaction() as tx:
        await tx.execute("LOCK TABLE cases IN ACCESS EXCLUSIVE MODE")
        reading = asyncio.create_task(paidup(*args, env=env))
        async with asyncio.timeout(60):
            await somebody_waits_for(db, await tx.fetchval("SELECT pg_backend_pid()"))
        await tx.execute(END_ALL)
        ran = await reading
    assert (2, True) == (ran.code, "the database could not be read" in ran.lines[-1]), ran.err
    assert "paidup_database_up" in ran.out


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("args", [("verify",), ("verify", "--json"), ("settings",)])
async def test_a_full_disk_is_no_breach(env: dict[str, str], args: tuple[str, ...]) -> None:
    """What was found cannot be written down, and that is said."""
    full = os.open(FULL, os.O_WRONLY)
    ran = await paidup(*args, env=env, stdout=full)
    os.close(full)
    assert (2, "paidup: it could not be done: No space left on device") == (ran.code, ran.lines[-1])
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "args", [("verify",), ("verify", "--json"), ("settings",), ("--help",), ("--version",), ("trace", "--help")]
)
async def test_a_reader_who_has_seen_enough_is_no_breach(env: dict[str, str], args: tuple[str, ...]) -> None:
    """As `paidup verify | head -1` under `pipefail`: the exit code is that of SIGPIPE, and nothing is said."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = await paidup(*args, env=env, stdout=writing)
    os.close(writing)
    assert (141, False) == (ran.code, "Error" in ran.err or "Traceback" in ran.err), ran.err


async def test_a_terminal_that_knows_few_letters_shows_the_others_as_escapes(env: dict[str, str]) -> None:
    """verify says `1, 2, 3 …`, which Latin-1 cannot say; it holds all the same."""
    ran = await paidup("verify", env=env | {"PYTHONIOENCODING": "latin-1"})
    assert (0, True) == (ran.code, "\\u2026 without gaps" in ran.out), ran.err


async def test_an_argument_in_another_encoding_is_told_in_one_line(env: dict[str, str]) -> None:
    """A terminal that writes GBK, where the system was told that it writes UTF-8."""
    ran = await paidup("trace", "商店".encode("gbk"), env=env)
    assert (2, 1, True) == (ran.code, len(ran.lines), "an argument is not UTF-8" in ran.err), ran.err


async def test_a_closed_stdout_is_no_fault(env: dict[str, str]) -> None:
    """As cron and some supervisors start programs: nobody reads, and the command does its work."""
    command = f"exec {sys.executable} -m paidup settings >&- 2>&-"
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", command, env=env)
    assert 0 == await process.wait()


@pytest.mark.parametrize("args", [("db", "shops"), ("demo", "--once"), ("sandbox", "--port", "0"), ("serve",)])
async def test_a_data_folder_that_is_a_file_is_told(env: dict[str, str], tmp_path: Path, args: tuple[str, ...]) -> None:
    """One line says which, and no traceback what Python did."""
    data = tmp_path / "data"
    data.touch()
    ran = await paidup(*args, env=env | {"PAIDUP_DATABASE_URL": "", "PAIDUP_DATA": str(data)})
    assert ran.code
    assert (True, False) == (f"{data}" in ran.lines[0], "Traceback" in ran.err or "lifespan" in ran.err), ran.err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("stock put nobody TEA-01", "there is no shop 'nobody'; create it with `paidup db shop nobody`"),
        ("stock policy nobody --hold-s 60", "there is no shop 'nobody'; create it with `paidup db shop nobody`"),
        ("stock import nobody {note}", "there is no shop 'nobody'; create it with `paidup db shop nobody`"),
        ("reconcile run --day 9999-12-31", "write the day as 2026-11-22, not '9999-12-31'"),
    ],
)
async def test_a_wrong_word_is_told_in_one_line(env: dict[str, str], tmp_path: Path, command: str, says: str) -> None:
    """A shop that nobody made, a day that no bill is of: what to write instead, and no traceback."""
    note = tmp_path / "note.csv"
    note.write_text("sku,quantity\nTEA-01,5\n")
    nowhere = "http://127.0.0.1:9"
    write_accounts(tmp_path / "accounts", keys(), base_url=nowhere, paidup_url=nowhere, shop="acme")
    ran = await paidup(*command.format(note=note).split(), env=env)
    assert (2, [f"paidup: {says}"]) == (ran.code, ran.lines), ran.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--account", "../elsewhere"), "name it with a-z, 0-9, - and _ only"),
        (("--shop", 'a"b'), "name it with a-z, 0-9, - and _ only"),
        (("--paidup-url", "ftp://shop"), "is no address for callbacks"),
        (("--paidup-url", 'http://a"b'), "is no address for callbacks"),
        (("--port", "99999"), "99999 is not in the range 0<=x<=65535"),
        (("--median-s", "nan"), "must be numbers"),
        (("--public-key-share", "2"), "2.0 is not in the range 0<=x<=1"),
        (("--accounts-dir", "{file}"), "cannot make the folder"),
    ],
)
async def test_the_sandbox_writes_nothing_that_paidup_could_not_read(
    env: dict[str, str], tmp_path: Path, args: tuple[str, str], says: str
) -> None:
    """It refuses to start, in one sentence; an account file with half a name in it would have to be removed by hand."""
    (tmp_path / "file").touch()
    words = [word.format(file=tmp_path / "file") for word in args]
    ran = await paidup("sandbox", "--port", "0", *words, env=env)
    assert (2, True) == (ran.code, says in ran.lines[-1]), ran.err
    assert ["file"] == [path.name for path in tmp_path.iterdir()]
