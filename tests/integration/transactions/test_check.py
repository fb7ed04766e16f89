"""The comparison: nothing differs after honest work; whatever is planted is found, and mended or queued."""

import pytest

from paidup.handlers import Handlers
from paidup.participant import Call, Operation
from paidup.testing.builders import order_id, paid
from paidup.transactions import person
from paidup.transactions.check import Checked, run, together
from paidup.transactions.compare import Seen, StepSeen, inside
from paidup.transactions.transaction import Transaction
from participant_side import Mischief
from transaction_side import PAYMENT, Shop, a_saga, a_step, a_tcc


async def checked(shop: Shop, *, mend: bool = True) -> Checked:
    requester = shop.coordinator.requester
    return together([part async for part in run(shop.db, requester, Handlers(), shop=None, since=None, mend=mend)])


async def two_transactions(shop: Shop) -> tuple[Transaction, Transaction]:
    """One that is done, and one that was undone."""

    def plan(call: Call, _n: int) -> Mischief:
        return Mischief.REFUSE if call.order_id == order_id(2) and call.operation is Operation.ACTION else Mischief.NONE

    shop.services["points"].plan = plan
    done, undone = await shop.begin(a_saga(), 1), await shop.begin(a_saga(), 2)
    await shop.to_the_end()
    assert ["DONE", "COMPENSATED"] == [(await shop.now(t)).state for t in (done, undone)]
    return done, undone


async def sql(shop: Shop, query: str, *args: object) -> None:
    async with shop.db.transaction() as tx:
        await tx.execute(query, *args)


async def test_after_honest_work_nothing_differs(shop: Shop) -> None:
    """Sagas done and undone, a TCC, one that waits: each participant is asked for each step that has ended."""
    await two_transactions(shop)
    await shop.begin(a_tcc(a_step("coupon"), a_step("parcel", parallel=True)), 3)
    await shop.begin(a_saga(a_step("coupon"), PAYMENT), 4)
    await shop.rest()
    found = await checked(shop)
    assert (4, 6, 0, ()) == (found.transactions, found.asked, found.silent, found.differences)


async def test_a_participant_that_lost_its_deed_does_it_again(shop: Shop) -> None:
    """Its database was set back to before: the same request under the same key mends it."""
    done, _ = await two_transactions(shop)
    shop.services["points"].db.execute("DELETE FROM deeds")
    shop.services["points"].db.execute("DELETE FROM paidup_barrier")
    looked, mended, again = [await checked(shop, mend=mend) for mend in (False, True, True)]
    assert [1, 0, 0] == [found.open for found in (looked, mended, again)]
    assert [("points", True)] == [(d.step, d.mended) for d in mended.differences]
    assert (1, [], ()) == (shop.services["points"].left(done.id), await shop.cases(), again.differences)


async def test_a_participant_that_lost_its_undoing_undoes_it_again(shop: Shop) -> None:
    """Set back to between its deed and its undoing."""
    _, undone = await two_transactions(shop)
    coupon = shop.services["coupon"]
    coupon.db.execute("DELETE FROM deeds WHERE operation = 'compensate'")
    coupon.db.execute("DELETE FROM paidup_barrier WHERE slot = 'back'")
    assert 1 == coupon.left(undone.id)
    found = await checked(shop)
    assert ([("coupon", True)], 0) == ([(d.step, d.mended) for d in found.differences], coupon.left(undone.id))


@pytest.mark.parametrize(("days", "deeds", "silent"), [(28, 2, 0), (30, 1, 2)])
async def test_what_participants_need_not_remember_is_not_done_a_second_time(
    shop: Shop, days: int, deeds: int, silent: int
) -> None:
    """Rows of the barrier are kept for 30 days. Whoever has none by then may have forgotten what he did: he is
    not asked to do it again, counts as silent, and calls nobody. Sooner, he lost his deed together with the row."""
    t = await shop.begin(a_saga())
    await shop.to_the_end()
    await shop.clock.advance(days * 86400)
    for service in shop.services.values():
        service.db.execute("DELETE FROM paidup_barrier")
    found = await checked(shop)
    assert (deeds, silent, 0, []) == (
        shop.left(t)["points"], found.silent, found.open, await shop.cases()
    )  # fmt: skip


async def test_what_is_remembered_for_longer_is_compared_and_left_to_a_person(shop: Shop) -> None:
    """Months later a coupon was given back behind our back: a person is called, and nothing is asked again."""
    t = await shop.begin(a_saga())
    await shop.to_the_end()
    await shop.clock.advance(120 * 86400)
    shop.services["coupon"].db.execute("UPDATE paidup_barrier SET slot = 'back'")
    found = await checked(shop)
    assert ([("coupon", False)], 1, [("transaction_differs", t.id)]) == (
        [(d.step, d.mended) for d in found.differences], shop.left(t)["coupon"], await shop.cases()
    )  # fmt: skip


async def test_what_cannot_be_mended_becomes_one_case(shop: Shop) -> None:
    """A participant that will not do it again: a person is called once, however often it is looked at."""
    done, _ = await two_transactions(shop)
    shop.services["points"].db.execute("DELETE FROM paidup_barrier")
    shop.services["points"].plan = lambda call, _n: (
        Mischief.NONE if call.operation is Operation.REPORT else Mischief.REFUSE
    )
    found = [await checked(shop) for _ in range(2)]
    assert [1, 1] == [one.open for one in found]
    assert [("transaction_differs", done.id)] == await shop.cases()


