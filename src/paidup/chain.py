"""The chain of an order's decisions: each that changed something names the fingerprint of the one before it.

The head stands in the order's row. A decision or an event that was edited, added or taken away by hand breaks the
chain at its place, and `verify` names it. Decisions that changed nothing (repeated, parked, ignored) are no links.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from paidup.journal.store import Entry
from paidup.orders.order import Order
from paidup.outbox.store import Written
from paidup.seal import fingerprint, seal

LINKS = frozenset(("applied", "rejected"))
"""Outcomes that change something: a row, or the list of what a person must decide."""

NO_LINK = b""


class Chained(NamedTuple):
    """The entries, those that are links complete; and the new head of each order that has new links."""

    entries: list[Entry]
    heads: dict[str, bytes]


def extend(entries: Sequence[Entry], told: Mapping[int, Sequence[Written]], orders: Mapping[str, Order]) -> Chained:
    """Link new entries, in this order, to the chains of their orders. told: the events of the nth entry."""
    chained = Chained([], {})
    seqs: dict[str, int] = {}
    for n, entry in enumerate(entries):
        if entry.order_id is None or entry.outcome not in LINKS:
            chained.entries.append(entry)
            continue
        order, events = orders[entry.order_id], told.get(n, ())
        seq = seqs[order.id] = events[-1].seq if events else seqs.get(order.id, order.event_seq)
        head = chained.heads.get(order.id, order.chain)
        linked = msgspec.structs.replace(entry, event_seq=seq, told=fingerprint_events(events), prev=head)
        chained.heads[order.id] = seal(linked)
        chained.entries.append(linked)
    return chained


def fingerprint_events(events: Iterable[Written]) -> bytes:
    """The fingerprint of what a decision announced; empty when it announced nothing."""
    said = [(event.id, event.seq, event.type, event.subject_id, msgspec.json.encode(event.data)) for event in events]
    return fingerprint(said) if said else NO_LINK


def breaks(entries: Sequence[Entry], events: Sequence[Written], head: bytes) -> list[str]:
    """Ids of decisions and events at which the chain of one order does not hold; empty when it holds.

    entries: all decisions of the order; events: all of its events; head: what its row says.
    """
    by_prev: dict[bytes, list[Entry]] = {}
    for entry in entries:
        if entry.outcome in LINKS:
            by_prev.setdefault(entry.prev or NO_LINK, []).append(entry)
    at, seq, wrong = NO_LINK, 0, []
    while (links := by_prev.pop(at, None)) is not None:
        link = links[0]
        wrong += [extra.id for extra in links[1:]]
        until = link.event_seq or 0
        said = [event for event in events if seq < event.seq <= until]
        if fingerprint_events(said) != (link.told or NO_LINK):
            wrong += [event.id for event in said] or [link.id]
        at, seq = seal(link), until
    wrong += [entry.id for rest in by_prev.values() for entry in rest]
    if at != head and not by_prev:
        wrong.append("the end of the chain")
    return wrong
