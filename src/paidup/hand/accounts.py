"""How each channel account stands now: its keys, its last callback, its breaker, its budget of questions."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup.channels.channel import Account, KeyInfo
from paidup.channels.registry import CHANNELS
from paidup.hand.desk import Desk
from paidup.hand.golive import LAST_CALLBACK
from paidup.schedule import store as schedule

BUDGETS = "SELECT channel, account, tokens FROM query_budgets"

SILENT = "SELECT subject_id FROM cases WHERE kind = 'silent_channel' AND resolved_at IS NULL"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One account. is_open: the breaker of this process keeps calls back. waiting, overdue: payments with a next
    question. budget: how many questions may be asked at once."""

    account: Account
    keys: Sequence[KeyInfo]
    is_open: bool
    is_silent: bool
    waiting: int
    overdue: int
    budget: int
    last_callback_at: datetime | None

    @property
    def name(self) -> str:
        """As people write it: channel/account."""
        return f"{self.account.channel}/{self.account.name}"


async def standings(desk: Desk, *, shop: str | None = None) -> list[Standing]:
    """All accounts of the shop, by name; shop None: of all shops."""
    own = {k: a for k, a in sorted(desk.accounts.current.by_name.items()) if shop is None or a.shop == shop}
    async with desk.db.session() as tx:
        due = {
            (r["channel"], r["account"]): r for r in await schedule.summary(tx, desk.now()) if r["kind"] == "payment"
        }
        budgets = {(row["channel"], row["account"]): row["tokens"] for row in await tx.fetch(BUDGETS)}
        silent = {row["subject_id"] for row in await tx.fetch(SILENT)}
        last = {key: await tx.fetchval(LAST_CALLBACK, *key) for key in own}
    return [
        Standing(
            account=account,
            keys=CHANNELS[account.channel].keys(account),
            is_open=desk.asker.is_open(account),
            is_silent=f"{key[0]}/{key[1]}" in silent,
            waiting=int(str(due[key]["waiting"])) if key in due else 0,
            overdue=int(str(due[key]["overdue"])) if key in due else 0,
            budget=int(budgets.get(key, desk.settings.query_budget_per_s)),
            last_callback_at=last[key],
        )
        for key, account in own.items()
    ]
