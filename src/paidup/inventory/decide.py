"""Who gets units, and what follows for the counters. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from paidup.inventory.sku import Item, Movement, Place, Reservation, Shelf, Sku
from paidup.inventory.states import EFFECTS, TABLE, Happening, Kind, Move


class Short(msgspec.Struct, frozen=True):
    """Why an order gets nothing: of this article `wanted` units are wanted and `left` are left (None: no such one)."""

    sku: str
    wanted: int
    left: int | None


class Alarm(StrEnum):
    """What a shop wants to hear about an article."""

    LOW = "low"
    SOLD_OUT = "sold_out"
    AVAILABLE = "available"


class Decision(msgspec.Struct, frozen=True):
    """The reservation as it is afterwards and its movements; `short` when it should take units that are gone."""

    reservation: Reservation
    move: Move
    movements: tuple[Movement, ...] = ()
    short: Short | None = None


def whole(items: Iterable[Item]) -> tuple[Item, ...]:
    """The same units with each article named once, in the order in which rows are locked."""
    quantities: dict[str, int] = {}
    for item in items:
        quantities[item.sku] = quantities.get(item.sku, 0) + item.quantity
    return tuple(Item(sku, quantity) for sku, quantity in sorted(quantities.items()))


def allocate(wanted: Sequence[tuple[str, tuple[Item, ...]]], shelf: Shelf) -> list[Short | None]:
    """Give units to (shop, items) in the order in which they came: to each all of its items, or none.

    Whoever cannot be served takes nothing, so that a large request never keeps a smaller one behind it from its units.
    """
    left: dict[Place, int | None] = {place: sku.left for place, sku in shelf.items()}
    answers: list[Short | None] = []
    for shop, items in wanted:
        short = _short(shop, items, left)
        answers.append(short)
        for item in items if short is None else ():
            rest = left[shop, item.sku]
            if rest is not None:
                left[shop, item.sku] = rest - item.quantity
    return answers


def alone(wanted: Sequence[tuple[str, tuple[Item, ...]]], shelf: Shelf) -> list[Short | None]:
    """What would be missing for each of (shop, items) if nobody else wanted anything."""
    left = {place: sku.left for place, sku in shelf.items()}
    return [_short(shop, items, left) for shop, items in wanted]


def short_of(reservation: Reservation, shelf: Shelf) -> Short | None:
    """What is missing to take the units of this reservation once more; None: nothing."""
    return allocate([(reservation.shop, reservation.items)], shelf)[0]


def _short(shop: str, items: Sequence[Item], left: Mapping[Place, int | None]) -> Short | None:
    for item in items:
        if (shop, item.sku) not in left:
            return Short(item.sku, item.quantity, None)
        rest = left[shop, item.sku]
        if rest is not None and rest < item.quantity:
            return Short(item.sku, item.quantity, max(rest, 0))
    return None


def happen(reservation: Reservation, happening: Happening, shelf: Shelf, now: datetime) -> Decision:
    """Look the happening up in the table. shelf: needed only where units are taken once more."""
    if happening is Happening.REFUNDED and not reservation.restock_refunded:
        happening = Happening.REFUNDED_KEPT
    move = TABLE[reservation.state, happening]
    short = short_of(reservation, shelf) if Kind.RESERVE in move.movements else None
    if short is not None:
        stays = Move(reservation.state, f"its units are gone: of {short.sku} {short.left or 0} are left")
        return Decision(reservation, stays, short=short)
    if move.to is reservation.state:
        return Decision(reservation, move)
    after = msgspec.structs.replace(reservation, state=move.to, updated_at=now)
    return Decision(after, move, tuple(m for kind in move.movements for m in movements(after, kind, now)))


def movements(reservation: Reservation, kind: Kind, now: datetime) -> list[Movement]:
    """One movement of each of its items."""
    return [
        Movement(
            at=now,
            shop=reservation.shop,
            sku=item.sku,
            kind=kind,
            quantity=item.quantity,
            order_id=reservation.order_id,
        )
        for item in reservation.items
    ]


def moved(shelf: Shelf, some: Iterable[Movement], now: datetime) -> dict[Place, Sku]:
    """The shelf after these movements."""
    sums: dict[Place, list[int]] = {}
    for movement in some:
        totals = sums.setdefault((movement.shop, movement.sku), [0, 0, 0])
        for n, sign in enumerate(EFFECTS[movement.kind]):
            totals[n] += sign * movement.quantity
    after = dict(shelf)
    for place, (available, reserved, sold) in sums.items():
        sku = shelf[place]
        after[place] = msgspec.structs.replace(
            sku,
            available=sku.available + available,
            reserved=sku.reserved + reserved,
            sold=sku.sold + sold,
            updated_at=max(now, sku.updated_at),
        )
    return after


def watch(before: Sku, after: Sku) -> tuple[Sku, tuple[Alarm, ...]]:
    """What the shop is told of a change, and the article with what it was told.

    Low is told once, until units are put in: those that come and go with orders make no noise. It is told again at
    once when what was put in leaves as few.
    """
    had, has = before.left, after.left
    if had is None or has is None:
        return after, ()
    alarms = []
    mark, is_filled = after.low_at, _was_filled(before, after)
    if mark is None or has > mark:
        after = msgspec.structs.replace(after, is_low=False) if is_filled else after
    elif is_filled or (not after.is_low and has < had):
        after = msgspec.structs.replace(after, is_low=True)
        alarms.append(Alarm.LOW)
    if had > 0 >= has:
        alarms.append(Alarm.SOLD_OUT)
    if had <= 0 < has:
        alarms.append(Alarm.AVAILABLE)
    return after, tuple(alarms)


def _was_filled(before: Sku, after: Sku) -> bool:
    """Whether units were put in, which orders never do."""
    return _units(after) + after.preorder_limit > _units(before) + before.preorder_limit


def _units(sku: Sku) -> int:
    return sku.available + sku.reserved + sku.sold
