"""Where the judge gathers what is found of a day, and what every judgement of a line asks. Pure."""

from collections.abc import Sequence
from datetime import datetime

from paidup.money import shown
from paidup.reconcile.breaks import Found, Kind, OurSide
from paidup.reconcile.known import Agreed, Apart, Day, Known, side_of
from paidup.reconcile.match import Line
from paidup.reconcile.naming import by_name, meant, name_of, names_in
from paidup.reconcile.states import State

PAID = frozenset({"paid", "disputed", "charged_back"})
"""States of a payment whose money came."""


class Bench:
    """Collects what is found."""

    def __init__(self, known: Known, day: Day) -> None:
        self.known, self.day = known, day
        self._refunds = by_name(known.refunds)
        self.breaks: list[Found] = []
        self.agreed: list[Agreed] = []
        self.cleared: list[str] = []
        self.apart: dict[str, Apart] = {}

    # Whose line it is ----------------------------------------------------------------------------------------------

    def payment_of(self, line: Line) -> OurSide | None:
        """The payment of ours that a line names."""
        found = (self.known.by_number.get(number) for number in (line.txn, line.ref) if number is not None)
        return next((ours for ours in found if ours is not None), None)

    def refund_of(self, line: Line) -> OurSide | None:
        """The refund of ours that a line names."""
        its = next((found for name in names_in(line) if (found := self._refunds.get(name))), [])
        return meant(line, its, self.day.rules)

    def is_of_today(self, ours: OurSide) -> bool:
        """Whether our side stands in the day that is judged."""
        return ours.at is None or self.day.begins_at <= ours.at < self.day.ends_at

    # Its money -----------------------------------------------------------------------------------------------------

    def adds_up(self, lines: Sequence[Line], ours: Sequence[OurSide]) -> bool:
        """Whether these lines are over the money of these of ours."""
        currencies = {line.currency for line in lines} | {one.currency for one in ours}
        differs = sum(line.amount for line in lines) - sum(one.signed_minor for one in ours)
        return len(currencies) == 1 and self.day.rules.allows(lines[0].currency, differs)

    def same_money(self, line: Line, ours: OurSide) -> bool:
        """Whether both say the same money; where they do not, that is a break."""
        apart = self._apart(line.amount, line.currency, ours)
        if apart is not None:
            self.add(apart.kind, f"{line.kind}:{ours.subject_id}", apart.why, line, ours, our=apart.ours_minor)
        return apart is None

    def _apart(self, amount_minor: int, currency: str, ours: OurSide) -> Apart | None:
        said = f"the bill says {shown(amount_minor, currency)}"
        why = f"{said}, our books {shown(ours.signed_minor, ours.currency)}"
        if currency != ours.currency:
            return Apart(kind=Kind.CURRENCY, ours_minor=0, why=why)
        if not self.day.rules.allows(currency, amount_minor - ours.signed_minor):
            return Apart(kind=Kind.AMOUNT, ours_minor=ours.signed_minor, why=why)
        return None

    # What is found -------------------------------------------------------------------------------------------------

    def clears(self, ours: OurSide, side: str) -> bool:
        """Whether another day has the other side of it. Where that is the bill's, its money is compared here."""
        found = [one for one in self.known.earlier.get(ours.subject_id, ()) if one.side == side]
        for one in found:
            self.cleared.append(one.id)
            apart = self._apart(one.bill_minor, one.currency, ours) if one.bill_minor is not None else None
            if apart is not None:
                self.apart[one.id] = apart
        return bool(found)

    def add_extra(self, line: Line, ours: OurSide | None, why: str) -> None:
        """A line that is there once too often."""
        subject = ours.subject_id if ours else name_of(line) or line.txn or line.ref
        self.add(Kind.DUPLICATE, f"twice:{line.kind}:{subject}", why, line, ours, our=0)

    def add(
        self, kind: Kind, key: str, why: str, line: Line, ours: OurSide | None, *, bill: int | None = None,
        our: int | None = None, state: State = State.OPEN, until: datetime | None = None,
    ) -> None:  # fmt: skip
        """A line that differs from what is here. bill, our: what each side says; unset: the line's amount, and ours.
        until: how long it may wait, where it waits; unset: as long as everything."""
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
                line=side_of(line, self.day.bill_id),
                ours=ours,
                suggestion=self.known.suggestions.get(line.n) if ours is None else None,
                wait_until=(until or self.day.wait_until) if state is State.WAITING else None,
            )
        )
