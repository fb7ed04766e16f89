"""What must hold of transactions across services when the trouble is over: what the services did, deed by deed, against
what we have. It shares no rule with what moves transactions, nor with `paidup tx check`, which must find nothing."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from paidup.simulator.staged_services import CHANGES
from paidup.simulator.witness import Breach, Witness
from paidup.transactions import store
from paidup.transactions.compare import Difference

if TYPE_CHECKING:
    from asyncpg import Connection, Record

SLACK = timedelta(minutes=10)
"""On top of what a transaction promises: so long may all processes be dead or stand still."""

LONGEST_WAIT = timedelta(seconds=1800 * 1.1)
"""Between two tries of what must end. Where all stood still for longer than SLACK, or a service was away until the
trouble ended, the next try may be so far off."""

DEEDS = "SELECT xid, step, operation FROM services.deeds ORDER BY id"
SHELVES = "SELECT service, available, held, taken FROM services.shelves ORDER BY service"
BY_SERVICE = "SELECT service, operation, count(*) AS deeds FROM services.deeds GROUP BY 1, 2"
STEPS = "SELECT xid, name, state FROM transaction_steps ORDER BY xid, name"
TRANSACTIONS = """
SELECT t.id, t.order_id, t.name, t.state, o.state AS order_state,
  (SELECT count(*) FROM transaction_journal j
   WHERE j.xid = t.id AND j.kind = 'move' AND j.step IS NULL AND j.after = 'MANUAL') AS stuck,
  (SELECT count(*) FROM cases c WHERE c.kind = 'transaction_stuck' AND c.subject_id = t.id) AS alarms,
  (SELECT count(*) FROM cases c WHERE c.kind = 'transaction_stuck' AND c.subject_id = t.id AND c.resolved_at IS NULL)
    AS open_alarms,
  (SELECT count(*) FROM events e WHERE e.subject_id = t.id AND e.type LIKE 'transaction.%') AS told,
  (SELECT max(e.created_at) FROM events e
   WHERE e.order_id = t.order_id AND e.type IN ('order.paid', 'refund.failed')) AS paid_at,
  (SELECT min(e.created_at) FROM events e
   WHERE e.order_id = t.order_id AND e.type IN ('order.closed', 'order.refunded')) AS closed_at,
  (SELECT min(e.seq) FROM events e
   WHERE e.order_id = t.order_id AND e.type IN ('order.closed', 'order.refunded')) AS closed_as,
  (SELECT min(e.seq) FROM events e WHERE e.subject_id = t.id AND e.type = 'transaction.undone') AS undone_as,
  EXISTS (SELECT FROM transaction_steps s WHERE s.xid = t.id AND s.name = 'payment') AS waits
FROM transactions t JOIN orders o ON o.id = t.order_id ORDER BY t.id"""
UNITS_GONE = "SELECT order_id FROM cases WHERE kind = 'stock_gone'"

WELL, UNDONE = ("DONE", "CONFIRMED"), ("COMPENSATED", "CANCELLED")
_ACTS, _UNDOES = ("action", "try"), ("compensate", "cancel")


class Undertaken(msgspec.Struct, frozen=True):
    """A transaction with what was told of it. stuck: how often it came to MANUAL; alarms: how often a person was
    called for that; told: how often its end was told; paid_at: when its order was announced as paid last, or a refund
    of it came back; closed_at: when it was first announced as closed or refunded; closed_as, undone_as: the numbers of
    that event and of its own end among the order's; waits: for the payment, as one of its steps."""

    id: str
    order_id: str
    name: str
    state: str
    order_state: str
    stuck: int
    alarms: int
    open_alarms: int
    told: int
    paid_at: datetime | None
    closed_at: datetime | None
    closed_as: int | None
    undone_as: int | None
    waits: bool


