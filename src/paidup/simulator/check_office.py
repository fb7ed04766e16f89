"""What must hold of deeds that take a second person: our tables against what people remember to have said."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from paidup import ids
from paidup.refunds.states import State as RefundState
from paidup.simulator.books import Books
from paidup.simulator.script import Office
from paidup.simulator.witness import Breach, Deed, Witness

if TYPE_CHECKING:
    from asyncpg import Connection, Record

APPROVALS = "SELECT id, action, subject_id, key, asked_by, state, decided_by FROM approvals ORDER BY id"
AUDIT = "SELECT action, subject_id, count(*) AS lines FROM audit GROUP BY 1, 2"
CONFIRMED = "SELECT DISTINCT payment_id FROM decisions WHERE road = 'operator' AND outcome = 'applied'"
REPAIRS = """
SELECT r.break_id, r.day, r.channel, r.currency, r.amount_minor, b.kind
FROM break_repairs r JOIN breaks b ON b.id = r.break_id ORDER BY r.at, r.break_id"""


class Asked(msgspec.Struct, frozen=True):
    """A request as it stands in our table."""

    id: str
    action: str
    subject_id: str
    key: str
    asked_by: str
    state: str
    decided_by: str | None


class Repair(msgspec.Struct, frozen=True):
    """A difference that was repaired, and how much that was."""

    break_id: str
    day: date
    channel: str
    currency: str
    amount_minor: int
    kind: str


class Files(msgspec.Struct, frozen=True):
    """Both sides. audit: how many lines of an action about a subject. confirmed: payments moved by a person's word."""

    office: Office
    books: Books
    witness: Witness
    asked: Sequence[Asked]
    audit: Mapping[tuple[str, str], int]
    confirmed: frozenset[str]
    repairs: Sequence[Repair]

    def people(self, about: str) -> set[str]:
        """Who said yes to it, whatever he was answered."""
        return self.witness.agreed.get(about, set())

    def is_done(self, deed: Deed) -> bool:
        """Whether it was carried out."""
        if deed.action == "refund":
            return refund_id(deed.payment_id, deed.key) in self.books.refunds
        return deed.payment_id in self.confirmed


def refund_id(payment_id: str, key: str) -> str:
    """Which refund a person's request is."""
    return ids.derived_id(ids.REFUND, payment_id, f"requested/hand/{key}")


def nothing_above_a_limit_is_one_persons_deed(files: Files) -> list[str]:
    """What is above a limit was done only where two different people said yes."""
    wrong = [
        f"{deed.name} of {deed.minor} was done by the word of {sorted(files.people(deed.name))}"
        for deed in files.witness.deeds
        if deed.minor > files.office.limit_minor and files.is_done(deed) and not _is_agreed(files, deed)
    ]
    known = {deed.payment_id for deed in files.witness.deeds if deed.action == "confirm"}
    return wrong + [f"payment {name} was confirmed, and nobody asked for it" for name in files.confirmed - known]


def small_pieces_stay_within_the_limit_together(files: Files) -> list[str]:
    """What was refunded of one payment by the word of one person stays below the limit, in however many pieces."""
    sums = Counter[str]()
    for deed in files.witness.deeds:
        made = files.books.refunds.get(refund_id(deed.payment_id, deed.key)) if deed.action == "refund" else None
        if made is not None and made.state is not RefundState.FAILED and len(files.people(deed.name)) < 2:
            sums[deed.payment_id] += deed.minor
    return [
        f"{minor} of payment {name} was refunded without two people"
        for name, minor in sums.items()
        if minor > files.office.limit_minor
    ]


def _is_agreed(files: Files, deed: Deed) -> bool:
    """By two people; of several who confirm one payment any request will do."""
    same = [
        other
        for other in files.witness.deeds
        if (other.action, other.payment_id) == (deed.action, deed.payment_id)
        and (deed.action == "confirm" or other.key == deed.key)
    ]
    return any(len(files.people(other.name)) > 1 for other in same)


