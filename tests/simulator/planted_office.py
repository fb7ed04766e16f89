"""Defects of what takes two people; planted by planted.py like all others."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from paidup import ids
from paidup.hand import refund
from paidup.hand.desk import Desk
from paidup.money import Money
from paidup.people import approvals
from paidup.reconcile.propose import Budget
from paidup.simulator.run import START

Patch = pytest.MonkeyPatch


def a_limit_in_another_unit(patch: Patch) -> None:
    """What one person may do alone is looked up in major units, and compared as if it were in them."""

    def needs_second(self: Desk, money: Money) -> bool:
        return money.amount_minor // 100 > dict(self.settings.second_person_above).get(money.currency, -1)

    patch.setattr(Desk, "needs_second", needs_second)


def carried_out_each_time(patch: Patch) -> None:
    """A request is read without its lock and decided whatever its state is; each deed gets a number of its own."""
    honest, give_back = approvals.decide, refund.give_back

    async def decide(tx: Any, asked: Any, state: str, who: str, note: str, now: datetime) -> Any:
        return await honest(tx, msgspec.structs.replace(asked, state="waiting"), state, who, note, now)

    async def again(tx: Any, desk: Any, actor: Any, wanted: Any, *, key: str) -> Any:
        return await give_back(tx, desk, actor, wanted, key=f"{key}/{ids.new_id('apv', START)}")

    patch.setattr(approvals, "LOCK", approvals.LOCK.replace(" FOR UPDATE", ""))
    patch.setattr(approvals, "DECIDE", approvals.DECIDE.replace(" AND state = 'waiting'", ""))
    patch.setattr(approvals, "decide", decide)
    patch.setattr(refund, "give_back", again)


def repaired_without_asking(patch: Patch) -> None:
    """How much was repaired today is not looked at."""
    patch.setattr(Budget, "refuses", lambda _self, _one: "")
