"""The life of a payment, as one total table: every state answers every happening.

docs/reference/states.md is drawn from this table.
"""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a payment stands."""

    CREATED = "created"  # written down; the channel has not confirmed that it knows it
    OPEN = "open"  # the customer may pay
    PAID = "paid"  # the channel says the money is ours
    CLOSING = "closing"  # we stop taking money; the channel has not confirmed yet
    CLOSED = "closed"  # the channel confirmed that nobody can pay any more
    HELD = "held"  # money moved, but not as agreed: a person decides
    DISPUTED = "disputed"  # the customer's bank asks for the money back
    CHARGED_BACK = "charged_back"  # the bank took the money back


class Happening(StrEnum):
    """What may happen to a payment."""

    OPENED = "opened"  # the channel accepted our offer
    NOT_FOUND = "not_found"  # the channel does not know it
    WAITING = "waiting"  # the channel knows it; nobody has paid yet
    ATTEMPT_FAILED = "attempt_failed"  # a card was declined; the customer may try again
    PAID = "paid"  # paid as agreed
    GIVEN_BACK = "given_back"  # paid as agreed, and all of it has gone back since
    MISMATCH = "mismatch"  # paid, but another amount, currency or receiver than agreed
    RELEASED = "released"  # a person decided about money that is held
    CHANNEL_CLOSED = "channel_closed"  # nobody can pay it any more
    CLOSE_ASKED = "close_asked"  # the shop or the expiry wants it closed
    DISPUTE_INQUIRED = "dispute_inquired"  # the customer's bank asks about it, and takes nothing
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


class Move(msgspec.Struct, frozen=True):
    """The next state and the sentence that goes into log, timeline and console. `case` asks for a person."""

    to: State
    why: str
    case: str | None = None
    park: bool = False
    gone: bool = False
    """The money went back before we heard of it: it pays no order."""


S, H = State, Happening
_UNPAID = (S.CREATED, S.OPEN, S.CLOSING, S.CLOSED)
_GONE = "paid, and all of it went back before we heard of it; it pays no order"
_HAS_MONEY = (S.PAID, S.DISPUTED, S.CHARGED_BACK)
MONEY_ARRIVED = frozenset(_HAS_MONEY)
"""States in which the customer's money was received as agreed (even if a bank disputes it now)."""
FINAL = frozenset((S.PAID, S.CLOSED, S.HELD, S.DISPUTED, S.CHARGED_BACK))
"""States in which there is nothing to ask the channel, but for what decide.may_have_gone_back tells."""