async def test_a_handler_that_raises_on_a_case_keeps_no_other_from_being_looked_at(shop: Shop) -> None:
    """The shop's own handler of case.opened is broken: the cases are opened without it, and all is compared."""
    begun = [await shop.begin(a_saga(), number) for number in (1, 2)]
    await shop.to_the_end()
    await sql(shop, "UPDATE transaction_steps SET state = 'acting' WHERE name = 'coupon'")
    handlers = Handlers()

    @handlers.on("case.opened")
    async def fails(_tx: object, _event: object) -> None:
        raise ValueError("the shop's own table is full")

    parts = run(shop.db, shop.coordinator.requester, handlers, shop=None, since=None, mend=True)
    found = together([part async for part in parts])
    assert (2, {("transaction_differs", t.id) for t in begun}) == (found.open, set(await shop.cases()))


async def test_an_order_that_was_paid_after_everything_was_undone_is_found(shop: Shop) -> None:
    """The shop welcomes late money: whoever paid must get what he paid for, or his money back."""
    shop.services["points"].plan = lambda _call, _n: Mischief.REFUSE
    t = await shop.begin(a_saga(a_step("coupon"), a_step("points"), PAYMENT))
    await shop.rest()
    await sql(shop, "UPDATE orders SET state = 'closed'")
    await shop.to_the_end()
    assert "COMPENSATED" == (await shop.now(t)).state
    assert () == (await checked(shop)).differences
    await shop.hears(paid())
    found = await checked(shop)
    assert ["it is COMPENSATED, but its order is paid: refund it, or give the customer what he paid for"] == [
        d.what for d in found.differences
    ]
    assert [("transaction_differs", t.id)] == await shop.cases()


async def test_planted_differences_within_our_own_books_are_found(shop: Shop) -> None:
    """A state edited by hand, a case that was closed behind the back, a transaction that nobody works on."""
    done, undone = await two_transactions(shop)
    await sql(shop, "UPDATE transaction_steps SET state = 'acting' WHERE xid = $1 AND name = 'coupon'", done.id)
    await sql(shop, "UPDATE transactions SET state = 'MANUAL', ended_at = NULL WHERE id = $1", undone.id)
    forgotten = await shop.begin(a_saga(), 3)
    await shop.clock.advance(7 * 86400)
    found = {d.xid: d.what for d in (await checked(shop, mend=False)).differences if not d.step}
    assert {done.id, undone.id, forgotten.id} == set(found)
    words = ((done, "coupon is acting"), (undone, "0 open cases"), (forgotten, "should have ended"))
    assert [] == [found[t.id] for t, said in words if said not in found[t.id]]


async def test_what_a_person_lets_go_on_has_its_time_anew(shop: Shop) -> None:
    """Days after it began, somebody undoes what was stuck: it is not overdue, and says when it ends instead."""
    shop.services["parcel"].plan = lambda _call, _n: Mischief.ERROR
    t = await shop.begin(a_saga(a_step("coupon", pivot=True), a_step("parcel", tries=1)))
    await shop.to_the_end()
    await shop.clock.advance(7 * 86400)
    async with shop.db.transaction() as tx:
        after = await person.retry(tx, t.id, shop=None, who="lin", why="they are well", now=shop.clock.now())
    seen = await shop.now(t)
    assert ("RUNNING", True) == (seen.state, seen.ends_by > shop.clock.now())
    assert (after.ends_by, ()) == (seen.ends_by, (await checked(shop, mend=False)).differences)
    await shop.clock.advance(2 * 86400)
    assert ["should have ended" in d.what for d in (await checked(shop, mend=False)).differences] == [True]


async def test_a_transaction_that_lost_a_row_hinders_no_other_and_is_found(shop: Shop) -> None:
    """Nobody can go on with it; its neighbour ends, and the comparison calls a person."""
    broken, whole = await shop.begin(a_saga(), 1), await shop.begin(a_saga(), 2)
    await sql(shop, "DELETE FROM transaction_steps WHERE xid = $1 AND name = 'points'", broken.id)
    await shop.rest()
    assert "DONE" == (await shop.now(whole)).state
    found = await checked(shop)
    assert [(broken.id, True)] == [(d.xid, "steps points are gone" in d.what) for d in found.differences]
    assert [("transaction_differs", broken.id)] == await shop.cases()


def test_the_stock_of_an_order_agrees_with_its_transaction() -> None:
    """Paid: its units are sold, none is held. Closed and undone: none is either."""
    step = StepSeen(name="coupon", state="done", is_asked=True, is_check=False)
    done = Seen(
        xid="t", shop="s", order_id="o", order_state="paid", state="DONE", waits_for_payment=True, steps=(step,),
        open_cases=0, is_overdue=False, has_stock=True, sold_units=2,
    )  # fmt: skip
    held = Seen(**{**as_dict(done), "sold_units": 0, "held_units": 2})
    undone_step = StepSeen(name="coupon", state="undone", is_asked=True, is_check=False)
    undone = Seen(**{**as_dict(done), "state": "COMPENSATED", "order_state": "closed", "steps": (undone_step,)})
    free = Seen(**{**as_dict(undone), "sold_units": 0})
    assert [[], [], 1, 1] == [
        list(inside(done)), list(inside(free)), len(list(inside(held))), len(list(inside(undone)))
    ]  # fmt: skip


def as_dict(seen: Seen) -> dict[str, object]:
    return {name: getattr(seen, name) for name in seen.__struct_fields__}
