"""The life of an order, as far as money goes, as one total table. docs/reference/states.md is drawn from it."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where an order stands."""

    UNPAID = "unpaid"  # waiting for the customer's money
    PAID = "paid"  # one payment's money is ours: ship it
    CLOSING = "closing"  # the shop gave it up; its payments are being closed at the channel
    CLOSED = "closed"  # nobody can pay it any more
    REFUNDED = "refunded"  # it was paid, and all of it went back


class Happening(StrEnum):
    """What may happen to an order."""

    PAYMENT_PAID = "payment_paid"  # a payment of it was paid, and the shop welcomes late money
    PAYMENT_PAID_UNWELCOME = "payment_paid_unwelcome"  # … and the shop wants late money given back
    PAYMENT_PAID_TOO_LATE = "payment_paid_too_late"  # … and the units of the order were sold to others
    SECOND_PAYMENT_PAID = "second_payment_paid"  # another payment of it was paid, too
    CLOSE_ASKED = "close_asked"  # the shop, or the expiry, gives it up
    NOTHING_LEFT_TO_PAY = "nothing_left_to_pay"  # each of its payments is closed at the channel, or was given back
    FULLY_REFUNDED = "fully_refunded"
    REFUND_UNDONE = "refund_undone"  # a refund came back: the money is ours again


class GiveBack(StrEnum):
    """Whether the payment that caused the move is refunded by itself."""

    NO = "no"
    SECOND = "second_payment"
    LATE = "late_payment"


class Move(msgspec.Struct, frozen=True):
    """The next state and the sentence that goes into log, timeline and console."""

    to: State
    why: str
    give_back: GiveBack = GiveBack.NO


S, H = State, Happening
_SECOND = "the order is already paid; this second payment is refunded"

TABLE: dict[tuple[State, Happening], Move] = {
    (S.UNPAID, H.PAYMENT_PAID): Move(S.PAID, "the order is paid"),
    (S.PAID, H.PAYMENT_PAID): Move(S.PAID, "the order is already paid by this payment"),
    (S.CLOSING, H.PAYMENT_PAID): Move(S.PAID, "paid while it was being closed: the order is paid"),
    (S.CLOSED, H.PAYMENT_PAID): Move(S.PAID, "paid after it was closed: the order is reopened"),
    (S.REFUNDED, H.PAYMENT_PAID): Move(S.REFUNDED, "the order was already paid by this payment and refunded"),
    (S.UNPAID, H.PAYMENT_PAID_UNWELCOME): Move(S.PAID, "the order is paid"),
    (S.PAID, H.PAYMENT_PAID_UNWELCOME): Move(S.PAID, "the order is already paid by this payment"),
    (S.CLOSING, H.PAYMENT_PAID_UNWELCOME): Move(S.PAID, "paid while it was being closed: the order is paid"),
    (S.CLOSED, H.PAYMENT_PAID_UNWELCOME): Move(
        S.CLOSED, "paid after it was closed: the shop's policy gives the money back", GiveBack.LATE
    ),
    (S.REFUNDED, H.PAYMENT_PAID_UNWELCOME): Move(S.REFUNDED, "the order was already paid by this payment and refunded"),
    (S.UNPAID, H.PAYMENT_PAID_TOO_LATE): Move(S.PAID, "the order is paid"),
    (S.PAID, H.PAYMENT_PAID_TOO_LATE): Move(S.PAID, "the order is already paid by this payment"),
    (S.CLOSING, H.PAYMENT_PAID_TOO_LATE): Move(S.PAID, "paid while it was being closed: the order is paid"),
    (S.CLOSED, H.PAYMENT_PAID_TOO_LATE): Move(
        S.CLOSED, "paid after it was closed, and its units were sold to others: the money goes back", GiveBack.LATE
    ),
    (S.REFUNDED, H.PAYMENT_PAID_TOO_LATE): Move(S.REFUNDED, "the order was already paid by this payment and refunded"),
    (S.UNPAID, H.SECOND_PAYMENT_PAID): Move(S.UNPAID, _SECOND, GiveBack.SECOND),
    (S.PAID, H.SECOND_PAYMENT_PAID): Move(S.PAID, _SECOND, GiveBack.SECOND),
    (S.CLOSING, H.SECOND_PAYMENT_PAID): Move(S.CLOSING, _SECOND, GiveBack.SECOND),
    (S.CLOSED, H.SECOND_PAYMENT_PAID): Move(S.CLOSED, _SECOND, GiveBack.SECOND),
    (S.REFUNDED, H.SECOND_PAYMENT_PAID): Move(S.REFUNDED, _SECOND, GiveBack.SECOND),
    (S.UNPAID, H.CLOSE_ASKED): Move(S.CLOSING, "given up; its payments are being closed at the channel"),
    (S.PAID, H.CLOSE_ASKED): Move(S.PAID, "already paid; refund it instead"),
    (S.CLOSING, H.CLOSE_ASKED): Move(S.CLOSING, "already closing"),
    (S.CLOSED, H.CLOSE_ASKED): Move(S.CLOSED, "already closed"),
    (S.REFUNDED, H.CLOSE_ASKED): Move(S.REFUNDED, "already refunded"),
    (S.UNPAID, H.NOTHING_LEFT_TO_PAY): Move(S.UNPAID, "nothing is offered now; the customer may start a new payment"),
    (S.PAID, H.NOTHING_LEFT_TO_PAY): Move(S.PAID, "already paid"),
    (S.CLOSING, H.NOTHING_LEFT_TO_PAY): Move(S.CLOSED, "nobody can pay it any more"),
    (S.CLOSED, H.NOTHING_LEFT_TO_PAY): Move(S.CLOSED, "already closed"),
    (S.REFUNDED, H.NOTHING_LEFT_TO_PAY): Move(S.REFUNDED, "already refunded"),
    (S.UNPAID, H.FULLY_REFUNDED): Move(S.UNPAID, "a refund of an order that is not paid changes nothing"),
    (S.PAID, H.FULLY_REFUNDED): Move(S.REFUNDED, "all of the money went back to the customer"),
    (S.CLOSING, H.FULLY_REFUNDED): Move(S.CLOSING, "a refund of an order that is not paid changes nothing"),
    (S.CLOSED, H.FULLY_REFUNDED): Move(S.CLOSED, "a refund of a closed order changes nothing"),
    (S.REFUNDED, H.FULLY_REFUNDED): Move(S.REFUNDED, "already refunded"),
    (S.UNPAID, H.REFUND_UNDONE): Move(S.UNPAID, "a refund of an order that is not paid changes nothing"),
    (S.PAID, H.REFUND_UNDONE): Move(S.PAID, "already paid"),
    (S.CLOSING, H.REFUND_UNDONE): Move(S.CLOSING, "a refund of an order that is not paid changes nothing"),
    (S.CLOSED, H.REFUND_UNDONE): Move(S.CLOSED, "a refund of a closed order changes nothing"),
    (S.REFUNDED, H.REFUND_UNDONE): Move(S.PAID, "a refund came back: the money is ours again"),
}
