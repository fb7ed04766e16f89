"""By what a line of a bill names a refund of ours. Pure.

Only the channel's own number names a refund in a whole account. The merchant's number does so within its payment:
Alipay asks for no more (out_request_no), so that two trades may each have a refund "1". Our own numbers are ids, and
belong to one refund whatever stands beside them.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from paidup.channels.bill import BillLine
from paidup.reconcile.breaks import OurSide
from paidup.reconcile.known import order_of
from paidup.reconcile.match import Line
from paidup.reconcile.rules import Rules

Name = tuple[str, ...]
Left = Sequence[tuple[Line | None, str | None]]
"""As in Matched."""


def names_in(line: Line) -> Iterator[Name]:
    """By what a line may name a refund, the surest first."""
    return _names(line.txn, line.ref, line.rid, line.rref)


def names_in_bill(line: BillLine) -> Iterator[Name]:
    """The same for a line as it was read."""
    return _names(line.channel_txn_id, line.merchant_ref, line.channel_refund_id, line.merchant_refund_ref)


def _names(txn: str | None, ref: str | None, rid: str | None, rref: str | None) -> Iterator[Name]:
    numbers = [number for number in (rid, rref) if number]
    yield from (("channel", number) for number in numbers)
    for how, payment in (("txn", txn), ("ref", ref)):
        yield from ((how, number, payment) for number in numbers if payment)
    yield from (("own" if txn or ref else "any", number) for number in numbers)


def names_of(refund: OurSide) -> Iterator[Name]:
    """By what a line may name this refund. Some bills name a payment by its order."""
    if refund.channel_refund_id:
        yield "channel", refund.channel_refund_id
    number = refund.merchant_refund_ref
    if number:
        if refund.channel_txn_id:
            yield "txn", number, refund.channel_txn_id
        for payment in sorted({refund.merchant_ref, refund.order_id, refund.shop_order_no} - {None, ""}, key=str):
            yield "ref", number, str(payment)
        yield "any", number
        if number == refund.refund_id:
            yield "own", number


def name_of(line: Line) -> str:
    """What names the line's refund in the key of a break; empty where it bears no number of a refund."""
    payment = line.txn or line.ref
    if line.rid or not line.rref or not payment:
        return line.rid or line.rref or ""
    return f"{line.rref} of {payment}"


def by_name(refunds: Iterable[OurSide]) -> Mapping[Name, Sequence[OurSide]]:
    """Those of ours that a line may mean by a name."""
    found: dict[Name, list[OurSide]] = defaultdict(list)
    for refund in refunds:
        for name in names_of(refund):
            found[name].append(refund)
    return found


def meant(line: Line, some: Sequence[OurSide], rules: Rules) -> OurSide | None:
    """Of the refunds that a line names alike, the one of its money, whether it tells that it left or came back."""
    amount = abs(line.amount)
    fits = (
        one for one in some if one.currency == line.currency and rules.allows(one.currency, amount - one.amount_minor)
    )
    return next(fits, some[0] if some else None)


def told_apart(left: Left, by_id: Mapping[str, OurSide]) -> Left:
    """With pairs of what the match could not tell apart: lines that name a refund's payment by its order, or not at all
    although several refunds bear the number. What is over the same money belongs together first."""
    refunds = sorted((by_id[one] for line, one in left if line is None and one is not None), key=_id_of)
    lines = sorted((line for line, one in left if line is not None and one is None), key=order_of)
    found: dict[int, OurSide] = {}
    here = set[str]()
    for is_money_same in (True, False):
        free: dict[tuple[Name, object], deque[OurSide]] = defaultdict(deque)
        for one in refunds:
            for name in names_of(one):
                free[name, (one.currency, one.signed_minor) if is_money_same else None].append(one)
        for line in lines:
            money = (line.currency, line.amount) if is_money_same else None
            first = (_first(free.get((name, money), deque()), here) for name in names_in(line) if line.n not in found)
            if (mine := next((one for one in first if one is not None), None)) is not None:
                here.add(mine.subject_id)
                found[line.n] = mine
    pairs = [(line, found[line.n].subject_id) for line in lines if line.n in found]
    return [*pairs, *(pair for pair in left if not _is_in(pair, found, here))]


def _is_in(pair: tuple[Line | None, str | None], found: Mapping[int, OurSide], here: set[str]) -> bool:
    line, one = pair
    return one in here if line is None else one is None and line.n in found


def _id_of(refund: OurSide) -> str:
    return refund.subject_id


def _first(some: deque[OurSide], used: set[str]) -> OurSide | None:
    """The first that is not used yet; those that are go for good."""
    while some and some[0].subject_id in used:
        some.popleft()
    return some[0] if some else None
