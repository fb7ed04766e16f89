"""What the judge is told of what was left over: our rows that it may belong to, and what other runs said of them."""

from datetime import date
from typing import Any

import msgspec

from paidup.db.transaction import Tx
from paidup.reconcile import ours, runs, store
from paidup.reconcile.breaks import OurSide
from paidup.reconcile.known import OF_DISPUTES, Earlier, Known, side_of
from paidup.reconcile.match import Matched
from paidup.reconcile.party import Party
from paidup.reconcile.states import UNSETTLED


async def look_up(tx: Tx, party: Party, day: date, matched: Matched) -> Known:
    """Whatever was left over, by all of its numbers, and what runs said of it."""
    channel, account = party.account.channel, party.account.name
    payments, refunds = matched.payments, matched.refunds
    alone = [line for line, one in payments if line is not None and one is None]
    given_back = [line for line, one in refunds if line is not None and one is None]
    by_id = await ours.by_id(tx, [one for _, one in payments if one], [one for _, one in refunds if one])
    numbers = [n for line in (*alone, *given_back, *matched.others) for n in (line.txn, line.ref) if n]
    by_number = await ours.by_number(tx, channel, account, numbers)
    names = [(n, line.txn, line.ref) for line in (*given_back, *matched.others) for n in (line.rid, line.rref) if n]
    refunds_named = await ours.refunds_named(tx, channel, account, names)
    sides = {side.subject_id: side for side in (*by_id.values(), *by_number.values(), *refunds_named)}
    zone = party.channel.bill_zone(party.account)
    days = {subject: side.at.astimezone(zone).date() for subject, side in sides.items() if side.at}
    strangers = [line for line in alone if not {line.txn, line.ref} & by_number.keys()]
    suggestions = await _suggested(tx, party, strangers)
    disputed = {n for line in matched.others if line.kind in OF_DISPUTES for n in (line.txn, line.ref) if n}
    disputes = await ours.disputes(tx, [by_number[n].payment_id for n in disputed & by_number.keys()])
    known = Known(
        by_number=by_number, refunds=refunds_named, by_id=by_id, days=days, disputes=disputes, suggestions=suggestions
    )  # fmt: skip
    return await with_runs(tx, party, day, known)


async def with_runs(tx: Tx, party: Party, day: date, known: Known) -> Known:
    """With what runs of other days, and the last one of this day, said by now."""
    channel, account = party.account.channel, party.account.name
    about = await store.about(tx, channel, account, day, list(known.subjects))
    here = (await store.of_day(tx, channel, account, day)).values()
    return msgspec.structs.replace(
        known,
        earlier=_earlier(about),
        read=await runs.days_read(tx, channel, account, sorted(set(known.days.values()) - {day})),
        cleared_here=frozenset(one.key for one in here if one.cleared_by),
        unsettled_here=frozenset(one.key for one in here if one.state in UNSETTLED),
    )


def _earlier(about: list[Any]) -> dict[str, list[Earlier]]:
    found: dict[str, list[Earlier]] = {}
    for one in about:
        subject = one.refund_id or one.payment_id
        side = "bill" if one.line else "ours"
        found.setdefault(subject, []).append(Earlier(one.id, subject, side, one.day, one.currency, one.bill_minor))
    return found


async def _suggested(tx: Tx, party: Party, strangers: list[Any]) -> dict[int, OurSide]:
    sides = [side_of(line, "") for line in strangers]
    wanted = [(side.line, side.currency, side.amount_minor, side.at) for side in sides]
    return await ours.suggestions(tx, party.account.channel, party.account.name, wanted)
