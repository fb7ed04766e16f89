"""What a difference means. Pure: what match.py left over and what look-ups tell of it in, typed breaks out.

Nothing here depends on the order of the lines, on how they were split into files, or on when it is asked.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime

from paidup.channels.bill import LineKind
from paidup.money import shown
from paidup.reconcile.breaks import Found, Kind, OurSide
from paidup.reconcile.known import OF_DISPUTES, Agreed, Apart, Day, Judged, Known, named_apart, order_of, side_of
from paidup.reconcile.match import Line, Matched
from paidup.reconcile.naming import by_name, meant, name_of, names_in, told_apart
from paidup.reconcile.states import State

_OnPair = Callable[[Line, OurSide], None]
_PAID = frozenset({"paid", "disputed", "charged_back"})
_DISPUTED = frozenset({"disputed", "charged_back"})


def judge(matched: Matched, known: Known, day: Day) -> Judged:
    """Type everything that did not simply agree."""
    bench = _Bench(known, day)
    bench.payments(matched.payments)
    bench.refunds(matched.refunds, matched.others)
    bench.others(matched.others)
    return Judged(
        breaks=sorted(named_apart(bench.breaks), key=lambda found: found.key),
        agreed=bench.agreed,
        cleared=sorted(set(bench.cleared)),
        apart=bench.apart,
    )


class _Bench:
    """Collects what is found."""

    def __init__(self, known: Known, day: Day) -> None:
        self._known, self._day = known, day
        self._refunds = by_name(known.refunds)
        self.breaks: list[Found] = []
        self.agreed: list[Agreed] = []
        self.cleared: list[str] = []
        self.apart: dict[str, Apart] = {}

    # Payments ------------------------------------------------------------------------------------------------------

    def payments(self, left: Sequence[tuple[Line | None, str | None]]) -> None:
        """Pairs, then what has no other side."""
        lines, ids = self._split(left, self._pair)
        lines, ids = self._combined(lines, ids)
        seen: set[str] = set()
        for line in sorted(lines, key=order_of):
            number = line.txn or line.ref or ""
            if number and number in seen:
                self._extra(line, self._payment(line), f"the bill has {number} more than once")
            else:
                self._payment_line(line)
            seen.add(number)
        for one in ids:
            self._ours_only(self._known.by_id[one])

    def _split(self, left: Sequence[tuple[Line | None, str | None]], pair: _OnPair) -> tuple[list[Line], list[str]]:
        """Judge what has both sides; gives back what has one."""
        by_ours: dict[str, list[Line]] = defaultdict(list)
        lines, ids = [], []
        for line, one in left:
            if line is not None and one is not None:
                by_ours[one].append(line)
            elif line is not None:
                lines.append(line)
            elif one is not None:
                ids.append(one)
        for one, its in by_ours.items():
            self._pairs(self._known.by_id[one], sorted(its, key=order_of), pair)
        return lines, sorted(ids)

    def _pairs(self, ours: OurSide, lines: list[Line], pair: _OnPair) -> None:
        """One of ours and its lines: parts that make up the whole, or one that fits and others too many."""
        if len(lines) > 1 and self._adds_up(lines, [ours]):
            self.agreed += [Agreed(line, in_group=True) for line in lines]
            return
        fits = [line for line in lines if self._adds_up([line], [ours])] or lines[:1]
        pair(fits[0], ours)
        for line in lines:
            if line is not fits[0]:
                self._extra(line, ours, f"the bill has {line.txn or line.rref or line.ref} more than once")

    def _adds_up(self, lines: Sequence[Line], ours: Sequence[OurSide]) -> bool:
        currencies = {line.currency for line in lines} | {one.currency for one in ours}
        differs = sum(line.amount for line in lines) - sum(one.signed_minor for one in ours)
        return len(currencies) == 1 and self._day.rules.allows(lines[0].currency, differs)

    def _pair(self, line: Line, ours: OurSide) -> None:
        """A payment that both sides have."""
        if not self._same_money(line, ours):
            return
        agreed_fee = self._day.rules.fee_of(line.amount)
        if agreed_fee is not None and abs(line.fee - agreed_fee) > self._day.rules.fee_tolerance_minor:
            why = f"the channel kept {shown(line.fee, line.currency)}; {shown(agreed_fee, line.currency)} are agreed"
            self._add(Kind.FEE, f"fee:{ours.payment_id}", why, line, ours, bill=line.fee, our=agreed_fee)
            return
        self.agreed.append(Agreed(line))

    def _same_money(self, line: Line, ours: OurSide) -> bool:
        apart = self._apart(line.amount, line.currency, ours)
        if apart is not None:
            self._add(apart.kind, f"{line.kind}:{ours.subject_id}", apart.why, line, ours, our=apart.ours_minor)
        return apart is None

    def _apart(self, amount_minor: int, currency: str, ours: OurSide) -> Apart | None:
        said = f"the bill says {shown(amount_minor, currency)}"
        why = f"{said}, our books {shown(ours.signed_minor, ours.currency)}"
        if currency != ours.currency:
            return Apart(kind=Kind.CURRENCY, ours_minor=0, why=why)
        if not self._day.rules.allows(currency, amount_minor - ours.signed_minor):
            return Apart(kind=Kind.AMOUNT, ours_minor=ours.signed_minor, why=why)
        return None

    def _combined(self, lines: list[Line], ids: list[str]) -> tuple[list[Line], list[str]]:
        """N:1: a line under the order's own number, whose amount is that of several payments of the order."""
        by_order: dict[str, list[str]] = defaultdict(list)
        for one in ids:
            ours = self._known.by_id[one]
            for number in {ours.order_id, ours.shop_order_no} - {None}:
                by_order[str(number)].append(one)
        used: set[str] = set()
        rest = []
        for line in sorted(lines, key=order_of):
            group = [one for one in by_order.get(line.ref or "", ()) if one not in used]
            if group and self._adds_up([line], [self._known.by_id[one] for one in group]):
                used.update(group)
                self.agreed.append(Agreed(line, in_group=True))
            else:
                rest.append(line)
        return rest, [one for one in ids if one not in used]

    def _payment_line(self, line: Line) -> None:
        """The bill has it; of our books, only a look-up can tell."""
        ours = self._payment(line)
        if ours is None:
            number = line.ref or line.txn or "without a number"
            why = f"no payment {number} is known here"
            self._add(Kind.LONG, f"payment:{line.txn or line.ref or order_of(line)}", why, line, None)
        elif ours.state in _PAID:
            self._of_another_day(line, ours)
        elif ours.state == "held":
            kind = Kind.STATUS if self._adds_up([line], [ours]) else Kind.AMOUNT
            self._add(kind, f"payment:{ours.payment_id}", "held here: it was not paid as agreed", line, ours)
        else:
            why = f"paid in the bill, and {ours.state} here"
            key = f"payment:{ours.payment_id}"
            self._add(Kind.LONG, key, why, line, ours, our=0, state=State.WAITING)

    def _of_another_day(self, line: Line, ours: OurSide) -> None:
        """Our books have it, on another day: it closes that day's gap, or is waited for, or is one too many."""
        if self._clears(ours, "ours"):
            (self._pair if line.kind == LineKind.PAYMENT else self._refund_pair)(line, ours)
            return
        day, key = self._known.days.get(ours.subject_id), f"{line.kind}:{ours.subject_id}"
        is_read = day is None or self._is_of_today(ours) or self._was_met(day, ours)
        if key in self._known.cleared_here:  # by that day's run; what this bill says may have been corrected since
            if not self._same_money(line, ours):
                return
        elif is_read:
            self._extra(line, ours, f"already matched on {day}; this bill has it once more")
            return
        why = f"booked here on {day}, whose bill has not been read since"
        self._add(Kind.WRONG_DAY, key, why, line, ours, our=0, state=State.WAITING, until=self._day.wait_for(ours.at))

    def _is_of_today(self, ours: OurSide) -> bool:
        return ours.at is None or self._day.begins_at <= ours.at < self._day.ends_at

    def _was_met(self, day: date, ours: OurSide) -> bool:
        """Whether the bill of its day was read when our books had it already."""
        read_at = self._known.read.get(day)
        return read_at is not None and (ours.changed_at is None or read_at >= ours.changed_at)

    def _clears(self, ours: OurSide, side: str) -> bool:
        """Whether another day has the other side of it. Where that is the bill's, its money is compared here."""
        found = [one for one in self._known.earlier.get(ours.subject_id, ()) if one.side == side]
        for one in found:
            self.cleared.append(one.id)
            apart = self._apart(one.bill_minor, one.currency, ours) if one.bill_minor is not None else None
            if apart is not None:
                self.apart[one.id] = apart
        return bool(found)

    def _extra(self, line: Line, ours: OurSide | None, why: str) -> None:
        subject = ours.subject_id if ours else name_of(line) or line.txn or line.ref
        self._add(Kind.DUPLICATE, f"twice:{line.kind}:{subject}", why, line, ours, our=0)

    def _ours_only(self, ours: OurSide) -> None:
        """Our books have it and the bill does not: an earlier bill had it, the next one may, or it is missing."""
        if self._clears(ours, "bill"):
            return
        near = self._day.is_near_its_bounds(ours.at)
        what = "refund" if ours.refund_id else "payment"
        word = "refunded" if ours.refund_id else "paid"
        why = f"{word} here at {ours.at:%Y-%m-%d %H:%M:%S} UTC, and not in the bill"
        self.breaks.append(
            Found(
                key=f"{what}:{ours.subject_id}",
                kind=Kind.WRONG_DAY if near else Kind.SHORT,
                what=what,
                state=State.WAITING,
                currency=ours.currency,
                bill_minor=None,
                ours_minor=ours.signed_minor,
                why=f"{why}, which ends near it" if near else why,
                ours=ours,
                wait_until=self._day.wait_until,
            )
        )

    # Refunds -------------------------------------------------------------------------------------------------------

    def refunds(self, left: Sequence[tuple[Line | None, str | None]], others: Sequence[Line]) -> None:
        """Pairs, batches, then what has no other side. A refund that came back in the same bill is none; of one that
        did not arrive the bill has a line, which tells of it by itself."""
        came_back, undone = (
            {mine.subject_id for line in others if line.kind == kind and (mine := self._refund(line)) is not None}
            for kind in (LineKind.REFUND_FAILED, LineKind.REFUND_UNDONE)
        )
        lines, ids = self._split(told_apart(left, self._known.by_id), self._refund_pair)
        lines, ids = self._batches(lines, [one for one in ids if one not in undone])
        seen: set[str] = set()
        for line in sorted(lines, key=order_of):
            name, ours = name_of(line), self._refund(line)
            if name and name in seen:
                self._extra(line, ours, f"the bill has {line.rid or line.rref} more than once")
            elif ours is not None and ours.state == "failed" and ours.subject_id in came_back:
                self._left(line, ours)
            elif ours is not None and ours.state == "failed" and not self._is_of_today(ours):
                self._came_back_on_another_day(line, ours)
            else:
                self._refund_line(line, ours)
            seen.add(name)
        for one in ids:
            self._ours_only(self._known.by_id[one])

    def _refund_pair(self, line: Line, ours: OurSide) -> None:
        if self._same_money(line, ours):
            self.agreed.append(Agreed(line))

    def _batches(self, lines: list[Line], ids: list[str]) -> tuple[list[Line], list[str]]:
        """1:N and N:1: the refunds of one payment, booked together or in parts."""
        ours_of: dict[str, list[str]] = defaultdict(list)
        for one in ids:
            ours_of[self._known.by_id[one].payment_id].append(one)
        lines_of: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            payment = self._payment(line)
            if payment is not None and self._refund(line) is None:
                lines_of[payment.payment_id].append(line)
        settled_lines: set[int] = set()
        settled_ids: set[str] = set()
        for payment_id, its in lines_of.items():
            group = ours_of.get(payment_id, [])
            if group and self._adds_up(its, [self._known.by_id[one] for one in group]):
                settled_lines.update(line.n for line in its)
                settled_ids.update(group)
                self.agreed += [Agreed(line, in_group=True) for line in its]
        return [line for line in lines if line.n not in settled_lines], [one for one in ids if one not in settled_ids]

    def _refund_line(self, line: Line, ours: OurSide | None) -> None:
        if ours is not None and ours.state == "succeeded":
            self._of_another_day(line, ours)
        elif ours is not None:
            why, key = f"given back in the bill, and {ours.state} here", f"refund:{ours.subject_id}"
            is_on_its_way = ours.state == "pending" or (ours.state != "failed" and side_of(line, "").is_on_its_way)
            until = self._day.wait_for_arrival_until if is_on_its_way else None
            self._add(Kind.STATUS, key, why, line, ours, our=0, state=State.WAITING, until=until)
        else:
            self._stranger(line)

    def _came_back_on_another_day(self, line: Line, ours: OurSide) -> None:
        """It left in this bill; that it came back stands in another one, which was read, or is waited for."""
        day, key = self._known.days.get(ours.subject_id), f"{line.kind}:{ours.subject_id}"
        if key in self._known.cleared_here:
            self._refund_pair(line, ours)
            return
        if day in self._known.read and key not in self._known.unsettled_here:
            self._left(line, ours)
            return
        why = f"given back in the bill, and came back here on {day}, whose bill has not shown it yet"
        self._add(Kind.WRONG_DAY, key, why, line, ours, our=0, state=State.WAITING)

    def _left(self, line: Line, ours: OurSide) -> None:
        """A refund that left and came back, as both sides say; what came back is on our side, too."""
        if self._same_money(line, ours):
            self.agreed.append(Agreed(line, ours_minor=ours.signed_minor))

    def _stranger(self, line: Line) -> None:
        payment = self._payment(line)
        key = f"refund:{name_of(line) or (line.txn, line.ref, line.at, line.amount)}"
        if payment is None or payment.state not in _PAID:
            state = f"is {payment.state} here" if payment else "is not known here"
            why = f"a refund of payment {line.ref or line.txn}, which {state}"
            self._add(Kind.REFUND_WITHOUT_PAYMENT, key, why, line, payment, our=0)
        else:
            why = f"a refund {line.rref or line.rid or ''} of payment {payment.payment_id} that nobody asked for here"
            self._add(Kind.REFUND_UNKNOWN, key, why, line, payment, our=0, state=State.WAITING)

    # Other lines ---------------------------------------------------------------------------------------------------

    def others(self, lines: Sequence[Line]) -> None:
        """Refunds that came back or did not arrive, disputes, and what nobody knows; each once."""
        seen: set[tuple[str, str]] = set()
        won = {number for line in lines if line.kind == LineKind.DISPUTE_WON for number in (line.txn, line.ref)} - {
            None
        }
        for line in sorted(lines, key=order_of):
            number = line.rid or line.rref or line.txn or line.ref or ""
            name = name_of(line) or number
            is_again = line.kind != LineKind.UNKNOWN and name and (line.kind, name) in seen
            if is_again:
                self._extra(line, self._refund(line), f"the bill has {number} more than once")
            elif line.kind in OF_DISPUTES:
                self._dispute(line, is_won=bool(won & {line.txn, line.ref}))
            else:
                self._other(line)
            seen.add((line.kind, name))

    def _dispute(self, line: Line, *, is_won: bool) -> None:
        """Its end may stand in this bill (is_won) or in another day's; and other ones may be open, or lost."""
        ours = self._payment(line)
        known = self._known.disputes.get(ours.payment_id, frozenset()) if ours else frozenset()
        if line.kind == LineKind.DISPUTE:
            self._must_stand(line, ours, _PAID if is_won or known else _DISPUTED, "was taken back by the bank")
        else:
            self._must_stand(line, ours, _PAID if "won" in known else frozenset({"paid"}), "was returned by the bank")

    def _other(self, line: Line) -> None:
        if line.kind in (LineKind.REFUND_FAILED, LineKind.REFUND_UNDONE):
            what = "came back" if line.kind == LineKind.REFUND_FAILED else "did not reach the customer"
            self._must_stand(line, self._refund(line), frozenset({"failed"}), what)
        else:
            why = f"a line of the type {line.word or ''!r}"
            key = f"unknown:{line.word}:{line.txn or line.ref or line.at}"
            self._add(Kind.UNKNOWN_LINE, key, why, line, None)

    def _must_stand(self, line: Line, ours: OurSide | None, states: frozenset[str], what: str) -> None:
        if ours is not None and ours.state in states:
            if line.kind != LineKind.REFUND_FAILED:
                self.agreed.append(Agreed(line))
            elif self._gives_it_back(line, ours):
                is_of_a_break = self._clears(ours, "bill")  # then that day's sums have only the bill's side of it
                self.agreed.append(Agreed(line, ours_minor=0 if is_of_a_break else ours.amount_minor))
            return
        number = line.rid or line.rref or line.txn or line.ref
        here = f"{ours.state} here" if ours else "not known here"
        key = f"{line.kind}:{ours.subject_id if ours else name_of(line) or number}"
        self._add(Kind.STATUS, key, f"{number} {what}, and is {here}", line, ours, our=0, state=State.WAITING)

    def _gives_it_back(self, line: Line, ours: OurSide) -> bool:
        """Whether a refund came back whole."""
        if line.currency == ours.currency and self._day.rules.allows(line.currency, line.amount - ours.amount_minor):
            return True
        said = shown(line.amount, line.currency)
        why = f"{said} came back of a refund of {shown(ours.amount_minor, ours.currency)}"
        self._add(Kind.AMOUNT, f"{line.kind}:{ours.subject_id}", why, line, ours, our=ours.amount_minor)
        return False

    # Shared --------------------------------------------------------------------------------------------------------

    def _payment(self, line: Line) -> OurSide | None:
        """The payment of ours that a line names."""
        found = (self._known.by_number.get(number) for number in (line.txn, line.ref) if number is not None)
        return next((ours for ours in found if ours is not None), None)

    def _refund(self, line: Line) -> OurSide | None:
        """The refund of ours that a line names."""
        its = next((found for name in names_in(line) if (found := self._refunds.get(name))), [])
        return meant(line, its, self._day.rules)

    def _add(
        self, kind: Kind, key: str, why: str, line: Line, ours: OurSide | None, *, bill: int | None = None,
        our: int | None = None, state: State = State.OPEN, until: datetime | None = None,
    ) -> None:  # fmt: skip
        if our is None and ours is not None:
            our = ours.signed_minor
        self.breaks.append(
            Found(
                key=key,
                kind=kind,
                what=line.kind,
                state=state,
                currency=line.currency,
                bill_minor=line.amount if bill is None else bill,
                ours_minor=our,
                why=why,
                line=side_of(line, self._day.bill_id),
                ours=ours,
                suggestion=self._known.suggestions.get(line.n) if ours is None else None,
                wait_until=(until or self._day.wait_until) if state is State.WAITING else None,
            )
        )
