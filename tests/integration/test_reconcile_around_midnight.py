"""The bill has a payment before midnight and our books have it after: it is one, but only when it is the same money."""

import gzip
import io
from datetime import UTC, date, datetime, timedelta

from paidup.channels.bill import BillKind
from paidup.db.transaction import Database
from paidup.reconcile import bills, people, store
from paidup.reconcile.breaks import Kind
from paidup.reconcile.run import reconcile
from paidup.reconcile.states import State
from paidup.sandbox.bookings import Entry, EntryKind
from paidup.verify.reconciled import DAYS
from reconcile_side import book
from upload_side import DAY, LIMITS, MCHID, NOW, a_party, wechat_bill

SHOP = "teahouse"
NEXT = DAY + timedelta(days=1)
LATER = NOW + timedelta(days=1)


async def booked_after_midnight(db: Database, amount_minor: int) -> None:
    """A payment that DAY's bill has as 12.50; in Beijing it is already the next day when we hear of it."""
    mine = Entry(
        kind=EntryKind.PAYMENT, at=datetime(2026, 11, 22, 16, 0, 10, tzinfo=UTC), amount_minor=amount_minor,
        fee_minor=8, currency="CNY", number="4200777", merchant_ref="A-1",
    )  # fmt: skip
    await book(db, [mine], a_party(SHOP).account)


def a_bill(yuan: str = "12.50") -> bytes:
    """DAY's bill, with one payment."""
    return gzip.compress(gzip.decompress(wechat_bill(MCHID, "A-1")).replace(b"12.50", yuan.encode()), mtime=0)


async def lay(db: Database, day: date, now: datetime, content: bytes | None = None) -> None:
    """Keep a bill, if one came, and lay the day's latest beside our books."""
    one = bills.Brought(shop=SHOP, channel="wechat", account="main", kind=BillKind.TRADES, day=day, source="fetched")
    if content is not None:
        async with db.transaction() as tx:
            await bills.keep(tx, one, io.BytesIO(content), now)
    outcome = await reconcile(db, a_party(SHOP), day, now=now, spill=None, limits=LIMITS, who="test")
    assert outcome.run is not None, outcome.refused


async def differences(db: Database) -> list[tuple[date, Kind, State, int]]:
    """What became of the payment's breaks; and what verify claims of the days holds."""
    async with db.session() as tx:
        found = [one for one in await store.page(tx, store.Filter(), 100) if one.payment_id is not None]
        assert [] == await tx.fetch(DAYS.breaches, NOW)
    return [(one.day, one.kind, one.state, one.differs_minor) for one in found]


async def test_other_money_on_the_neighbour_day_is_still_a_difference(db: Database) -> None:
    """12.50 in the bill of one day, 90.00 in our books of the next: 77.50 differ, beside the line, whoever lays which
    day how often."""
    await booked_after_midnight(db, 9000)
    await lay(db, DAY, NOW, a_bill())
    assert [(DAY, Kind.WRONG_DAY, State.WAITING, 1250)] == await differences(db)
    await lay(db, NEXT, LATER, wechat_bill(MCHID, "B-0", "B-1", day=NEXT))
    for day in (NEXT, DAY, NEXT, DAY):
        assert [(DAY, Kind.AMOUNT, State.OPEN, 1250 - 9000)] == await differences(db)
        await lay(db, day, LATER)


async def test_a_corrected_bill_brings_other_money_home(db: Database) -> None:
    """DAY's bill is corrected to what our books have: the difference is over, and stays so."""
    await booked_after_midnight(db, 9000)
    await lay(db, DAY, NOW, a_bill())
    await lay(db, NEXT, LATER, wechat_bill(MCHID, "B-0", day=NEXT))
    await lay(db, DAY, LATER, a_bill("90.00"))
    for day in (NEXT, DAY):
        assert [(DAY, Kind.WRONG_DAY, State.HEALED)] == [one[:3] for one in await differences(db)]
        await lay(db, day, LATER)


async def test_a_corrected_amount_of_a_cleared_line_is_a_difference(db: Database) -> None:
    """Both had 12.50, and the neighbour day cleared it. DAY's bill is corrected to 99.00: 86.50 differ."""
    await booked_after_midnight(db, 1250)
    await lay(db, DAY, NOW, a_bill())
    await lay(db, NEXT, LATER, wechat_bill(MCHID, "B-0", day=NEXT))
    assert [(DAY, Kind.WRONG_DAY, State.HEALED)] == [one[:3] for one in await differences(db)]
    await lay(db, DAY, LATER, a_bill("99.00"))
    for day in (NEXT, DAY):
        assert [(DAY, Kind.AMOUNT, State.OPEN, 9900 - 1250)] == await differences(db)
        await lay(db, day, LATER)


async def test_what_a_person_said_of_other_money_holds_until_it_is_other_money_again(db: Database) -> None:
    """Resolved stays resolved over the same bills; a corrected amount is news."""
    await booked_after_midnight(db, 9000)
    await lay(db, DAY, NOW, a_bill())
    await lay(db, NEXT, LATER, wechat_bill(MCHID, "B-0", day=NEXT))
    async with db.transaction() as tx:
        (one,) = [one for one in await store.page(tx, store.Filter(), 100) if one.payment_id is not None]
        await people.resolve(tx, one.id, shop=None, who="anna", why="the rest was paid in cash", now=LATER)
    for day in (NEXT, DAY):
        await lay(db, day, LATER)
    assert [(DAY, Kind.AMOUNT, State.RESOLVED, 1250 - 9000)] == await differences(db)
    await lay(db, DAY, LATER, a_bill("13.00"))
    assert [(DAY, Kind.AMOUNT, State.OPEN, 1300 - 9000)] == await differences(db)


async def test_the_neighbours_corrected_bill_takes_its_word_back(db: Database) -> None:
    """The next day's bill has the payment itself after all, over our amount: DAY's line is one too many."""
    await booked_after_midnight(db, 1250)
    await lay(db, DAY, NOW, a_bill("99.00"))
    await lay(db, NEXT, LATER, wechat_bill(MCHID, "B-0", day=NEXT))
    assert [(DAY, Kind.AMOUNT, State.OPEN, 9900 - 1250)] == await differences(db)
    await lay(db, NEXT, LATER, wechat_bill(MCHID, "A-1", day=NEXT))
    await lay(db, DAY, LATER)
    assert [(Kind.DUPLICATE, State.OPEN), (Kind.WRONG_DAY, State.HEALED)] == sorted(
        (kind, state) for _, kind, state, _ in await differences(db)
    )
