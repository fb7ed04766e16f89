"""Which breaks of a day a repair takes up now, and about which of them people must agree first: today's limits."""

from collections.abc import Sequence
from datetime import date, datetime

from paidup.db.transaction import Tx
from paidup.reconcile import break_repairs, store
from paidup.reconcile.breaks import Break
from paidup.reconcile.party import Party
from paidup.reconcile.propose import ASKED, MAX_TRIES, Budget, Proposal, as_given_back, testimony
from paidup.reconcile.states import UNSETTLED

BATCH = 200
"""So many questions one round asks about a day; those about which people must agree first take up none of them."""
MAX_PAGES = 50


async def proposals(
    tx: Tx, party: Party, day: date, now: datetime, *, only: frozenset[str] | None = None, is_early: bool = False
) -> list[Proposal]:
    """What a repair of a day would do now, within the limits of today; of these breaks, or of all that are due."""
    account, proposed = party.account, list[Proposal]()
    budget, most = await budget_of(tx, party, now), BATCH if only is None else len(only)
    for _ in range(MAX_PAGES):
        found = await store.repairable(
            tx, account.channel, account.name, day, [kind.value for kind in ASKED], max_tries=MAX_TRIES, only=only,
            without=[one.broken.id for one in proposed], due_at=None if is_early else now, limit=BATCH,
        )  # fmt: skip
        proposed += await _proposed(tx, found, budget, now)
        if len(found) < BATCH or sum(not one.needs for one in proposed) >= most:
            break
    return proposed


async def planned(tx: Tx, party: Party, broken: Sequence[Break], now: datetime) -> list[Proposal]:
    """What a repair would do about breaks that are perhaps not written yet: for those who only want to look."""
    return await _proposed(tx, broken, await budget_of(tx, party, now), now)


async def budget_of(tx: Tx, party: Party, now: datetime) -> Budget:
    """What may still be repaired today without anybody's approval."""
    account = party.account
    return Budget(party.rules, await break_repairs.so_far(tx, account.channel, account.name, now.date()))


async def _proposed(tx: Tx, broken: Sequence[Break], budget: Budget, now: datetime) -> list[Proposal]:
    back = await store.given_back(tx, [one.payment_id for one in broken if one.payment_id is not None])
    return [
        Proposal(broken=one, evidence=evidence, needs=budget.refuses(one) if evidence is not None else "")
        for one in broken
        if one.payment_id is not None and one.kind in ASKED and one.state in UNSETTLED
        for back_minor in [back.get((one.payment_id, one.currency), 0)]
        for evidence in [as_given_back(one, testimony(one, now), back_minor)]
    ]
