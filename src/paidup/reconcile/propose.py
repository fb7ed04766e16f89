"""What a break's proof would bring to the door, and whether it may go there by itself. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from paidup.evidence import Evidence, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money, major
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.rules import Rules
from paidup.reconcile.states import State

MAX_TRIES = 20
"""So often a channel that gives no answer is asked about one break; then it is left to people."""
ASK_AGAIN_AFTER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6))
"""How long after each question without an answer; from the last on always as long."""
SILENT_TRIES = 3
"""People hear of a difference that has waited long enough only when the channel was silent so often (20 minutes): one
question that got lost is nothing to get up for."""
_CAME = {PaymentSays.PAID, PaymentSays.GIVEN_BACK}
ASKED = (Kind.LONG, Kind.SHORT, Kind.STATUS, Kind.REFUND_UNKNOWN)
"""Kinds about which the channel is asked."""


def testimony(one: Break, now: datetime) -> Evidence | None:
    """The bill's own word for it, as evidence; None where the bill proves nothing that could be booked."""
    line, ours = one.line, one.ours
    if line is None or ours is None:
        return None
    base: dict[str, Any] = {  # Any: the fields that both kinds of evidence share
        "road": Road.BILL,
        "channel": one.channel,
        "account": one.account,
        "key": f"bill:{line.bill_id}:{line.line}",
        "received_at": now,
        "occurred_at": line.at,
        "merchant_ref": ours.merchant_ref,
        "channel_txn_id": line.channel_txn_id,
        "note": f"line {line.line} of bill {line.bill_id}: {line.word}"[:200],
    }
    if one.kind is Kind.LONG and one.what == "payment":
        return PaymentEvidence(**base, amount=Money(line.amount_minor, line.currency), says=PaymentSays.PAID)
    if one.kind in (Kind.STATUS, Kind.REFUND_UNKNOWN) and one.what in ("refund", "refund_failed"):
        says = RefundSays.SUCCEEDED if one.what == "refund" else RefundSays.FAILED
        if line.is_on_its_way:  # what we know already is no news, and what became of it only the channel can tell
            if one.kind is Kind.STATUS:
                return None
            says = RefundSays.PENDING
        return RefundEvidence(
            **base,
            amount=Money(abs(line.amount_minor), line.currency),
            says=says,
            merchant_refund_ref=line.merchant_refund_ref or ours.merchant_refund_ref or line.channel_refund_id,
            channel_refund_id=line.channel_refund_id,
        )
    return None


def as_given_back(one: Break, said: Evidence | None, back_minor: int) -> Evidence | None:
    """The bill's word for a payment of which bills have so much given back, too: when that is all of it, it pays no
    order."""
    if isinstance(said, PaymentEvidence) and 0 < (one.bill_minor or 0) <= back_minor:
        return msgspec.structs.replace(said, says=PaymentSays.GIVEN_BACK)
    return said


def agrees(told: Evidence, bill: Evidence) -> bool:
    """Whether the channel's answer says the same as its bill. That money went back since contradicts no line, and some
    channels call a payment paid whatever became of it."""
    if isinstance(told, PaymentEvidence) and isinstance(bill, PaymentEvidence):
        return {told.says, bill.says} <= _CAME and told.amount in (None, bill.amount)
    if isinstance(told, RefundEvidence) and isinstance(bill, RefundEvidence):
        has_arrived = (bill.says, told.says) == (RefundSays.PENDING, RefundSays.SUCCEEDED)
        return (told.says is bill.says or has_arrived) and told.amount in (None, bill.amount)
    return False


def came_back(told: Evidence, bill: Evidence) -> bool:
    """Whether the refund that left by this line is said to have come back since: no contradiction, but its end."""
    if not (isinstance(told, RefundEvidence) and isinstance(bill, RefundEvidence)):
        return False
    has_left = bill.says in (RefundSays.SUCCEEDED, RefundSays.PENDING)
    return has_left and told.says is RefundSays.FAILED and told.amount in (None, bill.amount)


def has_not_arrived(told: Evidence, bill: Evidence) -> bool:
    """Whether the refund that left by this line is said to be on its way still. Stripe's bill has a refund from the day
    on which it left, and never says how far it is."""
    if not (isinstance(told, RefundEvidence) and isinstance(bill, RefundEvidence)):
        return False
    says = (bill.says, told.says)
    return says == (RefundSays.SUCCEEDED, RefundSays.PENDING) and told.amount in (None, bill.amount)


def ask_again_at(one: Break, now: datetime) -> datetime | None:
    """When the channel is asked once more about a break, after another question without an answer; None: never."""
    tries = one.tries + 1
    return now + ASK_AGAIN_AFTER[min(tries, len(ASK_AGAIN_AFTER)) - 1] if tries < MAX_TRIES else None


class Budget:
    """What may still be repaired today without anybody's approval: a count, and money of each currency."""

    def __init__(self, rules: Rules, so_far: Mapping[str, tuple[int, int]]) -> None:
        self._rules = rules
        self._count = sum(count for count, _ in so_far.values())
        self._minor = {currency: minor for currency, (_, minor) in so_far.items()}

    def refuses(self, one: Break) -> str:
        """Why this break needs people; empty when it may be repaired at once, which is then counted."""
        if one.state is State.APPROVED:
            return ""
        if one.kind in self._rules.approve:
            return f"breaks of the kind {one.kind} need the approval of {self._rules.approvers} people"
        minor = self._minor.get(one.currency, 0) + abs(one.differs_minor)
        if self._count + 1 > self._rules.repair_count:
            return f"{self._rules.repair_count} repairs a day need no approval, and so many were done"
        if minor > self._rules.repair_minor:
            limit = major(Money(self._rules.repair_minor, one.currency))
            return f"{limit} {one.currency} a day need no approval, and this one would exceed it"
        self._count += 1
        self._minor[one.currency] = minor
        return ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair would do. needs: why people must agree first; empty: nobody must."""

    broken: Break
    evidence: Evidence | None
    needs: str

    @property
    def says(self) -> str:
        """In one sentence, for people."""
        if self.evidence is None:
            return "the channel would be asked what became of it"
        what = f"{self.evidence.amount} {self.evidence.says}"
        subject = self.broken.refund_id or self.broken.payment_id or ""
        return f"the channel would be asked, and {subject} booked as {what}"