class Agreement(msgspec.Struct, frozen=True):
    """Both sides. deeds: operations by (transaction, step), in the order in which they were committed."""

    transactions: Sequence[Undertaken]
    steps: Mapping[tuple[str, str], str]
    deeds: Mapping[tuple[str, str], Sequence[str]]
    shelves: Mapping[str, tuple[int, int, int]]
    done_by: Mapping[str, Mapping[str, int]]
    units: Mapping[str, int]
    units_gone: frozenset[str]
    witness: Witness
    differences: Sequence[Difference] = ()


def every_transaction_ends(sides: Agreement) -> list[str]:
    """Each has ended, and its end was told once; or it waits for one person, who was called once each time."""
    wrong = []
    for t in sides.transactions:
        has_ended, is_stuck = t.state in (*WELL, *UNDONE), t.state == "MANUAL"
        if not (has_ended or is_stuck):
            wrong.append(f"{t.name} {t.id} is still {t.state}")
        if (t.open_alarms, t.alarms) != (int(is_stuck), t.stuck):
            wrong.append(
                f"{t.name} {t.id} is {t.state}: stuck {t.stuck} times, {t.alarms} alarms, {t.open_alarms} open"
            )
        if t.told != int(has_ended):
            wrong.append(f"{t.name} {t.id} is {t.state}, and its end was told {t.told} times")
    return wrong


def services_agree(sides: Agreement) -> list[str]:
    """Nothing is half: all that was asked is done and stays done, or nothing of it is left. Only a person may have
    answered for a step, and what waits for one may be half."""
    wrong = []
    for t in sides.transactions:
        for (xid, step), state in sides.steps.items():
            if xid != t.id or t.state not in (*WELL, *UNDONE) or state == "skipped":
                continue
            done = Counter(sides.deeds.get((xid, step), ()))
            left = sum(done[act] for act in _ACTS) - sum(done[undoing] for undoing in _UNDOES)
            is_tcc = t.state in ("CONFIRMED", "CANCELLED")
            expected = (int(t.state in WELL), int(t.state == "CONFIRMED"))
            if step != "payment" and (left, done["confirm"] if is_tcc else 0) != expected:
                wrong.append(f"{t.name} {xid} is {t.state}, but of {step} was done: {_said(sides, xid, step)}")
    return wrong


def nothing_is_given_back_while_somebody_may_pay(sides: Agreement) -> list[str]:
    """What waits for the payment is undone after its order was closed, or refunded. By the numbers of events and not
    by their moments: a round that had to wait for the database dates what it writes by its beginning."""
    return [
        f"{t.name} {t.id} was {t.state} by event {t.undone_as}, its order closed by event {t.closed_as or 'none'}"
        for t in sides.transactions
        if t.waits and t.undone_as and t.state in UNDONE and not (t.closed_as and t.closed_as < t.undone_as)
    ]


def a_deed_is_done_once(sides: Agreement) -> list[str]:
    """However often a request was sent, repeated or overtaken."""
    return [
        f"{xid} {step}: {_said(sides, xid, step)}"
        for (xid, step), deeds in sides.deeds.items()
        if any(count > 1 for count in Counter(deeds).values())
    ]


def nothing_is_undone_that_was_not_done(sides: Agreement) -> list[str]:
    """A null compensation does nothing."""
    return [
        f"{xid} {step}: {_said(sides, xid, step)}"
        for (xid, step), deeds in sides.deeds.items()
        if any(deed not in _ACTS and not set(deeds[:n]) & set(_ACTS) for n, deed in enumerate(deeds))
    ]


def nothing_hangs(sides: Agreement) -> list[str]:
    """What comes after its undoing does nothing."""
    ended = {t.id for t in sides.transactions if t.state in UNDONE}
    return [
        f"{xid} {step}: {_said(sides, xid, step)}"
        for (xid, step), deeds in sides.deeds.items()
        if (set(deeds[:-1]) & set(_UNDOES) and deeds[-1] in _ACTS) or (xid in ended and deeds[-1] in _ACTS)
    ]


