"""What must hold when the bills of all days were read, one function each, beside those of check.py."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import msgspec

from paidup.payments.payment import Payment
from paidup.payments.states import MONEY_ARRIVED
from paidup.payments.states import State as PaymentState
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.overdue import OF_DAY
from paidup.reconcile.states import UNSETTLED, State
from paidup.refunds.refund import Cause, Refund
from paidup.refunds.states import State as RefundState
from paidup.sandbox.bookings import STRIPE, EntryKind
from paidup.sandbox.ledger import RefundState as TheirRefundState
from paidup.sandbox.ledger import Trade
from paidup.sandbox.world import World
from paidup.simulator.bill_books import ACCOUNT, Billed
from paidup.simulator.bill_fates import Planted
from paidup.simulator.witness import Breach, Witness

Invariant = Callable[[Billed], list[str]]

HEALED_WITHIN = timedelta(minutes=75)
"""What only the bill knows is booked so soon after the bill is there and nothing goes wrong with it any more: a refused
file is asked for again after a quarter of an hour, a dead worker's bill after half an hour."""
HEALED_AT_THE_LATEST = timedelta(days=1)
"""… and so soon after the bill's hour, whatever goes wrong."""

EXPECTED: dict[str, tuple[Kind, ...]] = {
    "missing": (Kind.SHORT,),
    "extra": (Kind.LONG,),
    "wrong amount": (Kind.AMOUNT, Kind.LONG, Kind.STATUS, Kind.REFUND_UNKNOWN, Kind.REFUND_WITHOUT_PAYMENT),
    "wrong fee": (Kind.FEE,),
    "wrong day": (Kind.WRONG_DAY,),
    "duplicate": (Kind.DUPLICATE,),
}
"""Which break a planted fault of a line must become."""


def each_account_adds_up(billed: Billed) -> list[str]:
    """Over the whole run, for each account: sum(bill) = sum(ours) + what the listed open breaks say, to the minor
    unit."""
    return [
        f"{one.account}: the bills have {one.bill_minor}, our books {one.ours_minor}, and the open breaks list "
        f"{one.listed_minor} {one.currency}"
        for one in billed.sums()
        if not one.adds_up
    ]


def bills_are_read_whole(billed: Billed) -> list[str]:
    """Every day on which something was booked has a run, and its sums are those of the lines that were printed."""
    printed: dict[tuple[str, date], list[int]] = {}
    for channel, day, entry in billed.lines():
        lines_and_minor = printed.setdefault((channel, day), [0, 0])
        lines_and_minor[0] += 1
        lines_and_minor[1] += entry.amount_minor
    wrong = []
    for (channel, day), (lines, minor) in printed.items():
        run = billed.runs.get((channel, day))
        kinds = ("payment", "refund", "refund_failed")
        read = [one for one in run.sums if one.what in kinds] if run else []
        ours = sum(one.bill_lines for one in read), sum(one.bill_minor for one in read)
        if ours != (lines, minor):
            wrong.append(f"{channel} {day}: {ours} was read of the bill's {(lines, minor)}")
    return wrong


def an_empty_day_is_empty_here(billed: Billed) -> list[str]:
    """What a channel calls a day without a bill is believed only where our books have nothing of that day."""
    wrong = []
    moved = {one.entry.key for one in billed.printed.planted(ACCOUNT)}
    for channel, day, entry in billed.printed.truth(ACCOUNT):
        payment = billed.payment(entry.merchant_ref)
        is_here = payment is not None and payment.state in MONEY_ARRIVED and entry.kind is EntryKind.PAYMENT
        if is_here and billed.is_none(channel, day) and entry.key not in moved:
            wrong.append(f"{channel} {day} is taken for empty; {entry.merchant_ref} was paid on it")
    return wrong


def what_was_planted_is_found(billed: Billed) -> list[str]:
    """Each line that is wrong is a break of its kind, over its money: of the day whose bill should have it right."""
    return [
        f"{one.channel} {one.day}: nobody found the {one.what} of {one.entry.key} ({one.entry.amount_minor})"
        for one in (_as_read(billed, one) for one in billed.planted())
        if _is_known(billed, one) and not any(_is_about(found, one) for found in billed.breaks)
    ]


def _as_read(billed: Billed, one: Planted) -> Planted:
    """A line that stands in the next day's bill, which the channel says that it does not have, is in none."""
    if one.what == "wrong day" and billed.is_none(one.channel, one.day + timedelta(days=1)):
        return msgspec.structs.replace(one, what="missing")
    return one


