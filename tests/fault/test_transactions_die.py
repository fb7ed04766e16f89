"""A coordinator dies at each of its uses of the database, before and after every request; another takes over, and
everything ends as it would have, with every deed done once."""

from collections.abc import AsyncIterator

import pytest
from mortal import Died, Fate, MortalDatabase

from paidup.db.transaction import Database
from paidup.handlers import Handlers
from paidup.participant import Call, Operation
from paidup.testing.builders import paid
from paidup.transactions.table import Table
from paidup.transactions.worker import Coordinator
from participant_side import Mischief
from transaction_side import PAYMENT, Shop, a_saga, a_step, a_tcc, takes_over

MOST_STEPS = 400


@pytest.fixture
async def mortal(db: Database) -> AsyncIterator[MortalDatabase]:
    """The test's database in the hands of a process that dies; `db` is in the hands of one that does not."""
    database = await MortalDatabase.connect(db.dsn)
    yield database
    await database.close()


async def one_life(shop: Shop, mortal: MortalDatabase, at: int) -> bool:
    """A coordinator of its own works until nothing is due, or dies at this step; whether it died."""
    coordinator = Coordinator(shop.coordinator.requester, Handlers(), spread=lambda: 1.0)
    mortal.fate = Fate(at)
    try:
        while await shop.round(mortal, coordinator) or coordinator.busy:
            pass
    except Died:
        return True
    finally:
        mortal.fate = Fate(0)
        await coordinator.aclose()
    return False


async def dies_everywhere(shop: Shop, mortal: MortalDatabase, table: Table) -> list[str]:
    """One transaction for each step at which its coordinator may die; gives their ids once all have ended."""
    xids = []
    for at in range(1, MOST_STEPS):
        t = await shop.begin(table, at)
        await shop.hears(paid(at))
        xids.append(t.id)
        if not await one_life(shop, mortal, at):
            break
        await takes_over(shop)
        await shop.to_the_end()
    else:
        raise AssertionError(f"not through after {MOST_STEPS} steps")
    await shop.to_the_end()
    return xids


async def ends(shop: Shop, xids: list[str]) -> dict[tuple[str, int, int], int]:
    """How many ended how: state, what is left of the coupon, what is left of the points."""
    counted: dict[tuple[str, int, int], int] = {}
    async with shop.db.session() as tx:
        rows = {row["id"]: row["state"] for row in await tx.fetch("SELECT id, state FROM transactions")}
    for xid in xids:
        end = rows[xid], shop.services["coupon"].left(xid), shop.services["points"].left(xid)
        counted[end] = counted.get(end, 0) + 1
    return counted


async def test_a_saga_whose_coordinator_dies_at_each_step_is_done(shop: Shop, mortal: MortalDatabase) -> None:
    """Through a payment to the end: two deeds each, and one event."""
    xids = await dies_everywhere(shop, mortal, a_saga(a_step("coupon"), PAYMENT, a_step("points")))
    assert ({("DONE", 1, 1): len(xids)}, True) == (await ends(shop, xids), len(xids) > 30)
    for number in range(1, len(xids) + 1):
        assert 1 == (await shop.told(number)).count("transaction.done")


async def test_a_saga_whose_coordinator_dies_at_each_step_is_undone(shop: Shop, mortal: MortalDatabase) -> None:
    """The last step refuses: whatever was done is undone once, and nobody was called."""
    shop.services["parcel"].plan = lambda _call, _n: Mischief.REFUSE
    steps = (a_step("coupon"), a_step("points", parallel=True), a_step("parcel"))
    xids = await dies_everywhere(shop, mortal, a_saga(*steps))
    assert ({("COMPENSATED", 0, 0): len(xids)}, []) == (await ends(shop, xids), await shop.cases())
    assert len(xids) > 40


async def test_a_tcc_whose_coordinator_dies_at_each_step_is_confirmed(shop: Shop, mortal: MortalDatabase) -> None:
    """Every try is confirmed once."""
    xids = await dies_everywhere(shop, mortal, a_tcc(a_step("coupon"), a_step("points", parallel=True), PAYMENT))
    assert {("CONFIRMED", 1, 1): len(xids)} == await ends(shop, xids)
    deeds = {tuple(shop.services[name].deeds(xid)) for name in ("coupon", "points") for xid in xids}
    assert ({("try", "confirm")}, True) == (deeds, len(xids) > 40)


async def test_a_tcc_whose_coordinator_dies_while_a_service_answers_badly_is_cancelled(
    shop: Shop, mortal: MortalDatabase
) -> None:
    """Tries that act and do not say so, a refusal, cancellations that fail at first: all is given back."""

    def plan(call: Call, n: int) -> Mischief:
        return Mischief.ACT_AND_500 if n == 0 and call.operation is not Operation.CANCEL else Mischief.NONE

    shop.services["coupon"].plan = plan
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    xids = await dies_everywhere(shop, mortal, a_tcc(a_step("coupon"), a_step("points")))
    assert ({("CANCELLED", 0, 0): len(xids)}, []) == (await ends(shop, xids), await shop.cases())
