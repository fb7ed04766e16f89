"""verify and doctor know of reconciliation: no line of a bill is lost or used twice, no day is left unproven unseen."""

from datetime import timedelta

import msgspec
import pytest

from paidup.channels.bill import BillKind
from paidup.db.doctor import Finding, Severity
from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.reconcile import bill_fetches, health, people, store
from paidup.reconcile.decide import Change
from paidup.reconcile.find import lines_of
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State
from paidup.reconcile.upload import FileRefused
from paidup.testing.builders import a_payment, an_order
from paidup.verify import whole
from paidup.verify.check import Check
from paidup.verify.reconciled import DAYS
from reconcile_side import a_break
from upload_side import DAY, MCHID, NOW, a_party, booked, brought, laid, wechat_bill

SHOP = "teahouse"


async def a_day(db: Database) -> None:
    """Two payments that our books have, one that they have not, and one line twice."""
    party = a_party(SHOP)
    await booked(db, a_party(SHOP), "A-1", "A-2")
    await brought(db, party, wechat_bill(MCHID, "A-1", "A-2", "A-3"))
    outcome = await laid(db, party)
    assert outcome.run is not None
    assert (3, 2, 1) == (outcome.run.lines, outcome.run.matched, outcome.run.sums[0].broken)


async def checked(db: Database) -> Check:
    return await whole.check(db, DAYS, None)


async def test_a_reconciled_day_is_proven(db: Database) -> None:
    """Every line stands in the sums: matched, or in a break."""
    await a_day(db)
    found = await checked(db)
    assert ({"days": 1, "lines": 3, "matched": 2, "broken": 1, "added_up": 0}, []) == (found.sums, found.breaches)


@pytest.mark.parametrize("number", ["A-2", f"4200009{1:021}"])
async def test_the_line_of_a_matched_payment_is_found(db: Database, number: str) -> None:
    """By our number or the channel's: the file's own line, with its place; of what the bill lacks there is none."""
    await a_day(db)
    (found,) = await lines_of(db, [a_party(SHOP)], number)
    assert (3, "A-2", 1250, DAY) == (found.line.number, found.line.merchant_ref, found.line.amount_minor, found.day)
    assert found.line.raw.startswith("`2026-11-22 12:00:01")
    with pytest.raises(NotFound, match="A-3"):
        await lines_of(db, [a_party(SHOP)], "A-3")


