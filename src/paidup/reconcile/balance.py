"""What lay at the channel at the end of a day: opening + in − out − fees − payouts = closing. Pure.

Where the fund flow bill says what lay there after each line, the day opens with what it says, and not with what the day
before came to: so neither a history that begins in the middle nor a day that is missing makes every later day wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from paidup.channels.bill import LineKind, Totals
from paidup.money import shown
from paidup.reconcile.breaks import Found, Kind
from paidup.reconcile.match import Added
from paidup.reconcile.runs import Balance, Closed, Payout
from paidup.reconcile.states import State

_COMES = frozenset({LineKind.PAYMENT, LineKind.REFUND_FAILED, LineKind.DISPUTE_WON})
_GOES = frozenset({LineKind.REFUND, LineKind.DISPUTE})


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Of which account, day and run."""

    channel: str
    account: str
    shop: str
    day: date
    run_id: str


def balances_of(
    whose: Whose, trades: Iterable[Added], funds: Totals | None, payouts: Iterable[Payout], before: Mapping[str, Closed]
) -> list[Balance]:
    """A day's balances, one per currency. before: the last closing balances; what is not in it begins at zero. payouts:
    what was paid out, for channels that tell it apart. What several bills say left once: the fund flow's word holds,
    else that of the payouts, else that of the trades.

    A currency of which the bill has no line and no earlier day a balance has none: nobody said what lay there.
    """
    moved: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("in", "out", "fees", "payouts", "net"), 0))
    for one in trades:
        if not one.bill_lines and one.currency not in before:
            continue
        _book(moved[one.currency], one.what, one.bill_net_minor, one.bill_fee_minor)
    told = _funds(funds) if funds is not None else {}
    paid_out: Counter[str] = Counter()
    for payout in payouts:
        paid_out[payout.currency] += payout.net_minor
    for currency, paid in {**paid_out, **{currency: paid for currency, (_, paid) in told.items()}}.items():
        moved[currency]["payouts"] = paid
    stated = funds.balances if funds is not None else {}
    opening = {currency: one.best_minor for currency, one in before.items()}
    opening |= {currency: begins for currency, (begins, _) in stated.items()}
    return [
        Balance(
            channel=whose.channel,
            account=whose.account,
            shop=whose.shop,
            day=whose.day,
            currency=currency,
            opening_minor=opening.get(currency, 0),
            in_minor=its["in"],
            out_minor=its["out"],
            fees_minor=its["fees"],
            payouts_minor=its["payouts"],
            closing_minor=opening.get(currency, 0) + its["in"] - its["out"] - its["fees"] - its["payouts"],
            trades_minor=its["net"],
            funds_minor=told[currency][0] if currency in told else None,
            run_id=whose.run_id,
            stated_opening_minor=stated[currency][0] if currency in stated else None,
            stated_closing_minor=stated[currency][1] if currency in stated else None,
        )
        for currency, its in sorted(moved.items())
    ]


def _book(its: dict[str, int], what: str, net_minor: int, fee_minor: int) -> None:
    gross = net_minor + fee_minor  # what moved before the channel took its fee: less than the amount under a coupon
    if what == LineKind.PAYOUT:
        its["payouts"] -= net_minor
        return
    comes = what in _COMES or (what not in _GOES and gross >= 0)
    its["in" if comes else "out"] += gross if comes else -gross
    its["fees"] += fee_minor
    its["net"] += net_minor


def _funds(funds: Totals) -> dict[str, tuple[int, int]]:
    """(what the fund flow moved apart from payouts, what was paid out), by currency."""
    moved: dict[str, int] = defaultdict(int)
    payouts: dict[str, int] = defaultdict(int)
    for (kind, currency), sums in funds.sums.items():
        (payouts if kind is LineKind.PAYOUT else moved)[currency] += sums.net_minor
    return {currency: (moved[currency], -payouts[currency]) for currency in {*moved, *payouts}}


def balance_breaks(balances: Iterable[Balance], before: Mapping[str, Closed]) -> list[Found]:
    """Days whose fund flow is not what the trades add up to, or that open with another balance than the day before
    closed with. before: only of days after which none is missing."""
    return [*_moved_otherwise(balances), *opened_otherwise(balances, before)]


def opened_otherwise(balances: Iterable[Balance], before: Mapping[str, Closed]) -> list[Found]:
    """Days that the channel opens with another balance than the day before closed with, by currency. What was added up
    from zero on says nothing of what lay there before us."""
    return [
        Found(
            key=f"opening:{one.currency}",
            kind=Kind.BALANCE,
            what="opening",
            state=State.OPEN,
            currency=one.currency,
            bill_minor=one.stated_opening_minor,
            ours_minor=closed.best_minor,
            why=f"the day opens with {shown(one.stated_opening_minor, one.currency)}, and {closed.day} closed with "
            f"{shown(closed.best_minor, one.currency)}",
        )
        for one in balances
        if one.stated_opening_minor is not None
        and (closed := before.get(one.currency)) is not None
        and closed.is_grounded
        and closed.best_minor != one.stated_opening_minor
    ]


def _moved_otherwise(balances: Iterable[Balance]) -> list[Found]:
    return [
        Found(
            key=f"balance:{one.currency}",
            kind=Kind.BALANCE,
            what="balance",
            state=State.OPEN,
            currency=one.currency,
            bill_minor=one.funds_minor,
            ours_minor=one.trades_minor,
            why=f"the fund flow moved {shown(one.funds_minor, one.currency)}, the trades "
            f"{shown(one.trades_minor, one.currency)}",
        )
        for one in balances
        if one.funds_minor is not None and one.funds_minor != one.trades_minor
    ]
