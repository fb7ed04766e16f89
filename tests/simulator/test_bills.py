"""Every simulated day ends with the channels' bills: at the end both sides are the same, but for what is listed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from quick import likeliest, most_corrected

from paidup.simulator.campaign import Theatre
from paidup.simulator.clock import Clock
from paidup.simulator.fates import BILLS_JOB, Fates
from paidup.simulator.ground import Ground
from paidup.simulator.nights import Nights
from paidup.simulator.outcome import Outcome
from paidup.simulator.stage import Stage

BEGAN = datetime(2026, 11, 24, tzinfo=UTC)
LINE_FAULTS = ("bill.missing", "bill.extra", "bill.wrong amount", "bill.wrong fee", "bill.wrong day", "bill.duplicate")
ACCOUNTS = {"alipay/main", "stripe/main", "wechat/main"}


def must_add_up(outcome: Outcome) -> None:
    """No invariant is broken, and the bills have what we have, with what the open breaks list: said here once more, so
    that it does not hang on the checker alone."""
    assert () == outcome.breaches
    assert [] == [one for one in outcome.sums if one.bill_minor != one.ours_minor + one.listed_minor]


async def test_each_account_adds_up(stage: Theatre) -> None:
    """Two days of trade and trouble, with bills of all three channels."""
    days = await stage.play(2, days=2)
    must_add_up(days)
    assert (True, True) == (ACCOUNTS >= {one.account for one in days.sums}, sum(one.lines for one in days.sums) > 1)


@pytest.mark.fault
@pytest.mark.parametrize("kind", LINE_FAULTS)
async def test_a_line_that_is_wrong_is_found(stage: Theatre, kind: str) -> None:
    """A run in which a line is wrong in this way ends with breaks, and adds up all the same."""
    for seed in likeliest(kind, range(1, 301))[:20]:
        outcome = await stage.play(seed)
        must_add_up(outcome)
        if outcome.counts[kind]:
            assert any(one.unsettled or one.healed for one in outcome.sums)
            return
    raise AssertionError(f"no seed met {kind}")


async def test_a_corrected_bill_heals(stage: Theatre) -> None:
    """A channel prints a wrong bill anew, finance uploads it: what was wrong with it is no break any more, and nothing
    else changes (the checker takes it for planted no longer)."""
    for seed in most_corrected(range(1, 301))[:20]:
        outcome = await stage.play(seed)
        must_add_up(outcome)
        if outcome.counts["bill.corrected"]:
            assert any(one.healed for one in outcome.sums)
            return
    raise AssertionError("no seed met it")


@pytest.mark.fault
async def test_a_month_adds_up(stage: Theatre) -> None:
    """Thirty days: sum(bill) = sum(ours) ± listed open breaks, for each account, to the minor unit."""
    month = await stage.play(1, days=30)
    must_add_up(month)
    assert ACCOUNTS == {one.account for one in month.sums}
    assert (True, True) == (sum(one.lines for one in month.sums) > 40, any(one.healed for one in month.sums))


def test_nights_go_on_until_every_day_is_billed() -> None:
    """Bills are looked for when a day ends in Beijing, and in UTC, until the last day on which money moved is over; not
    before they are open, but once, so that no day is forgotten."""
    moved_at = BEGAN + timedelta(hours=10)
    nights = Nights(BEGAN, lambda: moved_at)
    looks = []
    for _ in range(2):
        looks.append(at := nights.next_look(None, None, BEGAN))
        nights.looked(at or BEGAN + timedelta(hours=16))
    nights.is_open = True
    for _ in range(2):
        looks.append(at := nights.next_look(None, None, BEGAN))
        nights.looked(at or BEGAN + timedelta(hours=24))
    assert [BEGAN + timedelta(hours=16), None, BEGAN + timedelta(hours=24), None] == looks
    assert [False, True] == [nights.are_over(BEGAN + timedelta(hours=hours)) for hours in (1, 48)]
    assert BEGAN + timedelta(hours=2) == nights.next_look(BEGAN + timedelta(hours=2), None, BEGAN)


async def test_who_is_cancelled_gets_no_turn(soil: Ground) -> None:
    """A worker that fails ends what it had begun beside itself: that waits for its turn no more."""
    stage = Stage(Clock(BEGAN), Fates(1, {}), soil.backends)
    went_on = []

    async def beside() -> None:
        await stage.pause(10)
        went_on.append("beside")

    async def work() -> None:
        task = asyncio.create_task(beside())
        await stage.pause(1)
        task.cancel()
        await asyncio.wait([task])
        went_on.append("work")

    stage.spawn("work", work())
    for _ in range(2):
        await stage.play()
        stage.clock.move(BEGAN + timedelta(minutes=1))
    await stage.play()
    assert (["work"], True) == (went_on, stage.is_empty)
    await stage.close()


async def test_threads_are_waited_for(soil: Ground) -> None:
    """What is handed to a thread is done before anybody else goes on."""
    stage = Stage(Clock(BEGAN), Fates(1, {}), soil.backends)
    order: list[str] = []

    async def work(name: str) -> None:
        await asyncio.to_thread(order.append, f"{name} in a thread")
        order.append(name)

    for name in ("a", "b"):
        stage.spawn(name, work(name))
    await stage.play()
    await stage.close()
    assert ["a in a thread", "a", "b in a thread", "b"] == order


def test_bills_go_wrong_when_all_else_is_over() -> None:
    """After the trouble nothing but bills and those who fetch them meets faults, and in the end not even they."""
    fates = Fates(1, {"commit.lost": 1.0, "bill.cut": 1.0})

    def hits() -> list[bool]:
        whom = ("p0 intake commit", f"p0 {BILLS_JOB} commit")
        return [*(fates.hits("commit.lost", who, BEGAN) for who in whom), fates.hits("bill.cut", "wechat", BEGAN)]

    during = hits()
    fates.over = True
    after = hits()
    fates.bills_are_well = True
    assert [[True, True, True], [False, True, True], [False, False, False]] == [during, after, hits()]
