"""A day with open differences calls people by one case, whatever touched the day last; settled, it calls nobody."""

import io
from datetime import UTC, date, datetime, timedelta

from test_reconcile_mends import breaks, day_of, fetched, made, next_morning, no_bills, party, shop, tools, work

from merchant import Merchant
from paidup.channels.bill import BillKind
from paidup.db.transaction import Database
from paidup.reconcile import bills, people
from paidup.reconcile.breaks import Kind
from paidup.reconcile.overdue import tell_people
from paidup.reconcile.states import State as Is
from paidup.reconcile.worker import work_day
from paidup.sandbox.bookings import Entry, EntryKind
from paidup.sandbox.faults import Faults
from reconcile_side import book
from upload_side import DAY, MCHID, NOW, a_party, brought, laid, wechat_bill

__all__ = ["no_bills", "shop"]

OPEN_CASES = "SELECT subject_id FROM cases WHERE kind = 'reconcile_breaks' AND resolved_at IS NULL"


async def worked(shop: Merchant, day: date, *refs: str) -> None:
    """A bill of the day with these payments comes, and the day is worked on."""
    one = bills.Brought(
        shop=party(shop).account.shop, channel="wechat", account="main", kind=BillKind.TRADES, day=day, source="fetched"
    )
    async with shop.db.transaction() as tx:
        content = io.BytesIO(wechat_bill(party(shop).account.mchid, *refs, day=day))
        await bills.keep(tx, one, content, shop.clock.now())
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")


async def lacks_one(shop: Merchant) -> date:
    """A day whose bill lacks a payment."""
    await made(shop, "wechat")
    day = day_of(shop, "wechat")
    await next_morning(shop, "wechat", day)
    await fetched(shop, day, missing=1.0)
    await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    shop.sandbox.faults = Faults()
    return day


async def test_a_short_that_a_later_days_round_opens_has_its_days_case(shop: Merchant) -> None:
    """Only later days are worked on after that: when the time to wait is over, people hear of the day that it is of."""
    day = await lacks_one(shop)
    for ago in (1, 2, 3, 4):
        await next_morning(shop, "wechat", day + timedelta(days=ago))
        await work(shop, party(shop), day + timedelta(days=ago))
    assert [Is.OPEN] == [one.state for one in await breaks(shop) if one.day == day and one.kind is Kind.SHORT]
    assert f"wechat/main {day}" in await shop.column(OPEN_CASES)


async def test_a_break_that_a_corrected_neighbour_opens_again_calls_somebody(shop: Merchant, no_bills: None) -> None:
    """The next day's bill had the payment that this day's lacks, and its correction has not: the channel is asked, and
    people hear of it, by the order's case and by the day's."""
    payment, day = await made(shop, "wechat"), day_of(shop, "wechat")
    tomorrow = day + timedelta(days=1)
    await next_morning(shop, "wechat", day)
    await worked(shop, day)
    await next_morning(shop, "wechat", tomorrow)
    await worked(shop, tomorrow, payment.merchant_ref)
    assert [(Is.HEALED, tomorrow.isoformat())] == [(one.state, one.cleared_by) for one in await breaks(shop)]
    await shop.clock.advance(60)
    await worked(shop, tomorrow)
    assert [(day, Is.OPEN, None)] == [(one.day, one.state, one.cleared_by) for one in await breaks(shop)]
    assert {"reconcile_short", "reconcile_breaks"} == {*await shop.cases()}
    assert [f"wechat/main {day}"] == await shop.column(OPEN_CASES)


async def test_a_line_that_a_corrected_neighbour_has_itself_is_one_too_many(shop: Merchant, no_bills: None) -> None:
    """This day's bill has a payment that is booked on the next day, whose bill did not have it, and has it now: the day
    is laid once more by itself, and people hear that the bills have it twice."""
    payment, tomorrow = await made(shop, "wechat"), day_of(shop, "wechat")
    day = tomorrow - timedelta(days=1)
    await next_morning(shop, "wechat", tomorrow)
    await worked(shop, day, payment.merchant_ref)
    await worked(shop, tomorrow)
    assert [(Kind.WRONG_DAY, Is.HEALED)] == [(one.kind, one.state) for one in await breaks(shop)]
    await shop.clock.advance(60)
    await worked(shop, tomorrow, payment.merchant_ref)
    assert [(day, Kind.DUPLICATE)] == [(one.day, one.kind) for one in await breaks(shop) if one.state is Is.OPEN]
    assert [f"wechat/main {day}"] == await shop.column(OPEN_CASES)


async def test_the_days_case_closes_when_a_person_settled_its_last_break(shop: Merchant) -> None:
    """Nobody has to close it by hand, or to run the day again."""
    day = await lacks_one(shop)
    await shop.clock.advance(3 * 86400)
    for _ in range(2):
        await work_day(shop.db, party(shop), day, tools=tools(shop), who="test")
    assert f"wechat/main {day}" in await shop.column(OPEN_CASES)
    (one,) = [one for one in await breaks(shop) if one.day == day]
    async with shop.db.transaction() as tx:
        await people.resolve(tx, one.id, shop=None, who="anna", why="paid in cash", now=shop.clock.now())
    assert f"wechat/main {day}" not in await shop.column(OPEN_CASES)


async def test_what_lacks_here_makes_up_for_nothing_there(db: Database) -> None:
    """One payment has 0.50 more in the bill than in our books, another 0.50 less: the day's case says 1.00."""
    its = a_party("teahouse")
    mine = [
        Entry(
            kind=EntryKind.PAYMENT, at=datetime(2026, 11, 22, 4, tzinfo=UTC), amount_minor=minor, fee_minor=8,
            currency="CNY", number=f"4200009{n:021}", merchant_ref=ref,
        )
        for n, (ref, minor) in enumerate({"A-1": 1200, "A-2": 1300}.items())
    ]  # fmt: skip
    await book(db, mine, its.account)
    await brought(db, its, wechat_bill(MCHID, "A-1", "A-2"))
    await laid(db, its)
    async with db.transaction() as tx:
        await tell_people(tx, its, NOW)
        (why,) = [row["why"] for row in await tx.fetch("SELECT why FROM cases WHERE kind = 'reconcile_breaks'")]
    assert f"wechat/main {DAY}: 2 amount over 1.00 CNY; see `paidup reconcile breaks --day {DAY}`" == why
