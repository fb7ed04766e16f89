"""Workers in other processes hear of work by LISTEN and NOTIFY, and sleep exactly until the next row is due."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from paidup.app import Paidup
from paidup.channels.messages import CallbackRequest
from paidup.clock import FastClock, SystemClock
from paidup.db.transaction import Database
from paidup.sandbox.accounts import write_accounts
from paidup.sandbox.keys import Keys, make_keys
from paidup.settings import load
from paidup.supervisor import Job, Supervisor
from paidup.wakeups import Wakeups

NOBODY = "http://127.0.0.1:9"
SOON_S = 3
"""Less than workers rest when nobody wakes them."""


class Ears:
    """What one process heard; `woken` says that its Wakeups wants a round."""

    def __init__(self, dsn: str, *names: str) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.woken = asyncio.Event()
        self.wakeups = Wakeups(dsn, names, heard=self.heard.put_nowait, lost=self.woken.set)

    async def round(self) -> None:
        await self.wakeups.run_once(SystemClock().now())

    async def connected(self) -> None:
        """Connect, and forget what is heard at each connecting."""
        await self.round()
        while not self.heard.empty():
            self.heard.get_nowait()


@pytest.fixture
async def ears(db_dsn: str) -> AsyncIterator[Callable[..., Ears]]:
    """Makes them, and hangs up afterwards."""
    made: list[Ears] = []

    def make(*names: str) -> Ears:
        made.append(Ears(db_dsn, *names))
        return made[-1]

    yield make
    for one in made:
        await one.wakeups.aclose()


async def test_what_one_process_says_another_hears(ears: Callable[..., Ears]) -> None:
    """By the name of the worker it is for, and as one notice however often it was said."""
    speaker, listener = ears("web"), ears("intake", "repair")
    await speaker.connected()
    await listener.connected()
    for _ in range(100):
        speaker.wakeups.tell("intake", "delivery")
    await speaker.round()
    async with asyncio.timeout(SOON_S):
        assert "intake" == await listener.heard.get()
    assert (True, True) == (listener.heard.empty(), speaker.heard.empty())


async def test_a_broken_connection_asks_for_a_round_and_wakes_everybody(ears: Callable[..., Ears], db_dsn: str) -> None:
    """Whatever was said while nobody listened is found by looking."""
    listener = ears("intake", "repair")
    await listener.connected()
    other = await asyncpg.connect(db_dsn)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'paidup wake-ups' AND datname = current_database()"
    )
    await other.close()
    async with asyncio.timeout(SOON_S):
        await listener.woken.wait()
    await listener.round()
    assert {"intake", "repair"} == {listener.heard.get_nowait() for _ in range(2)}


async def test_what_was_not_said_yet_is_said_before_hanging_up(ears: Callable[..., Ears]) -> None:
    """A process that ends after a commit does not keep it to itself."""
    speaker, listener = ears("web"), ears("delivery")
    await speaker.connected()
    await listener.connected()
    speaker.wakeups.tell("delivery")
    await speaker.wakeups.aclose()
    async with asyncio.timeout(SOON_S):
        assert "delivery" == await listener.heard.get()


async def test_a_callback_taken_in_by_one_process_is_applied_by_another(
    ears: Callable[..., Ears], db_dsn: str, db: Database, tmp_path: Path
) -> None:
    """Long before the worker would have looked by itself; and it says what follows from it to a third."""
    keys = make_keys(SystemClock().now())
    write_accounts(tmp_path / "accounts", keys, base_url=NOBODY, paidup_url=NOBODY, shop="acme")
    courier = ears("delivery")
    await courier.connected()
    async with _process(db_dsn, tmp_path, "web") as entrance, _process(db_dsn, tmp_path, "intake"):
        async with asyncio.timeout(SOON_S):
            await _take_in(entrance, keys)
            assert "delivery" == await courier.heard.get()
    async with db.session() as tx:
        assert 0 == await tx.fetchval("SELECT count(*) FROM inbox_queue")


@asynccontextmanager
async def _process(dsn: str, folder: Path, roles: str) -> AsyncIterator[Paidup]:
    environ = {"PAIDUP_DATABASE_URL": dsn, "PAIDUP_DATA": str(folder), "PAIDUP_ROLES": roles}
    async with Paidup(load(environ)) as paidup:
        yield paidup


async def _take_in(entrance: Paidup, keys: Keys) -> None:
    now = SystemClock().now()
    at = int(now.timestamp())
    body = json.dumps({"id": "evt_1", "type": "customer.created", "created": at, "livemode": False}).encode()
    digest = hmac.digest(keys.stripe.webhook.encode(), f"{at}.".encode() + body, hashlib.sha256).hex()
    headers = (("stripe-signature", f"t={at},v1={digest}"),)
    request = CallbackRequest("POST", "/callbacks/stripe/main", headers, body)
    got = await entrance.receiver.receive(request, "stripe", "main", source="test", now=now)
    assert got.callback_id is not None
    entrance.wake("intake")


async def test_a_job_rests_until_its_next_row_is_due_and_no_longer() -> None:
    """Twenty minutes by a clock that runs a hundred thousand times as fast pass in no time, whatever idle_s says."""
    clock = FastClock(SystemClock().now(), 100_000)
    rounds: list[datetime] = []
    again = asyncio.Event()
    due_at = clock.now() + timedelta(minutes=20)

    async def run(now: datetime) -> int:
        rounds.append(now)
        if now >= due_at:
            again.set()
        return 0

    async def next_at() -> datetime | None:
        return due_at if rounds[-1] < due_at else None

    supervisor = Supervisor([Job("patient", run, 60, next_at)], clock)
    supervisor.start()
    async with asyncio.timeout(SOON_S):
        await again.wait()
    await supervisor.stop()
    assert due_at <= rounds[-1]


async def test_a_round_in_which_something_was_cancelled_is_tried_again() -> None:
    """What it waited for was cancelled, by whomever; nobody cancelled the round, and the job does not end silently."""
    again = asyncio.Event()
    rounds: list[datetime] = []

    async def run(now: datetime) -> int:
        rounds.append(now)
        if len(rounds) > 1:
            again.set()
            return 0
        stale: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stale.cancel()
        return await stale

    supervisor = Supervisor([Job("unlucky", run, 60)], SystemClock())
    supervisor.start()
    async with asyncio.timeout(SOON_S):
        await again.wait()
    await supervisor.stop()
    assert 1 == supervisor.beats["unlucky"].failed


async def test_a_job_that_is_woken_does_not_wait_for_what_is_due_later() -> None:
    """Waking ends the rest, however long it was to be."""
    woken = asyncio.Event()
    rounds = 0

    async def run(_now: datetime) -> int:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            woken.set()
        return 0

    async def tomorrow() -> datetime | None:
        if rounds == 1:
            supervisor.wake("patient")  # as if work came while it asked
        return SystemClock().now() + timedelta(days=1)

    supervisor = Supervisor([Job("patient", run, 60, tomorrow)], SystemClock())
    supervisor.start()
    async with asyncio.timeout(SOON_S):
        await woken.wait()
    await supervisor.stop()
    assert woken.is_set()