TABLE: dict[tuple[State, Happening], Move] = {
    # The channel accepted our offer. It may reach the channel after the close did, which then knew of nothing to close.
    (S.CREATED, H.OPENED): Move(S.OPEN, "the channel accepted it; the customer may pay"),
    (S.OPEN, H.OPENED): Move(S.OPEN, "already open"),
    (S.PAID, H.OPENED): Move(S.PAID, "already paid; the answer to the opening came late"),
    (S.CLOSING, H.OPENED): Move(S.CLOSING, "opened while closing; it is being closed"),
    (S.CLOSED, H.OPENED): Move(S.CLOSING, "open at the channel after it was called closed; it is closed again"),
    (S.HELD, H.OPENED): Move(S.HELD, "held for a person's decision"),
    (S.DISPUTED, H.OPENED): Move(S.DISPUTED, "already paid; the answer to the opening came late"),
    (S.CHARGED_BACK, H.OPENED): Move(S.CHARGED_BACK, "already paid; the answer to the opening came late"),
    # The channel does not know it. Never a failure by itself: Alipay makes a trade only when the code is scanned.
    (S.CREATED, H.NOT_FOUND): Move(S.CREATED, "the channel does not know it yet; asked again later"),
    (S.OPEN, H.NOT_FOUND): Move(S.OPEN, "the channel does not know it yet; asked again later"),
    (S.PAID, H.NOT_FOUND): Move(S.PAID, "paid here but unknown at the channel", case="contradiction"),
    (S.CLOSING, H.NOT_FOUND): Move(S.CLOSING, "unknown at the channel; it is closed there before we call it closed"),
    (S.CLOSED, H.NOT_FOUND): Move(S.CLOSED, "already closed; the channel does not know it"),
    (S.HELD, H.NOT_FOUND): Move(S.HELD, "held for a person's decision"),
    (S.DISPUTED, H.NOT_FOUND): Move(S.DISPUTED, "disputed here but unknown at the channel", case="contradiction"),
    (S.CHARGED_BACK, H.NOT_FOUND): Move(S.CHARGED_BACK, "known here but unknown at the channel", case="contradiction"),
    # The channel knows it and nobody has paid.
    (S.CREATED, H.WAITING): Move(S.OPEN, "the channel knows it; the customer may pay"),
    (S.OPEN, H.WAITING): Move(S.OPEN, "the customer has not paid yet"),
    (S.PAID, H.WAITING): Move(S.PAID, "already paid; this is older news"),
    (S.CLOSING, H.WAITING): Move(S.CLOSING, "not paid; the channel is asked to close it"),
    (S.CLOSED, H.WAITING): Move(S.CLOSED, "already closed; this is older news"),
    (S.HELD, H.WAITING): Move(S.HELD, "held for a person's decision"),
    (S.DISPUTED, H.WAITING): Move(S.DISPUTED, "already paid; this is older news"),
    (S.CHARGED_BACK, H.WAITING): Move(S.CHARGED_BACK, "already paid; this is older news"),
    # One attempt failed. The payment lives on: a declined card is followed by another card.
    (S.CREATED, H.ATTEMPT_FAILED): Move(S.OPEN, "an attempt failed; the customer may try again"),
    (S.OPEN, H.ATTEMPT_FAILED): Move(S.OPEN, "an attempt failed; the customer may try again"),
    (S.PAID, H.ATTEMPT_FAILED): Move(S.PAID, "already paid by a later attempt"),
    (S.CLOSING, H.ATTEMPT_FAILED): Move(S.CLOSING, "an attempt failed; it is being closed"),
    (S.CLOSED, H.ATTEMPT_FAILED): Move(S.CLOSED, "already closed; this is older news"),
    (S.HELD, H.ATTEMPT_FAILED): Move(S.HELD, "held for a person's decision"),
    (S.DISPUTED, H.ATTEMPT_FAILED): Move(S.DISPUTED, "already paid by a later attempt"),
    (S.CHARGED_BACK, H.ATTEMPT_FAILED): Move(S.CHARGED_BACK, "already paid by a later attempt"),
    # Paid as agreed. The channel's word wins over our clock, also after we closed.
    (S.CREATED, H.PAID): Move(S.PAID, "the channel says it is paid"),
    (S.OPEN, H.PAID): Move(S.PAID, "the channel says it is paid"),
    (S.PAID, H.PAID): Move(S.PAID, "already paid; this repeats what we know"),
    (S.CLOSING, H.PAID): Move(S.PAID, "paid before the channel could close it"),
    (S.CLOSED, H.PAID): Move(S.PAID, "paid although it was closed; the channel's word wins"),
    (S.HELD, H.PAID): Move(S.PAID, "the channel now says it was paid as agreed"),
    (S.DISPUTED, H.PAID): Move(S.DISPUTED, "already paid, and disputed since"),
    (S.CHARGED_BACK, H.PAID): Move(S.CHARGED_BACK, "already paid, and charged back since"),
    # Paid and wholly given back, before anything told us that it was paid: the shop must not ship for it.
    **{(s, H.GIVEN_BACK): Move(S.PAID, _GONE, gone=True) for s in (*_UNPAID, S.HELD)},
    (S.PAID, H.GIVEN_BACK): Move(S.PAID, "already paid; the channel says that all of it went back since"),
    (S.DISPUTED, H.GIVEN_BACK): Move(S.DISPUTED, "already paid, and disputed; the channel says that it went back"),
    (S.CHARGED_BACK, H.GIVEN_BACK): Move(S.CHARGED_BACK, "already charged back; the channel says that it went back"),
    # Money moved, but not as agreed. Never marks paid; a person decides.
    (S.CREATED, H.MISMATCH): Move(S.HELD, "paid, but not as agreed", case="mismatch"),
    (S.OPEN, H.MISMATCH): Move(S.HELD, "paid, but not as agreed", case="mismatch"),
    (S.PAID, H.MISMATCH): Move(S.PAID, "already paid as agreed; this contradicts it", case="mismatch"),
    (S.CLOSING, H.MISMATCH): Move(S.HELD, "paid, but not as agreed", case="mismatch"),
    (S.CLOSED, H.MISMATCH): Move(S.HELD, "paid, but not as agreed", case="mismatch"),
    (S.HELD, H.MISMATCH): Move(S.HELD, "held for a person's decision", case="mismatch"),
    (S.DISPUTED, H.MISMATCH): Move(S.DISPUTED, "already paid as agreed; this contradicts it", case="mismatch"),
    (S.CHARGED_BACK, H.MISMATCH): Move(S.CHARGED_BACK, "already paid as agreed; this contradicts it", case="mismatch"),
    # A person decided about money that came otherwise than agreed: it is taken as it is, or given back.
    (S.CREATED, H.RELEASED): Move(S.CREATED, "nothing is held here"),
    (S.OPEN, H.RELEASED): Move(S.OPEN, "nothing is held here"),
    (S.PAID, H.RELEASED): Move(S.PAID, "already paid; nothing is held here"),
    (S.CLOSING, H.RELEASED): Move(S.CLOSING, "nothing is held here"),
    (S.CLOSED, H.RELEASED): Move(S.CLOSED, "nothing is held here"),
    (S.HELD, H.RELEASED): Move(S.PAID, "a person decided"),
    (S.DISPUTED, H.RELEASED): Move(S.DISPUTED, "already paid, and disputed; nothing is held here"),
    (S.CHARGED_BACK, H.RELEASED): Move(S.CHARGED_BACK, "already paid, and charged back; nothing is held here"),
    # Nobody can pay it any more.
    (S.CREATED, H.CHANNEL_CLOSED): Move(S.CLOSED, "the channel closed it"),
    (S.OPEN, H.CHANNEL_CLOSED): Move(S.CLOSED, "the channel closed it"),
    (S.PAID, H.CHANNEL_CLOSED): Move(S.PAID, "already paid, yet the channel says closed", case="contradiction"),
    (S.CLOSING, H.CHANNEL_CLOSED): Move(S.CLOSED, "the channel confirmed the close"),
    (S.CLOSED, H.CHANNEL_CLOSED): Move(S.CLOSED, "already closed; this repeats what we know"),
    (S.HELD, H.CHANNEL_CLOSED): Move(S.HELD, "held for a person's decision"),
    (S.DISPUTED, H.CHANNEL_CLOSED): Move(S.DISPUTED, "disputed, yet the channel says closed", case="contradiction"),
    (S.CHARGED_BACK, H.CHANNEL_CLOSED): Move(S.CHARGED_BACK, "charged back; the channel says closed"),
    # The shop, or the expiry, wants it closed. Closing is two-phase: the channel must confirm.
    (S.CREATED, H.CLOSE_ASKED): Move(S.CLOSING, "no longer offered; the channel is asked to close it"),
    (S.OPEN, H.CLOSE_ASKED): Move(S.CLOSING, "no longer offered; the channel is asked to close it"),
    (S.PAID, H.CLOSE_ASKED): Move(S.PAID, "already paid; refund it instead"),
    (S.CLOSING, H.CLOSE_ASKED): Move(S.CLOSING, "already closing"),
    (S.CLOSED, H.CLOSE_ASKED): Move(S.CLOSED, "already closed"),
    (S.HELD, H.CLOSE_ASKED): Move(S.HELD, "held for a person's decision"),
    (S.DISPUTED, H.CLOSE_ASKED): Move(S.DISPUTED, "already paid, and disputed"),
    (S.CHARGED_BACK, H.CLOSE_ASKED): Move(S.CHARGED_BACK, "already charged back"),
    # The customer's bank asks for the money back. Before we know of the money itself, the notice waits; while a person
    # decides about the money, too, or a dispute would be forgotten when the payment turns out to be paid as agreed.
    **{(s, H.DISPUTE_INQUIRED): Move(s, "a dispute came before the payment; it waits", park=True) for s in _UNPAID},
    # It stays paid, and may be refunded: that is how an inquiry is kept from becoming a dispute.
    (S.PAID, H.DISPUTE_INQUIRED): Move(
        S.PAID, "the customer's bank asks about it; refund it, or answer, before it becomes a dispute", case="inquiry"
    ),
    (S.HELD, H.DISPUTE_INQUIRED): Move(S.HELD, "disputed while held for a person's decision; it waits", park=True),
    (S.DISPUTED, H.DISPUTE_INQUIRED): Move(S.DISPUTED, "the customer's bank asks about it, too", case="inquiry"),
    (S.CHARGED_BACK, H.DISPUTE_INQUIRED): Move(
        S.CHARGED_BACK, "the customer's bank asks about it, too", case="inquiry"
    ),
    **{(s, H.DISPUTE_OPENED): Move(s, "a dispute came before the payment; it waits", park=True) for s in _UNPAID},
    (S.PAID, H.DISPUTE_OPENED): Move(S.DISPUTED, "the customer's bank asks for the money back", case="dispute"),
    (S.HELD, H.DISPUTE_OPENED): Move(S.HELD, "disputed while held for a person's decision; it waits", park=True),
    (S.DISPUTED, H.DISPUTE_OPENED): Move(S.DISPUTED, "already disputed"),
    (S.CHARGED_BACK, H.DISPUTE_OPENED): Move(S.DISPUTED, "disputed again", case="dispute"),
    **{(s, H.DISPUTE_WON): Move(s, "a dispute came before the payment; it waits", park=True) for s in _UNPAID},
    (S.PAID, H.DISPUTE_WON): Move(S.PAID, "the dispute was won; the money is ours"),
    (S.HELD, H.DISPUTE_WON): Move(S.HELD, "a dispute was won while held for a person's decision; it waits", park=True),
    (S.DISPUTED, H.DISPUTE_WON): Move(S.PAID, "the dispute was won; the money is ours"),
    (S.CHARGED_BACK, H.DISPUTE_WON): Move(S.PAID, "the chargeback was reversed; the money is ours again"),
    **{(s, H.DISPUTE_LOST): Move(s, "a dispute came before the payment; it waits", park=True) for s in _UNPAID},
    (S.PAID, H.DISPUTE_LOST): Move(S.CHARGED_BACK, "the bank took the money back", case="dispute"),
    (S.HELD, H.DISPUTE_LOST): Move(S.HELD, "charged back while held for a person's decision; it waits", park=True),
    (S.DISPUTED, H.DISPUTE_LOST): Move(S.CHARGED_BACK, "the dispute was lost; the bank took the money back"),
    (S.CHARGED_BACK, H.DISPUTE_LOST): Move(S.CHARGED_BACK, "already charged back"),
}
