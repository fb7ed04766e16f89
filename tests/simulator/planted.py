"""Defects that people really write, to be planted one by one: see test_it_bites.py.

Each takes pytest's MonkeyPatch. They are written as the mistake would be, not as the smallest change that is noticed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import planted_bills
import planted_office
import planted_pages
import pytest

from paidup import apply as door
from paidup import ask, ids, settle
from paidup.channels.alipay import callback as alipay_callback
from paidup.channels.messages import Unknown
from paidup.checkout import open as checkout_open
from paidup.checkout import refund as checkout_refund
from paidup.db.flusher import Flusher
from paidup.delivery import store as deliveries
from paidup.evidence import PaymentEvidence, PaymentSays
from paidup.intake import inbox, worker
from paidup.orders import store as orders
from paidup.orders.states import TABLE as ORDER_TABLE
from paidup.orders.states import GiveBack
from paidup.orders.states import Happening as OrderHappening
from paidup.orders.states import State as OrderState
from paidup.outbox import store as outbox
from paidup.participant import Barrier, Call, Entry, Operation, Refused, Reply, barrier
from paidup.payments import decide as payment_rules
from paidup.payments import store as payments
from paidup.payments.states import TABLE as PAYMENT_TABLE
from paidup.payments.states import Happening, Move, State
from paidup.resilience.breaker import Breaker, Ending, Permit
from paidup.resilience.breaker import State as BreakerState
from paidup.schedule import store as schedule
from paidup.settle.announce import event
from paidup.settle.book import find_payment
from paidup.simulator.actors import ACTING
from paidup.simulator.office import OFFICE_FROM
from paidup.simulator.outcome import Outcome
from paidup.simulator.pages import PAGES_FROM
from paidup.simulator.run import START
from paidup.simulator.undertakings import SERVICES_FROM
from paidup.transactions import decide as rules
from paidup.transactions import store as transactions_store
from paidup.transactions import ways
from paidup.transactions import worker as transactions_worker
from paidup.transactions.states import StepState
from paidup.transactions.transaction import StepRun, Transaction
from paidup.transactions.ways import Look, Verdict
from paidup.web import payments as web_payments

Patch = pytest.MonkeyPatch


class Defect(NamedTuple):
    """What is wrong, and how it is planted. needs: the kind of fault without which it does no harm, or how
    what it spoils is paid."""

    what: str
    plant: Callable[[Patch], None]
    first: int = 1
    """From which seed on stories have what it spoils."""
    needs: str = ""


def acknowledged_before_the_commit(patch: Patch) -> None:
    async def put(self: Flusher[Any], row: Any) -> None:
        nobody_waits = asyncio.get_running_loop().create_future()
        nobody_waits.add_done_callback(lambda future: future.exception())
        self._waiting.append((row, nobody_waits))
        self._start()

    patch.setattr(Flusher, "put", put)


def finished_before_its_consequences(patch: Patch) -> None:
    async def run_once(
        db: Any, *, now: datetime, limit: int, handlers: Any, spans: Any = None, floor: Any = None
    ) -> int:
        async with db.transaction() as tx:
            claimed = await inbox.claim(tx, now, limit)
            await inbox.done(tx, [row.seq for row in claimed])
        if claimed:
            async with db.transaction() as tx:
                await worker._settle(tx, claimed, now, handlers)
        return len(claimed)

    patch.setattr(worker, "run_once", run_once)


def updated_whatever_the_state_was(patch: Patch) -> None:
    patch.setattr(orders, "LOCK", orders.LOCK.replace(" FOR UPDATE", ""))
    patch.setattr(orders, "UPDATE", orders.UPDATE.replace(" AND o.state = c.old_state AND o.event_seq = c.old_seq", ""))
    patch.setattr(payments, "UPDATE", payments.UPDATE.replace(" AND p.state = c.old_state", ""))


def _paid_again(patch: Patch, key_of: Callable[[PaymentEvidence], str], kept: timedelta) -> None:
    """Whether money is new is decided by a key that was seen, and no longer by the payment."""
    honest, seen = settle.payment_evidence, dict[str, datetime]()

    def payment_evidence(book: Any, evidence: Any, now: datetime) -> Any:
        settled = honest(book, evidence, now)
        payment = find_payment(book, evidence)
        if not isinstance(evidence, PaymentEvidence) or evidence.says is not PaymentSays.PAID or payment is None:
            return settled
        known = seen.get(key_of(evidence))
        seen[key_of(evidence)] = now
        if payment.state is State.PAID and (known is None or now - known > kept):
            again = (event(door.EventType.PAYMENT_PAID, book.order, payment),)
            return msgspec.structs.replace(settled, outcome=settle.book.Weighed.APPLIED, events=again)
        return settled

    patch.setattr(settle, "payment_evidence", payment_evidence)


def guarded_by_the_dedup_key(patch: Patch) -> None:
    _paid_again(patch, lambda evidence: evidence.key, timedelta(days=365))


def guarded_by_a_key_that_expires(patch: Patch) -> None:
    _paid_again(patch, lambda evidence: evidence.merchant_ref or "", timedelta(hours=1))


def paged_with_offset(patch: Patch) -> None:
    """A repair run twice a minute pages through what is due; each page makes the set shorter."""
    query = schedule.CLAIM.replace("LIMIT $3", "LIMIT $3 OFFSET $4")
    run = {"page": 0, "next": START}

    async def claim(tx: Any, now: datetime, until: datetime, limit: int) -> Any:
        if now < run["next"]:
            return []
        rows = [schedule.Due(*row) for row in await tx.fetch(query, now, until, limit, run["page"] * limit)]
        run["page"] += 1
        if not rows:
            run.update(page=0, next=now + timedelta(seconds=30))
        return rows

    patch.setattr(schedule, "claim", claim)


def breaker_closed_by_late_results(patch: Patch) -> None:
    honest = Breaker.ended

    def ended(self: Breaker, permit: Permit, now: datetime, ending: Ending, elapsed_s: float) -> Breaker:
        if ending is Ending.WORKED and self.state is not BreakerState.CLOSED:
            return Breaker(rules=self.rules, generation=self.generation + 1)
        return honest(self, permit, now, ending, elapsed_s)

    patch.setattr(Breaker, "ended", ended)


def delivered_before_the_answer(patch: Patch) -> None:
    done = deliveries.CLAIM.replace("SET due_at = $2", "SET due_at = $2, state = 'delivered', head = false")
    patch.setattr(deliveries, "CLAIM", done)


def published_from_memory(patch: Patch) -> None:
    """The event's row is written with the change; the queue hears of it afterwards, from the process's memory."""
    honest, pending = deliveries.fan_out, defaultdict[object, list[Any]](list)

    async def write(tx: Any, events: Any) -> None:
        rows = [
            (e.id, e.created_at, e.shop, e.type, e.order_id, e.seq, e.subject_id, msgspec.json.encode(e.data).decode())
            for e in events
        ]
        if rows:
            await tx.copy_records_to_table("events", records=rows, columns=outbox.COLUMNS.split(", "))
        pending[ACTING.get().life] += [row[:6] for row in rows]

    async def fan_out(tx: Any, now: datetime, limit: int, floor: Any) -> int:
        mine = pending.pop(ACTING.get().life, [])
        for row in mine:
            await tx.execute(
                "INSERT INTO outbox_queue (event_id, created_at, shop, type, order_id, seq) "
                "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                *row,
            )
        return await honest(tx, now, limit, floor)

    patch.setattr(outbox, "write", write)
    patch.setattr(deliveries, "fan_out", fan_out)


def numbered_by_a_sequence(patch: Patch) -> None:
    """As with a database sequence, a number that was given out is gone, whether or not the work is committed."""
    honest, last = door._number, defaultdict[str, int](int)

    def number(originals: Any, steps: Any, opened: Any, now: datetime, series: Any) -> Any:
        told = honest(originals, steps, opened, now, series)
        for n, events in told.items():
            for k, one in enumerate(events):
                last[one.order_id] = max(last[one.order_id] + 1, one.seq)
                told[n][k] = msgspec.structs.replace(one, seq=last[one.order_id])
        return told

    patch.setattr(door, "_number", number)


def refund_without_a_derived_key(patch: Patch) -> None:
    anew = SimpleNamespace(REFUND=ids.REFUND, derived_id=lambda kind, _payment, _cause: ids.new_id(kind, START))
    patch.setattr(checkout_refund, "ids", anew)


def refund_sent_under_a_new_number(patch: Patch) -> None:
    honest = ask.refund_name

    def refund_name(refund: Any, payment: Any, order: Any) -> Any:
        name = honest(refund, payment, order)
        return msgspec.structs.replace(name, merchant_refund_ref=ids.new_id(ids.REFUND, START))

    patch.setattr(ask, "refund_name", refund_name)


def another_amount_accepted(patch: Patch) -> None:
    patch.setattr(payment_rules, "mismatch", lambda _payment, _evidence: "")


def not_found_is_failed(patch: Patch) -> None:
    for state in (State.CREATED, State.OPEN):
        patch.setitem(PAYMENT_TABLE, (state, Happening.NOT_FOUND), Move(State.CLOSED, "the channel does not know it"))


def given_back_without_the_lease(patch: Patch) -> None:
    patch.setattr(schedule, "POSTPONE", schedule.POSTPONE.replace(" AND d.lease = c.lease", ""))


def timeout_means_declined(patch: Patch) -> None:
    """No answer: the payment is given up, and another one opened."""
    honest = checkout_open.open_payment

    async def open_payment(*args: Any, **options: Any) -> Any:
        offer = await honest(*args, **options)
        if isinstance(offer.outcome, Unknown):
            wanted = msgspec.structs.replace(options["wanted"], key=options["wanted"].key + "/again")
            offer = await honest(*args, **(options | {"wanted": wanted}))
        return offer

    patch.setattr(web_payments, "open_payment", open_payment)


def parked_is_dropped(patch: Patch) -> None:
    async def park(tx: Any, rows: Any) -> None:
        await inbox.done(tx, [row[0] for row in rows])

    patch.setattr(inbox, "park", park)


def closed_without_asking(patch: Patch) -> None:
    for state in (State.CREATED, State.OPEN):
        patch.setitem(PAYMENT_TABLE, (state, Happening.CLOSE_ASKED), Move(State.CLOSED, "its time is over"))


def late_success_is_refused(patch: Patch) -> None:
    patch.setitem(PAYMENT_TABLE, (State.CLOSED, Happening.PAID), Move(State.CLOSED, "already closed"))


def second_payment_is_kept(patch: Patch) -> None:
    for state in OrderState:
        move = ORDER_TABLE[state, OrderHappening.SECOND_PAYMENT_PAID]
        kept = msgspec.structs.replace(move, give_back=GiveBack.NO)
        patch.setitem(ORDER_TABLE, (state, OrderHappening.SECOND_PAYMENT_PAID), kept)


def sent_before_its_turn(patch: Patch) -> None:
    patch.setattr(deliveries, "CLAIMABLE", deliveries.CLAIMABLE.replace("AND head AND", "AND state = 'waiting' AND"))


def born_before_its_turn(patch: Patch) -> None:
    """Whoever is given to the endpoints is ready to go, though an earlier event of its order is still in the queue."""
    waits = "    AND NOT EXISTS (SELECT FROM outbox_queue o WHERE o.order_id = q.order_id AND o.seq < q.seq)\n"
    assert waits in deliveries.FAN_OUT
    patch.setattr(deliveries, "FAN_OUT", deliveries.FAN_OUT.replace(waits, ""))


def everybody_is_believed(patch: Patch) -> None:
    patch.setattr(alipay_callback, "verified", lambda _pairs, _account: None)


# Transactions across services ----------------------------------------------------------------------------------------


def no_barrier(patch: Patch) -> None:
    """Each request is done as it comes."""

    async def run_async(_self: Barrier, connection: Any, call: Call, business: Any) -> Reply:
        if call.operation not in business:
            return Reply(200, b"{}", Entry.REPORT)
        try:
            return Reply(200, msgspec.json.encode(await business[call.operation](connection, call)), Entry.FRESH)
        except Refused:
            return Reply(409, b"{}", Entry.FRESH)

    patch.setattr(Barrier, "run_async", run_async)


def null_compensation_acts(patch: Patch) -> None:
    """The barrier lets each undoing in once, whether or not there is anything to undo."""

    def enter_back(self: Barrier, call: Call) -> Any:
        row = yield from self._placed(call, barrier.BACK, barrier.DONE)
        return None if row.is_ours else barrier._again(row)

    patch.setattr(Barrier, "_enter_back", enter_back)


def hanging_try_acts(patch: Patch) -> None:
    """The barrier does not remember that something was undone which had not come yet."""
    honest = Barrier._enter_back

    def enter_back(self: Barrier, call: Call) -> Any:
        if (yield from self._found(call, barrier.FORWARD)):
            return (yield from honest(self, call))
        return barrier._reply(200, Entry.NULL, {})

    patch.setattr(Barrier, "_enter_back", enter_back)


def no_answer_to_a_confirmation_means_done(patch: Patch) -> None:
    honest = rules._answered

    def answered(t: Any, run: Any, reply: Any, now: datetime, spread: float) -> Any:
        if reply.operation is Operation.CONFIRM and reply.outcome is rules.Outcome.UNKNOWN:
            reply = msgspec.structs.replace(reply, outcome=rules.Outcome.SUCCESS)
        return honest(t, run, reply, now, spread)

    patch.setattr(rules, "_answered", answered)


def no_answer_means_not_done(patch: Patch) -> None:
    """What gave no answer is not undone: it will not have acted."""
    acted = (StepState.DONE, StepState.UNDOING)
    patch.setattr(StepRun, "may_have_acted", property(lambda run: run.state in acted))


def the_pivot_is_ignored(patch: Patch) -> None:
    patch.setattr(Transaction, "has_passed", property(lambda _t: False))


def undone_while_somebody_may_pay(patch: Patch) -> None:
    patch.setattr(ways, "_give_up", lambda *_: Look(verdict=Verdict.COMPLETE))


def written_down_after_the_call(patch: Patch) -> None:
    """That somebody is asked is committed with his answer, and not before he is asked."""
    honest = transactions_store.save

    async def save(tx: Any, before: Any, after: Any, moved: Any, now: datetime, **options: Any) -> bool:
        old = {run.name: run for run in before.steps}
        kept = after.put(*(old[run.name] for run in after.steps if run.asking))
        return await honest(tx, before, kept, moved, now, **options)

    patch.setattr(transactions_store, "save", save)


def stuck_without_an_alarm(patch: Patch) -> None:
    honest = transactions_worker._announce

    async def announce(tx: Any, before: Any, after: Any, *more: Any) -> None:
        if after.is_final:
            await honest(tx, before, after, *more)

    patch.setattr(transactions_worker, "_announce", announce)


def is_noticed(outcome: Outcome) -> bool:
    """Whether a run with a defect breaks something. One that only trips over its own code is no defect."""
    slips = ("TypeError", "AttributeError", "NameError")
    return not outcome.holds and not any(slip in breach.what for breach in outcome.breaches for slip in slips)


DEFECTS = (
    Defect("a callback is acknowledged before its commit", acknowledged_before_the_commit),
    Defect("an inbox row is finished before its consequences are written", finished_before_its_consequences),
    Defect("an order is read without its lock and updated whatever its state was", updated_whatever_the_state_was),
    Defect("the notice's key decides whether money is new", guarded_by_the_dedup_key),
    Defect("what guards against paying twice expires", guarded_by_a_key_that_expires),
    Defect("due rows are paged with OFFSET", paged_with_offset, needs="paging"),
    Defect("a late result closes an open breaker", breaker_closed_by_late_results, needs="breaker"),
    Defect("a delivery is done before its answer came", delivered_before_the_answer),
    Defect("events are published from memory after the commit", published_from_memory),
    Defect("events are numbered by a sequence, with gaps", numbered_by_a_sequence),
    Defect("a refund's id does not follow from the shop's key", refund_without_a_derived_key),
    Defect("a refund is sent under a new number each time", refund_sent_under_a_new_number),
    Defect("another amount than agreed is accepted", another_amount_accepted),
    Defect("a payment the channel does not know yet has failed", not_found_is_failed),
    Defect("a due row is given back without looking at its lease", given_back_without_the_lease),
    Defect("no answer means declined, and another payment is opened", timeout_means_declined),
    Defect("what came too early is dropped", parked_is_dropped),
    Defect("an order is closed without asking the channel", closed_without_asking),
    Defect("a success after the close is refused", late_success_is_refused),
    Defect("a second payment is kept", second_payment_is_kept),
    Defect("events are sent before their turn", sent_before_its_turn),
    Defect(
        "an event is born ready to go while an earlier one is in the queue",
        born_before_its_turn,
        needs="late commits",
    ),
    Defect("a verifier believes everybody", everybody_is_believed),
    Defect("a participant has no barrier", no_barrier, first=SERVICES_FROM),
    Defect("what was never done is undone", null_compensation_acts, first=SERVICES_FROM),
    Defect("a request that comes after its undoing acts", hanging_try_acts, first=SERVICES_FROM),
    Defect("no answer to a confirmation means done", no_answer_to_a_confirmation_means_done, first=SERVICES_FROM),
    Defect("no answer means not done, and is not undone", no_answer_means_not_done, first=SERVICES_FROM),
    Defect("the pivot is ignored", the_pivot_is_ignored, first=SERVICES_FROM),
    Defect("services give back while somebody may pay", undone_while_somebody_may_pay, first=SERVICES_FROM),
    Defect("a step is written down after its call", written_down_after_the_call, first=SERVICES_FROM),
    Defect("a transaction is stuck, and nobody is called", stuck_without_an_alarm, first=SERVICES_FROM),
    Defect(
        "a line is matched however often the bill has it", planted_bills.a_line_is_matched_twice, needs="bill.duplicate"
    ),
    Defect(
        "a refund of the bill is booked anew each time", planted_bills.mended_under_a_new_number, needs="callback.never"
    ),
    Defect("a break is mended around the door", planted_bills.mended_around_the_door, needs="callback.never"),
    Defect(
        "no bill is an empty day, whatever our books have", planted_bills.no_bill_is_an_empty_day, needs="bill.denied"
    ),
    Defect(
        "what waits for the next bill is never cleared",
        planted_bills.what_waits_is_never_cleared,
        needs="bill.wrong day",
    ),
    Defect("a bill's fetch is done before it is read", planted_bills.fetched_before_it_is_read, needs="process.dies"),
    Defect(
        "a corrected bill is kept, and its day left as it was",
        planted_bills.kept_and_never_laid,
        needs="bill.corrected",
    ),
    Defect(
        "a file that was refused is not asked for again", planted_bills.a_refused_file_is_final, needs="bill.wrong hash"
    ),
    Defect(
        "the limit of one person is in another unit",
        planted_office.a_limit_in_another_unit,
        first=OFFICE_FROM,
        needs="alone",
    ),
    Defect(
        "an approval is carried out each time somebody agrees",
        planted_office.carried_out_each_time,
        first=OFFICE_FROM,
        needs="twice",
    ),
    Defect("repairs above the limit ask nobody", planted_office.repaired_without_asking, first=OFFICE_FROM),
    Defect(
        "what Alipay has no trade of is closed", planted_pages.no_trade_means_closed, first=PAGES_FROM, needs="page"
    ),
    Defect(
        "a code of the shop's own ends with the order",
        planted_pages.a_code_of_the_shop_is_closed,
        first=PAGES_FROM,
        needs="precreate",
    ),
    Defect(
        "a page of Stripe's is asked about by its intent",
        planted_pages.asked_by_its_intent,
        first=PAGES_FROM,
        needs="checkout",
    ),
    Defect(
        "until when the shop's page lives is forgotten",
        planted_pages.ends_with_the_order,
        first=PAGES_FROM,
        needs="page",
    ),
    Defect(
        "a number of the shop's has at most 64 characters",
        planted_pages.numbers_of_64_characters,
        first=PAGES_FROM,
        needs="checkout",
    ),
)
__all__ = ["DEFECTS", "Defect", "is_noticed"]