def repairs_stay_within_their_limits(files: Files) -> list[str]:
    """A day's repairs that fewer than two people agreed to stay below the limit of each account and currency, and none
    is of a kind that always takes two."""
    alone = [one for one in files.repairs if len(files.people(f"break {one.break_id}")) < 2]
    sums = Counter[tuple[date, str, str]]()
    for one in alone:
        sums[one.day, one.channel, one.currency] += one.amount_minor
    wrong = [
        f"{day} {channel}: {minor} {currency} was repaired without two people"
        for (day, channel, currency), minor in sums.items()
        if minor > files.office.repair_minor
    ]
    kinds = files.office.kinds
    return wrong + [f"{one.kind} {one.break_id} was repaired without two people" for one in alone if one.kind in kinds]


def an_approval_is_carried_out_once(files: Files) -> list[str]:
    """What was agreed to was done, once; what was refused, or waits, was not; and it is a second person who decided."""
    wrong = []
    for one in files.asked:
        approved = one.state == "approved"
        given = files.audit.get(("approval.given", one.id), 0)
        name = f"{one.action} {one.id} ({one.state})"
        if given != int(approved):
            wrong.append(f"{name} was given {given} times")
        if approved and (one.decided_by == one.asked_by or one.decided_by not in files.people(_about(one))):
            wrong.append(f"{name} was asked by {one.asked_by} and decided by {one.decided_by}")
        if one.action == "refund":
            done = files.audit.get(("refund.requested", refund_id(one.subject_id, one.key)), 0)
            if done != int(approved):
                wrong.append(f"{name} was carried out {done} times")
    return wrong + _confirmed_too_often(files)


def _confirmed_too_often(files: Files) -> list[str]:
    """How often a payment was confirmed: once for each approval, and for each who may do it alone."""
    approved = Counter(one.subject_id for one in files.asked if (one.action, one.state) == ("confirm", "approved"))
    asked = {(one.subject_id, one.key) for one in files.asked}
    confirms = [deed for deed in files.witness.deeds if deed.action == "confirm"]
    alone = {deed.payment_id for deed in confirms if (deed.payment_id, deed.key) not in asked}
    return [
        f"payment {name} was confirmed {files.audit.get(('payment.confirmed', name), 0)} times for {count} approvals"
        for name in {deed.payment_id for deed in confirms} - alone
        for count in [approved[name]]
        if files.audit.get(("payment.confirmed", name), 0) != count
    ]


def _about(one: Asked) -> str:
    return f"{one.action} {one.subject_id} {one.key}"


def what_was_asked_is_there(files: Files) -> list[str]:
    """A request that somebody was told of is in the table."""
    here = {one.id: _about(one) for one in files.asked}
    return [f"{name} ({about}) was promised" for name, about in files.witness.asked.items() if here.get(name) != about]


INVARIANTS: Sequence[Callable[[Files], list[str]]] = (
    nothing_above_a_limit_is_one_persons_deed,
    small_pieces_stay_within_the_limit_together,
    repairs_stay_within_their_limits,
    an_approval_is_carried_out_once,
    what_was_asked_is_there,
)


def examine(files: Files) -> list[Breach]:
    """All invariants; each breach under the name of what it breaks."""
    found = ((invariant.__name__.replace("_", " "), invariant(files)) for invariant in INVARIANTS)
    return [Breach(name, what) for name, wrong in found for what in wrong]


async def read_files(connection: "Connection[Record]", office: Office, books: Books, witness: Witness) -> Files:
    """What stands in our tables."""
    return Files(
        office=office,
        books=books,
        witness=witness,
        asked=[Asked(**row) for row in await connection.fetch(APPROVALS)],
        audit={(row["action"], row["subject_id"]): row["lines"] for row in await connection.fetch(AUDIT)},
        confirmed=frozenset(row["payment_id"] for row in await connection.fetch(CONFIRMED)),
        repairs=[Repair(**row) for row in await connection.fetch(REPAIRS)],
    )
