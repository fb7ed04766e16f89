"""Commands beside an application that embeds Paidup: what they pay, the application's handlers hear of."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kept import a_callback, an_offer, keep, read, receive, states, take_in
from paidup.app import Paidup
from paidup.db.transaction import Database
from paidup.errors import HandlersMissing
from paidup.handlers import Handlers
from paidup.money import Money
from paidup.settings import load
from paidup.testing.builders import paid, payment_id

ROOT = Path(__file__).resolve().parents[2]
APP = "examples.fastapi_app:paidup"
SHIPMENTS = """
CREATE TABLE IF NOT EXISTS shipments (order_no text PRIMARY KEY, amount_minor bigint NOT NULL, paid_by text NOT NULL)"""


@pytest.fixture
def env(db_dsn: str, tmp_path: Path) -> dict[str, str]:
    return {"PAIDUP_DATABASE_URL": db_dsn, "PAIDUP_DATA": str(tmp_path), "PAIDUP_PORT": "0", "PAIDUP_ROLES": "web"}


@asynccontextmanager
async def the_application(env: dict[str, str]) -> AsyncIterator[Paidup]:
    """One that has a handler, as examples/fastapi_app.py does, while it runs."""
    paidup = Paidup(load(env))

    @paidup.on("order.paid")
    async def ship(_tx: object, _event: object) -> None:
        """What it writes does not matter here."""

    async with paidup:
        yield paidup


async def a_held_payment(db: Database) -> None:
    """Money came, but too little: a person decides."""
    async with db.transaction() as tx:
        await tx.execute(SHIPMENTS)
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid(amount=Money(900, "CNY"))))
    await take_in(db)


async def shipped(db: Database) -> list[str]:
    async with db.session() as tx:
        return [row["paid_by"] for row in await tx.fetch("SELECT paid_by FROM shipments")]


def paidup(*args: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAIDUP_")}
    command = [sys.executable, "-P", "-m", "paidup", *args]  # -P: as the script `paidup`, which knows no folder
    return subprocess.run(command, check=False, env=clean | env, cwd=ROOT, capture_output=True, text=True, timeout=120)


def release(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return paidup("payments", "release", payment_id(), "accept", "--because", "paid the rest in cash", env=env)


async def test_a_command_runs_the_handlers_of_the_application(db: Database, env: dict[str, str]) -> None:
    """A payment is released on the command line: the application's own row is committed with it."""
    await a_held_payment(db)
    ran = release(env | {"PAIDUP_APP": APP})
    assert (0, [payment_id()]) == (ran.returncode, await shipped(db)), ran.stderr


async def test_no_command_leaves_handlers_out(db: Database, env: dict[str, str]) -> None:
    """Once an application with handlers ran, whoever would apply without them refuses, names them, and does nothing."""
    await a_held_payment(db)
    async with the_application(env):
        pass
    refused = [release(env), paidup("serve", env=env)]
    assert [2, 3] == [ran.returncode for ran in refused], refused
    for ran in refused:
        assert ("ship" in ran.stderr, "PAIDUP_APP=" in ran.stderr, "Traceback" in ran.stderr) == (True, True, False)
    assert ([], ["unpaid", "held"]) == (await shipped(db), states(await read(db)))
    assert 0 == paidup("cases", "list", env=env).returncode
    assert (0, [payment_id()]) == (release(env | {"PAIDUP_APP": APP}).returncode, await shipped(db))


async def test_a_server_that_runs_already_stops_applying(db: Database, env: dict[str, str]) -> None:
    """It started before the application did: its round undoes itself, the callback stays for whoever has handlers."""
    await keep(db, an_offer())
    await receive(db, a_callback("cbk1", paid()))
    async with the_application(env):
        with pytest.raises(HandlersMissing, match="ship"):
            await take_in(db)
        async with db.session() as tx:
            waits = await tx.fetchrow("SELECT state, attempts FROM inbox_queue")
        heard: list[object] = []
        handlers = Handlers()

        @handlers.on("order.paid")
        async def hear(_tx: object, event: object) -> None:
            heard.append(event)

        assert 1 == await take_in(db, 41, handlers=handlers)
    assert (("waiting", 0), 1) == (tuple(waits or ()), len(heard))


async def test_handlers_that_are_gone_can_be_forgotten(db: Database, env: dict[str, str]) -> None:
    """The application has none any more: a person says so once, and commands work without."""
    await a_held_payment(db)
    async with the_application(env):
        pass
    assert 2 == release(env).returncode
    forgotten = paidup("db", "forget-handlers", "--json", env=env)
    assert (True, 0) == ("ship" in forgotten.stdout, release(env).returncode)


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("examples.fastapi_ap:paidup", "examples.fastapi_ap cannot be imported"),
        ("examples.fastapi_app:payd", "there is no such attribute"),
        ("examples.fastapi_app:app", "that is a FastAPI"),
        ("examples.fastapi_app", "write module:attribute"),
    ],
)
def test_a_wrong_name_of_the_application_says_what_to_write(env: dict[str, str], app: str, says: str) -> None:
    """One line, and nothing was done."""
    ran = release(env | {"PAIDUP_APP": app})
    assert (2, True, False) == (ran.returncode, says in ran.stderr, "Traceback" in ran.stderr), ran.stderr
