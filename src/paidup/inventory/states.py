"""The life of a reservation as one total table, and what each kind of movement does to the counters of an article."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where the units of an order stand."""

    HELD = "held"  # set aside: somebody may still pay
    SOLD = "sold"  # the order is paid: they are the customer's
    RELEASED = "released"  # nobody can pay any more: they are on sale again
    RETURNED = "returned"  # the order was refunded, and they are on sale again


class Happening(StrEnum):
    """What happens to the order."""

    PAID = "paid"  # its money is ours, perhaps again
    CLOSED = "closed"  # the channel confirmed that nobody can pay it any more
    REFUNDED = "refunded"  # all of the money went back, and the shop sells such units again
    REFUNDED_KEPT = "refunded_kept"  # all of the money went back, and the shop keeps such units back


class Kind(StrEnum):
    """Why units move."""

    RESERVE = "reserve"  # set aside for an order
    CONFIRM = "confirm"  # the order was paid
    RELEASE = "release"  # the order was closed
    RETURN = "return"  # the order was refunded
    RESTOCK = "restock"  # new units came
    ADJUST = "adjust"  # somebody counted, and it was not so many


EFFECTS: dict[Kind, tuple[int, int, int]] = {
    Kind.RESERVE: (-1, 1, 0),
    Kind.CONFIRM: (0, -1, 1),
    Kind.RELEASE: (1, -1, 0),
    Kind.RETURN: (1, 0, -1),
    Kind.RESTOCK: (1, 0, 0),
    Kind.ADJUST: (1, 0, 0),
}
"""What one unit of a movement adds to available, reserved and sold. Orders only move units: their sums are nought."""


class Move(msgspec.Struct, frozen=True):
    """The next state, the movements that lead there, and the sentence for people."""

    to: State
    why: str
    movements: tuple[Kind, ...] = ()


S, H, K = State, Happening, Kind
_AGAIN = (K.RESERVE, K.CONFIRM)

TABLE: dict[tuple[State, Happening], Move] = {
    (S.HELD, H.PAID): Move(S.SOLD, "its units are sold", (K.CONFIRM,)),
    (S.SOLD, H.PAID): Move(S.SOLD, "its units are already sold"),
    (S.RELEASED, H.PAID): Move(S.SOLD, "its units were on sale again; they are taken back and sold", _AGAIN),
    (S.RETURNED, H.PAID): Move(S.SOLD, "its units were on sale again; they are taken back and sold", _AGAIN),
    (S.HELD, H.CLOSED): Move(S.RELEASED, "its units are on sale again", (K.RELEASE,)),
    (S.SOLD, H.CLOSED): Move(S.SOLD, "its units are sold; closing changes nothing"),
    (S.RELEASED, H.CLOSED): Move(S.RELEASED, "its units are already on sale again"),
    (S.RETURNED, H.CLOSED): Move(S.RETURNED, "its units are already on sale again"),
    (S.HELD, H.REFUNDED): Move(S.HELD, "a refund of an order that is not paid changes nothing"),
    (S.SOLD, H.REFUNDED): Move(S.RETURNED, "its units are on sale again", (K.RETURN,)),
    (S.RELEASED, H.REFUNDED): Move(S.RELEASED, "its units are already on sale again"),
    (S.RETURNED, H.REFUNDED): Move(S.RETURNED, "its units are already on sale again"),
    (S.HELD, H.REFUNDED_KEPT): Move(S.HELD, "a refund of an order that is not paid changes nothing"),
    (S.SOLD, H.REFUNDED_KEPT): Move(S.SOLD, "its units stay counted as sold until somebody restocks them"),
    (S.RELEASED, H.REFUNDED_KEPT): Move(S.RELEASED, "its units are already on sale again"),
    (S.RETURNED, H.REFUNDED_KEPT): Move(S.RETURNED, "its units are already on sale again"),
}