def _is_known(billed: Billed, one: Planted) -> bool:
    """Whether our books have what the line is about, so that a difference can be seen at all."""
    if one.what in ("extra", "duplicate"):
        return True
    if one.entry.kind is EntryKind.PAYMENT:
        payment = billed.payment(one.entry.merchant_ref)
        return payment is not None and payment.state in MONEY_ARRIVED and not _is_paid_by_its_line(billed, payment, one)
    if one.what == "wrong fee" or one.entry.kind is EntryKind.REFUND_FAILURE:
        return False  # fees of refunds are not judged; a return that is missing shows as the refund's own difference
    numbers = {one.entry.refund_ref, one.entry.refund_number}
    mine = [r for r in billed.sides.books.refunds.values() if {r.merchant_ref, r.channel_refund_id} & numbers]
    believed = any(_is_from_its_line(billed, refund, one) for refund in mine)  # there was no better word
    return not believed and any(refund.state is RefundState.SUCCEEDED for refund in mine)


def _is_paid_by_its_line(billed: Billed, payment: Payment, one: Planted) -> bool:
    """Whether nothing but the line of the wrong day tells of a payment, which is booked on that day, then."""
    if one.what != "wrong day" or payment.id not in billed.paid_by_bill or payment.paid_at is None:
        return False
    return payment.paid_at.astimezone(billed.printed.days[one.channel, one.day]).date() != one.day


def _is_from_its_line(billed: Billed, refund: Refund, one: Planted) -> bool:
    """Whether our books have a refund as the wrong line has it, for nothing else told of it that could be booked: a
    notice of a refund that we did not ask for, while all of the payment was on its way back already, calls people."""
    if one.what != "wrong day":
        return abs(refund.amount_minor + one.entry.amount_minor) == 1
    if refund.cause is not Cause.AT_CHANNEL or refund.created_at < billed.opened_at or refund.settled_at is None:
        return False
    return refund.settled_at.astimezone(billed.printed.days[one.channel, one.day]).date() != one.day


def _is_about(found: Break, one: Planted) -> bool:
    """Whether this break tells of it."""
    days = (one.day, one.day + timedelta(days=1)) if one.what == "wrong day" else (one.day,)
    if found.channel != one.channel or found.day not in days or found.kind not in EXPECTED[one.what]:
        return False
    if one.what == "extra":
        return (found.number or "").startswith("stranger") and found.bill_minor == abs(one.entry.amount_minor)
    if not _names(found, one):
        return False
    minor = one.entry.amount_minor
    match one.what:
        case "missing":
            return found.state in UNSETTLED and (found.bill_minor, found.ours_minor) == (None, minor)
        case "duplicate":
            return found.state in UNSETTLED and found.bill_minor == minor
        case "wrong day":
            return found.state is State.HEALED and found.cleared_by is not None
        case _:
            return found.state in UNSETTLED and abs(found.differs_minor) == 1


def _names(found: Break, one: Planted) -> bool:
    """Whether a break names the payment or refund of this line."""
    line, ours = found.line, found.ours
    sides = [side for side in (line, ours) if side is not None]
    numbers = {
        number
        for side in sides
        for number in (
            (side.merchant_refund_ref, side.channel_refund_id)
            if one.entry.refund_number
            else (side.merchant_ref, side.channel_txn_id)
        )
    }
    return bool(numbers & {one.entry.refund_ref or one.entry.merchant_ref, one.entry.refund_number or one.entry.number})


def no_break_is_without_a_cause(billed: Billed) -> list[str]:
    """What is not settled was planted, or the two sides differ in truth."""
    causes = billed.planted()
    return [
        f"{one.channel} {one.day} {one.kind} {one.state}: {one.why} ({one.number})"
        for one in billed.breaks
        if one.state in UNSETTLED
        and one.kind not in (Kind.BALANCE, Kind.PAYOUT)
        and not any(_may_be_from(one, cause) for cause in causes)
        and not _differs_in_truth(billed, one)
    ]


def _may_be_from(found: Break, cause: Planted) -> bool:
    if found.channel != cause.channel:
        return False
    is_extra = cause.what == "extra" and (found.number or "").startswith("stranger")
    return is_extra or _names(found, cause) or found.channel_txn_id == cause.entry.number


