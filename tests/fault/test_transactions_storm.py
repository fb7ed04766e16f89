"""Everything that can go wrong at once, by seed: services that answer badly, late or never, coordinators that die at
any step, payments that race with cancellations. Afterwards everything has ended, each deed counts once, and the
independent comparison finds nothing."""

import contextlib
import random
from functools import partial

import pytest
from mortal import Died, Fate, MortalDatabase

from paidup.errors import Conflict
from paidup.handlers import Handlers
from paidup.participant import Call, Operation
from paidup.testing.builders import closed, paid
from paidup.transactions import person
from paidup.transactions.check import run, together
from paidup.transactions.transaction import Transaction
from paidup.transactions.worker import Coordinator
from participant_side import Mischief, Plan
from transaction_side import PAYMENT, Shop, a_saga, a_step, a_tcc, takes_over

ORDERS = 16
step = partial(a_step, timeout_s=0.15)
"""Many services are silent here; who answers later than this is asked again, which changes nothing."""
TABLES = (
    a_saga(step("coupon"), step("points", parallel=True), step("parcel")),
    a_saga(step("coupon"), PAYMENT, step("parcel"), within_s=600.0),
    a_tcc(step("coupon"), step("points", parallel=True)),
    a_tcc(step("points"), step("coupon"), PAYMENT, within_s=600.0),
    a_saga(step("points", pivot=True), step("coupon"), step("parcel", parallel=True)),
)
COMMON = (Mischief.ERROR, Mischief.BUSY, Mischief.ACT_AND_500, Mischief.ACT_AND_ABORT, Mischief.TWICE)
SLOW = (Mischief.SILENCE, Mischief.ACT_AND_SILENCE, Mischief.LATE, Mischief.ANSWER_TWICE)


def misbehaves(seed: int, name: str) -> Plan:
    """The same request of the same seed fares the same; the fourth try of any is well, so that most end."""

    def plan(call: Call, n: int) -> Mischief:
        dice = random.Random(f"{seed}/{name}/{call.key}/{n}")
        if call.operation in (Operation.ACTION, Operation.TRY) and n == 0 and dice.random() < 0.12:
            return Mischief.REFUSE
        if n > 2 or call.operation is Operation.REPORT or dice.random() > 0.35:
            return Mischief.NONE
        return dice.choice(SLOW if dice.random() < 0.08 else COMMON)

    return plan


async def somebody_dies(shop: Shop, mortal: MortalDatabase, dice: random.Random) -> None:
    """A coordinator of its own takes a few rounds, and may be gone at any step."""
    coordinator = Coordinator(shop.coordinator.requester, Handlers(), spread=lambda: 1.0)
    mortal.fate = Fate(dice.randrange(1, 120))
    try:
        for _ in range(4):
            await shop.round(mortal, coordinator)
    except Died:
        pass
    finally:
        mortal.fate = Fate(0)
        await coordinator.aclose()


async def the_world_goes_on(shop: Shop, begun: list[Transaction], dice: random.Random) -> None:
    """Customers pay, channels close, somebody changes his mind, and what was held back arrives."""
    for number, t in enumerate(begun, start=1):
        what = dice.random()
        if what < 0.25:
            await shop.hears(paid(number))
        elif what < 0.35:
            await shop.close_order(number)
        elif what < 0.45:
            await shop.hears(closed(number))
        elif what < 0.55:
            with contextlib.suppress(Conflict):  # it has ended, or there is only forward
                async with shop.db.transaction() as tx:
                    await person.compensate(tx, t.id, shop=None, who="lin", why="changed", now=shop.clock.now())
    for service in shop.services.values():
        service.deliver_late()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.fault) for seed in range(2, 12))])
async def test_a_storm_ends_with_everything_in_agreement(shop: Shop, seed: int) -> None:
    """Every transaction has ended or has one person; what is left at each service is what its state says."""
    mortal = await MortalDatabase.connect(shop.db.dsn)
    dice = random.Random(seed)
    for name, service in shop.services.items():
        service.plan = misbehaves(seed, name)
    begun = [await shop.begin(dice.choice(TABLES), number) for number in range(1, ORDERS + 1)]
    for _ in range(5):
        await somebody_dies(shop, mortal, dice)
        await the_world_goes_on(shop, begun, dice)
        await takes_over(shop)
    await shop.to_the_end()
    await mortal.close()
    for service in shop.services.values():
        service.deliver_late()
    ended = [await shop.now(t) for t in begun]
    assert [] == [t.state for t in ended if not t.is_final and t.state != "MANUAL"]
    assert sorted(t.id for t in ended if t.state == "MANUAL") == sorted(
        xid for kind, xid in await shop.cases() if kind == "transaction_stuck"
    )
    assert [] == [(t.id, t.state, name, left) for t in ended for name, left in wrong(shop, t)]
    parts = run(shop.db, shop.coordinator.requester, Handlers(), shop=None, since=None, mend=False)
    found = together([part async for part in parts])
    unpaid = [d for d in found.differences if "but its order is paid: refund it" not in d.what]
    assert ([], 0) == (unpaid, found.silent)
    assert len({t.state for t in ended}) > 2  # the storm was one


def wrong(shop: Shop, t: Transaction) -> list[tuple[str, int]]:
    """Services at which something else is left than the transaction's state says. MANUAL says nothing of it."""
    if t.state == "MANUAL":
        return []
    expected = int(t.state in ("DONE", "CONFIRMED"))
    names = [step.participant for step in t.table.step if step.participant]
    return [(name, left) for name in names if (left := shop.services[name].left(t.id)) != expected]
