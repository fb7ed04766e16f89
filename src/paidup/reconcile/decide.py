"""What a run means for the breaks that are known already. Pure: deciding twice on the same findings changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

import msgspec

from paidup.reconcile.breaks import NEXT_STEP, Break, Found, Kind
from paidup.reconcile.known import Apart
from paidup.reconcile.states import TABLE, UNSETTLED, Happening, State


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """The run that found it, and whose bill it read."""

    run_id: str
    shop: str
    channel: str
    account: str
    day: date
    now: datetime


class Change(msgspec.Struct, frozen=True):
    """A break before (None: new) and after, and what happened to it, word for word for people."""

    before: Break | None
    after: Break
    step: str
    why: str


def decide(stored: Mapping[str, Break], found: Sequence[Found], whose: Whose, new_id: "Iterable[str]") -> list[Change]:
    """Compare what a run found with what is known of the same day, both by key. Unchanged breaks are left out."""
    fresh = iter(new_id)
    changes = [change for one in found if (change := _found(stored.get(one.key), one, whose, fresh)) is not None]
    gone = stored.keys() - {one.key for one in found}
    for key in sorted(gone):
        moved = happen(stored[key], Happening.GONE, whose.now)
        if moved is not None:
            changes.append(moved)
    return changes


def _found(known: Break | None, one: Found, whose: Whose, fresh: "Iterable[str]") -> Change | None:
    if known is None:
        return Change(None, _fresh(one, whose, next(iter(fresh))), "found", one.why)
    is_elsewhere = known.cleared_by is not None and (known.line is None) is (one.line is None)
    if is_elsewhere and one.kind in (Kind.WRONG_DAY, Kind.SHORT):
        return clear(known, date.fromisoformat(str(known.cleared_by)), whose.now)  # it still is, which is no news
    same = known.money == one.money and (known.kind is one.kind or known.kind is Kind.SHORT)
    if same and known.state is not State.HEALED:
        return None
    move = TABLE[known.state, Happening.FOUND if same else Happening.CHANGED]
    state = one.state if move.to in (State.OPEN, State.WAITING) else move.to
    after = msgspec.structs.replace(
        _fresh(one, whose, known.id),
        state=state,
        version=known.version + 1,
        first_seen_at=known.first_seen_at,
        cleared_by=known.cleared_by if is_elsewhere and one.kind in (Kind.AMOUNT, Kind.CURRENCY) else None,
    )
    return Change(known, after, "changed", f"{move.why}: {one.why}")


def happen(known: Break, happening: Happening, now: datetime, detail: str = "") -> Change | None:
    """Look the happening up in the table; None when it changes nothing."""
    move = TABLE[known.state, happening]
    if move.to is known.state:
        return None
    why = f"{move.why} ({detail})" if detail else move.why
    after = msgspec.structs.replace(known, state=move.to, changed_at=now)
    if move.to not in UNSETTLED:
        after = msgspec.structs.replace(after, wait_until=None)
    return Change(known, after, move.to.value, why)


def clear(known: Break, by: date, now: datetime) -> Change | None:
    """Another day's bill brought the other side: it was on the wrong day, and no more."""
    moved = happen(known, Happening.CLEARED, now, f"the bill of {by}")
    if moved is None:
        return None
    after = msgspec.structs.replace(
        moved.after, cleared_by=by.isoformat(), kind=Kind.WRONG_DAY, next_step=NEXT_STEP[Kind.WRONG_DAY]
    )
    return Change(known, after, "cleared", moved.why)


def part(known: Break, apart: Apart, by: date, now: datetime) -> Change:
    """Another day has the other side, over other money: no further bill will bring what lies between them."""
    after = msgspec.structs.replace(
        known, state=State.OPEN, kind=apart.kind, ours_minor=apart.ours_minor,
        differs_minor=(known.bill_minor or 0) - apart.ours_minor, why=apart.why, next_step=NEXT_STEP[apart.kind],
        cleared_by=by.isoformat(), wait_until=None, changed_at=now, version=known.version + 1,
    )  # fmt: skip
    return Change(known, after, "changed", f"{TABLE[known.state, Happening.CHANGED].why}: {apart.why}")


def uncleared(known: Break, by: date, now: datetime) -> Change:
    """A corrected bill no longer has the other side: nothing is waited for any more, and it is people's at once unless
    the channel or the day's own bill knows better."""
    is_ours = known.line is None
    kind, ours_minor = (Kind.SHORT, known.ours_minor) if is_ours else (Kind.WRONG_DAY, 0)
    after = msgspec.structs.replace(
        known, state=State.WAITING, wait_until=now, kind=kind, next_step=NEXT_STEP[kind], cleared_by=None,
        ours_minor=ours_minor, differs_minor=(known.bill_minor or 0) - (ours_minor or 0), changed_at=now,
        version=known.version + 1,
    )  # fmt: skip
    return Change(known, after, "reopened", f"the corrected bill of {by} no longer has the other side")


def overdue(known: Break, now: datetime) -> Change | None:
    """It waited as long as the rules say: what has not come by now is missing."""
    moved = happen(known, Happening.OVERDUE, now)
    if moved is None:
        return None
    kind = Kind.SHORT if known.kind is Kind.WRONG_DAY and known.line is None else known.kind
    after = msgspec.structs.replace(moved.after, kind=kind, next_step=NEXT_STEP[kind])
    return Change(known, after, "overdue", moved.why)


def _fresh(one: Found, whose: Whose, break_id: str) -> Break:
    ours, line = one.ours, one.line
    return Break(
        id=break_id,
        shop=ours.shop if ours else whose.shop,
        channel=whose.channel,
        account=whose.account,
        day=whose.day,
        key=one.key,
        kind=one.kind,
        what=one.what,
        state=one.state,
        version=1,
        currency=one.currency,
        bill_minor=one.bill_minor,
        ours_minor=one.ours_minor,
        differs_minor=one.differs_minor,
        line=line,
        ours=ours,
        suggestion=one.suggestion,
        payment_id=ours.payment_id if ours else None,
        refund_id=ours.refund_id if ours else None,
        order_id=ours.order_id if ours else None,
        channel_txn_id=(line.channel_txn_id if line else None) or (ours.channel_txn_id if ours else None),
        number=_number(one),
        why=one.why,
        next_step=NEXT_STEP[one.kind],
        run_id=whose.run_id,
        first_seen_at=whose.now,
        changed_at=whose.now,
        wait_until=one.wait_until,
        tries=0,
        cleared_by=None,
    )


def _number(one: Found) -> str | None:
    """The number under which the merchant named it."""
    if one.line is not None:
        return one.line.merchant_refund_ref or one.line.merchant_ref
    return (one.ours.merchant_refund_ref or one.ours.merchant_ref) if one.ours else None