def _differs_in_truth(billed: Billed, found: Break) -> bool:
    """Paid otherwise than agreed, unknown to the shop that opened it, or given back in the moment of its closing."""
    ours = billed.sides.books.payments.get(found.payment_id or "")
    trade = next((t for t in billed.sides.trades() if found.channel_txn_id == t.number), None)
    its_own = billed.payment(trade.merchant_ref) if trade else None  # of a refund that we do not know, too
    if PaymentState.HELD in {payment.state for payment in (ours, its_own) if payment is not None}:
        return True
    if trade is None:
        return False
    is_stranger = ours is None and trade.merchant_ref not in billed.sides.witness.registered
    return is_stranger or trade.refunded_minor() == trade.amount_minor


def every_break_has_its_end(billed: Billed) -> list[str]:
    """A break is healed, or open with a next step and a case that calls people; none waits beyond its time."""
    wrong = []
    for one in billed.breaks:
        day = f"{one.channel}/{one.account} {one.day}"
        if one.state is State.WAITING:
            wrong.append(f"{day} {one.kind}: still waits, until {one.wait_until}")
        elif one.state in UNSETTLED and not (one.next_step and OF_DAY in billed.sides.books.cases.get(day, ())):
            wrong.append(f"{day} {one.kind}: nobody was called")
    return wrong


def the_bill_heals_in_time(billed: Billed) -> list[str]:
    """What neither callback nor query brought is booked soon after its bill is there."""
    wrong = []
    for payment_id, healed_at in billed.paid_by_bill.items():
        payment = billed.sides.books.payments[payment_id]
        trade = billed.sides.trade_of(payment)
        if trade is None or trade.paid_at is None or _is_planted(billed, trade):
            continue
        channel, account = billed.parties[trade.channel].channel, billed.parties[trade.channel].account
        day = trade.paid_at.astimezone(channel.bill_zone(account)).date()
        ready_at = channel.bill_ready_at(day, account)
        begins_at = max(ready_at, billed.opened_at, _corrected_at(billed, trade) or ready_at)
        bound = min(max(begins_at, billed.calm_at) + HEALED_WITHIN, begins_at + HEALED_AT_THE_LATEST)
        if healed_at > bound + billed.people_take:
            wrong.append(f"payment {payment_id} was paid at {trade.paid_at}, and healed at {healed_at}")
    return wrong


def no_fetch_is_left(billed: Billed) -> list[str]:
    """Of every day on which money moved the bill is here."""
    read = Counter((channel, day) for channel, day in billed.latest)
    return [
        f"{channel} {day}: {entry.key} was booked, and no bill was fetched"
        for channel, day, entry in billed.printed.truth(ACCOUNT)
        if not read[channel, day]
    ]


INVARIANTS: Sequence[Invariant] = (
    each_account_adds_up,
    bills_are_read_whole,
    an_empty_day_is_empty_here,
    what_was_planted_is_found,
    no_break_is_without_a_cause,
    every_break_has_its_end,
    the_bill_heals_in_time,
    no_fetch_is_left,
)


def examine(billed: Billed) -> list[Breach]:
    """All invariants; each breach under the name of what it breaks."""
    found = ((invariant.__name__.replace("_", " "), invariant(billed)) for invariant in INVARIANTS)
    return [Breach(name, what) for name, wrong in found for what in wrong]


def still_untold(world: World, witness: Witness, planted: Sequence[Planted]) -> frozenset[str]:
    """The merchant's numbers of which we need not know all even now: no bill tells of disputes, nor WeChat Pay's of a
    refund that came back; and a line that is wrong tells nothing that could be believed."""
    untold, spoiled = witness.untold, {one.entry.merchant_ref for one in planted}
    return frozenset(
        trade.merchant_ref
        for trade in world.ledger.page(0, len(world.ledger))
        if trade.merchant_ref in spoiled
        or (trade.merchant_ref in untold and (trade.dispute is not None or _came_back(trade)))
    )


def _came_back(trade: Trade) -> bool:
    return trade.channel != STRIPE and any(one.state is TheirRefundState.FAILED for one in trade.refunds)


def _corrected_at(billed: Billed, trade: Trade) -> datetime | None:
    """Since when its bill tells of this payment, if an earlier print did not."""
    return max(
        (at for key, at in billed.printed.corrected_at.items() if key.split(" ")[1] == trade.number), default=None
    )


def _is_planted(billed: Billed, trade: Trade) -> bool:
    return any(one.entry.number == trade.number for one in billed.printed.planted(ACCOUNT))