TAMPERED = {
    "a line is matched that is not there": "UPDATE reconciliation_sums SET matched = matched + 1",
    "a line is in no break": "UPDATE reconciliation_sums SET broken = 0",
    "money is missing": "UPDATE reconciliation_sums SET matched_minor = matched_minor - 1",
    "the run has other lines": "UPDATE reconciliations SET lines = 4",
    "the bill has other lines": "UPDATE bills SET lines = 4",
    "a break more": (
        "INSERT INTO breaks SELECT (jsonb_populate_record(b, jsonb_build_object('id', 'brk2', 'key', 'again'))).* "
        "FROM breaks b"
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_day_that_was_tampered_with_is_named(db: Database, what: str) -> None:
    """Whichever figure or row was changed: the day, or the break, is named."""
    await a_day(db)
    async with db.transaction() as tx:
        await tx.execute(TAMPERED[what])
    assert f"wechat/main {DAY}" in (await checked(db)).breaches


async def test_a_break_that_was_taken_away_is_named(db: Database) -> None:
    """The day's only difference is deleted by hand: its line stands in no break any more. One that healed before the
    day was laid anew does not take its place; one that was settled since is still there."""
    await a_day(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE breaks SET state = 'resolved'")
    assert [] == (await checked(db)).breaches
    async with db.transaction() as tx:
        await tx.execute("UPDATE breaks SET state = 'healed', changed_at = changed_at - interval '1 day'")
    assert [f"wechat/main {DAY}"] == (await checked(db)).breaches
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM break_steps")
        await tx.execute("DELETE FROM breaks")
    assert [f"wechat/main {DAY}"] == (await checked(db)).breaches


async def test_a_line_in_two_breaks_is_named(db: Database) -> None:
    """The same line of the same bill under another key."""
    await a_day(db)
    async with db.transaction() as tx:
        await tx.execute(TAMPERED["a break more"])
        await tx.execute("UPDATE reconciliation_sums SET broken = 2")
        ids = [row["id"] for row in await tx.fetch("SELECT id FROM breaks")]
    assert min(ids) in (await checked(db)).breaches


# The doctor ----------------------------------------------------------------------------------------------------------


async def said(db: Database, days_later: float = 0) -> list[Finding]:
    return await health.examine(db, [a_party(SHOP)], NOW + timedelta(days=days_later))


async def warned(db: Database, days_later: float = 0) -> list[str]:
    return [one.says for one in await said(db, days_later) if one.severity is Severity.WARN]


async def test_nothing_is_wrong_where_nothing_was_sold(db: Database) -> None:
    """One line that says so."""
    (only,) = await said(db)
    assert (Severity.OK, "no day was reconciled yet") == (only.severity, only.says)


async def test_money_without_any_bill_is_warned_of(db: Database) -> None:
    """An account that took money days ago, and never had a bill; with its first reconciled day it is silent."""
    await booked(db, a_party(SHOP), "A-1")
    assert [] == await warned(db)
    (only,) = await warned(db, 4)
    assert "wechat/main took money, and no bill was ever laid beside it" in only
    await brought(db, a_party(SHOP), wechat_bill(MCHID, "A-1"))
    await laid(db, a_party(SHOP))
    assert [Finding("reconcile", Severity.OK, f"nothing is missing; the last day that was reconciled is {DAY}")] == (
        await said(db, 4)
    )


async def test_a_bill_that_never_came_is_warned_of(db: Database) -> None:
    """Once its alarm was given; an upload of that day's bill ends it."""
    party = a_party(SHOP)
    async with db.transaction() as tx:
        await bill_fetches.want(tx, [("wechat", "main", BillKind.TRADES, DAY, NOW)])
        (fetch,) = await bill_fetches.claim(tx, NOW, NOW + timedelta(minutes=1), 1)
        await bill_fetches.put_off(tx, fetch, NOW, "not there", alarmed=True)
    (only,) = await warned(db)
    assert f"wechat/main trades {DAY} never came" in only
    await brought(db, party, wechat_bill(MCHID, "A-1"))
    assert [] == await warned(db)


async def test_a_refused_bill_is_warned_of(db: Database) -> None:
    """Until a sound one of its day is here."""
    party = a_party(SHOP)
    with pytest.raises(FileRefused):
        await brought(db, party, wechat_bill(MCHID, "A-1", stated=2))
    (only,) = await warned(db)
    assert f"wechat/main trades {DAY} was refused whole" in only
    await brought(db, party, wechat_bill(MCHID, "A-1"))
    assert [] == await warned(db)


async def test_repairs_that_wait_too_long_are_warned_of(db: Database) -> None:
    """For a second person for days, and for the worker for an hour."""
    payment, order = a_payment(1), an_order(1)
    broken = await a_break(db, SHOP, payment.id, order.id)
    async with db.transaction() as tx:
        await people.approve(tx, broken.id, shop=SHOP, who="anna", why="seen", rules=Rules(), now=NOW)
    waits = (broken.first_seen_at - NOW) / timedelta(days=1) + 2.1
    (only,) = await warned(db, max(waits, 2.1))
    assert f"{broken.id} waits for people to agree" in only
    async with db.transaction() as tx:
        approved = msgspec.structs.replace(broken, state=State.APPROVED, changed_at=NOW)
        await store.write(tx, [Change(broken, approved, "approved", "both agreed")], "test", NOW)
    assert [] == await warned(db)
    (only,) = await warned(db, 0.1)
    assert f"{broken.id} was approved, and nobody repaired it" in only