def what_services_have_adds_up(sides: Agreement) -> list[str]:
    """Available, held and taken follow from the deeds, none is below nought."""
    wrong = []
    for name, shelf in sides.shelves.items():
        sums = [sides.units[name], 0, 0]
        for operation, change in CHANGES.items():
            count = sides.done_by.get(name, {}).get(operation, 0)
            sums = [total + count * by for total, by in zip(sums, change, strict=True)]
        if tuple(sums) != shelf or min(shelf) < 0:
            wrong.append(f"{name} has {shelf}, and its deeds come to {sums}")
    return wrong


def one_wish_is_one_transaction(sides: Agreement) -> list[str]:
    """However often the shop repeats that it begins one; and none begins by itself."""
    wrong = [f"key {key} began {sorted(made)}" for key, made in sides.witness.begun.items() if len(made) > 1]
    known = {t.id for t in sides.transactions}
    promised = {xid for made in sides.witness.begun.values() for xid in made}
    return wrong + [f"{xid} was promised, and is not there" for xid in sorted(promised - known)]


def the_check_finds_nothing(sides: Agreement) -> list[str]:
    """`paidup tx check`: order, payment, stock and services agree, unless a person was called for the order's units, or
    the order was paid after it had been closed, or a refund came back after all had been given back: that is what it is
    for, and it has called somebody."""
    by_id = {t.id: t for t in sides.transactions}
    return [f"{d.xid} {d.step}: {d.what}" for d in sides.differences if not _is_excused(sides, by_id[d.xid], d)]


def _is_excused(sides: Agreement, t: Undertaken, difference: Difference) -> bool:
    if t.order_id in sides.units_gone and "units" in difference.what:
        return True
    late = t.closed_at is not None and t.paid_at is not None and t.paid_at > t.closed_at
    return late and t.state in UNDONE and "its order is paid" in difference.what


def _said(sides: Agreement, xid: str, step: str) -> str:
    return ", ".join(sides.deeds.get((xid, step), ())) or "nothing"


INVARIANTS: Sequence[Callable[[Agreement], list[str]]] = (
    every_transaction_ends,
    services_agree,
    nothing_is_given_back_while_somebody_may_pay,
    a_deed_is_done_once,
    nothing_is_undone_that_was_not_done,
    nothing_hangs,
    what_services_have_adds_up,
    one_wish_is_one_transaction,
    the_check_finds_nothing,
)


def examine(sides: Agreement) -> list[Breach]:
    """All invariants; each breach under the name of what it breaks."""
    found = ((invariant.__name__.replace("_", " "), invariant(sides)) for invariant in INVARIANTS)
    return [Breach(name, what) for name, wrong in found for what in wrong]


async def read_agreement(
    connection: "Connection[Record]", units: Mapping[str, int], witness: Witness, differences: Sequence[Difference]
) -> Agreement:
    """What services did, and what we have."""
    deeds: dict[tuple[str, str], list[str]] = {}
    for row in await connection.fetch(DEEDS):
        deeds.setdefault((row["xid"], row["step"]), []).append(row["operation"])
    done_by: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(BY_SERVICE):
        done_by.setdefault(row["service"], {})[row["operation"]] = row["deeds"]
    return Agreement(
        transactions=[Undertaken(**row) for row in await connection.fetch(TRANSACTIONS)],
        steps={(row["xid"], row["name"]): row["state"] for row in await connection.fetch(STEPS)},
        deeds=deeds,
        shelves={row[0]: (row[1], row[2], row[3]) for row in await connection.fetch(SHELVES)},
        done_by=done_by,
        units=units,
        units_gone=frozenset(row[0] for row in await connection.fetch(UNITS_GONE)),
        witness=witness,
        differences=differences,
    )


async def too_late(connection: "Connection[Record]", calm_at: datetime, now: datetime) -> list[Breach]:
    """Each transaction has ended, or called a person, by the moment that it names, or by its next try in the calm."""
    late = await store.unfinished(connection, None, None, None, 1000)
    return [
        Breach("transactions end within the bound", f"{t.table.name} {t.id} is still {t.state}: {t.why}")
        for t in late
        if t.state != "MANUAL" and max(t.ends_by, calm_at + LONGEST_WAIT) + SLACK < now
    ]
