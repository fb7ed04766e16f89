"""What the log tells while the database is away, whoever needs it."""

import asyncio
import io
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from paidup import log, supervisor
from paidup.clock import SystemClock
from paidup.resilience.backoff import Backoff
from paidup.supervisor import AWAY_AGAIN_S, Job, Supervisor


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log; rounds that fail are tried again at once."""
    monkeypatch.setattr(supervisor, "_BACKOFF", Backoff(steps_s=(0.001,)))
    log.set_up(stream := io.StringIO())
    yield stream
    log.set_up()


class Failing:
    """A job whose first rounds fail with these errors."""

    def __init__(self, name: str, *errors: Exception) -> None:
        self.errors = list(errors)
        self.is_well = asyncio.Event()
        self.job = Job(name, self.run, 60)

    async def run(self, _now: datetime) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.is_well.set()
        return 0


async def until_well(*jobs: Failing) -> Supervisor:
    """All of them, until each had a good round."""
    runs = Supervisor([one.job for one in jobs], SystemClock())
    runs.start()
    for one in jobs:
        await one.is_well.wait()
    await runs.stop()
    return runs


def lines(told: io.StringIO) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in told.getvalue().splitlines()]


def away() -> Exception:
    return asyncpg.CannotConnectNowError("the database system is starting up")


async def test_a_database_that_is_away_is_told_once_and_when_it_is_back(told: io.StringIO) -> None:
    """However many rounds fail of it; each is counted."""
    runs = await until_well(Failing("intake", *(away() for _ in range(5))))
    assert ["database.away", "database.back"] == [line["event"] for line in lines(told)]
    assert "does PostgreSQL run? (CannotConnectNowError: the database system is starting up)" in lines(told)[0]["why"]
    assert 5 == runs.beats["intake"].failed


async def test_what_else_goes_wrong_meanwhile_is_told(told: io.StringIO) -> None:
    """A round that failed of something of its own neither hides nor ends the absence."""
    await until_well(Failing("repair", away(), KeyError("defect")))
    events = [line["event"] for line in lines(told)]
    assert ["database.away", "round.failed", "database.back"] == events


async def test_a_long_absence_is_told_again_each_minute(told: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how long it lasts."""
    seconds = iter(range(0, 10_000, 20))
    monkeypatch.setattr(supervisor, "monotonic_s", lambda: float(next(seconds)))
    await until_well(Failing("delivery", *(away() for _ in range(7))))
    gaps = [line["away_s"] for line in lines(told) if line["event"] == "database.away"]
    assert [0, AWAY_AGAIN_S, 2 * AWAY_AGAIN_S] == gaps
