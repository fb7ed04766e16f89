"""主动查单/补单: ask the channel about what is due, and bring the answers to the door.

A round claims due rows by lease (one short transaction), asks without holding any, and settles all answers with the
schedule in one transaction. A worker that dies while asking gives its rows back when the lease ends; asking twice
harms nobody.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from paidup import ids, log
from paidup.apply import Item, Result, apply
from paidup.ask import Answer, Asker
from paidup.db.poison import bad_ones
from paidup.db.transaction import Database, Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.handlers import Handlers
from paidup.journal import store as journal
from paidup.payments.decide import may_have_gone_back
from paidup.payments.payment import Payment
from paidup.payments.states import FINAL as PAYMENT_FINAL
from paidup.payments.states import State as PaymentState
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.repair.due import last_look_s, next_query_s, next_refund_ask_s, should_close
from paidup.repair.subjects import Subject, load, within_budget
from paidup.schedule import store as schedule
from paidup.settle.book import ClosePayment, NeedPerson
from paidup.spans.tell import Spans

_OFFERED = frozenset((PaymentState.CREATED, PaymentState.OPEN))
BATCH = 32
_AT_ONCE = 16
_LOOKS = 64
"""So often a round looks on when nothing that it found may be asked about now: an account that has had its share must
not keep the others waiting."""


def lease_s(deadline_s: float) -> float:
    """How long a worker may hold what it asks about, in real seconds: two calls each, in two waves, and a breath.

    After that another worker asks again. Too short a lease asks twice, which harms nobody; too long a one keeps a paid
    customer waiting after a crash.
    """
    return 2 * (BATCH / _AT_ONCE) * deadline_s + 5


ASK_AT_MOST_EVERY = timedelta(seconds=3)
"""A buyer's waiting page asks about one payment at most this often; Alipay wants 3 s between calls on one trade."""


class Asked(msgspec.Struct, frozen=True):
    """A subject and what asking about it brought."""

    subject: Subject
    answer: Answer


async def run_once(
    db: Database,
    *,
    now: datetime,
    limit: int,
    asker: Asker,
    handlers: Handlers,
    budget_per_s: float,
    lease: timedelta,
    spans: Spans | None = None,
) -> int:
    """Ask about up to `limit` payments and refunds that are due; returns how many were asked about.

    spans: whom to tell what was decided.
    """
    subjects: list[Subject] = []
    for _ in range(_LOOKS):
        async with db.transaction() as tx:
            dues = await schedule.claim(tx, now, now + lease, limit)
            subjects = await load(tx, await within_budget(tx, dues, budget_per_s, now), now)
        if subjects or not dues:
            break
    return await _ask_and_settle(db, subjects, asker, handlers, now, spans)


async def ask_now(
    db: Database,
    payment_id: str,
    *,
    now: datetime,
    asker: Asker,
    handlers: Handlers,
    budget_per_s: float,
    lease: timedelta = timedelta(seconds=30),
    spans: Spans | None = None,
) -> bool:
    """Query-on-read: somebody is looking at this payment, so ask at once, within the budget; False if not asked."""
    async with db.transaction() as tx:
        due = await schedule.claim_one(tx, payment_id, now, now + lease, now - ASK_AT_MOST_EVERY)
        if due is None:
            return False
        granted, wait_s = await schedule.spend(tx, due.channel, due.account, 1, rate_per_s=budget_per_s, now=now)
        if not granted:
            await schedule.postpone(tx, [(due, now + timedelta(seconds=wait_s), due.asked)])
            return False
        subjects = await load(tx, [due], now)
    return await _ask_and_settle(db, subjects, asker, handlers, now, spans) > 0


async def _ask_and_settle(
    db: Database,
    subjects: Sequence[Subject],
    asker: Asker,
    handlers: Handlers,
    now: datetime,
    spans: Spans | None,
) -> int:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(subject: Subject) -> Asked:
        async with gate:
            return Asked(subject, await _ask(asker, subject, now))

    asked = await asyncio.gather(*map(ask, subjects))
    answered_at = max(now, asker.now_of())  # what follows from an answer comes after it, in every timeline

    settled: list[Result] = []

    async def settle(some: Sequence[Asked]) -> None:
        async with db.transaction() as tx:
            results = await _settle(tx, some, handlers, answered_at)
        settled.extend(results)

    for one, error in await bad_ones(db, asked, settle):
        async with db.transaction() as tx:
            await _put_aside(tx, one, error, handlers, answered_at)
    if spans and settled:  # last: what goes wrong with it is no fault of an answer, all of which are committed
        await spans.weighed(db, settled, answered_at, spans.now_of())
    return len(asked)


async def _ask(asker: Asker, subject: Subject, now: datetime) -> Answer:
    try:
        if subject.refund:
            # Whoever held the row before us may have died after sending: then it is asked about first, too.
            asked = max(subject.due.asked, subject.due.lease - 1)
            return await asker.about_refund(subject.refund, subject.payment, subject.order, asked, now)
        if _should_close(subject.payment, now):
            close = ClosePayment(subject.order.id, subject.payment.id, "its time is over")
            return Answer((Item(what=close, shop=subject.order.shop, road="clock"),))
        return await asker.about_payment(subject.payment, subject.order, now)
    except NotFound as error:  # the account was taken out of the accounts folder
        log.error("account.missing", subject=subject.due.subject_id, why=str(error))
        return Answer()
    except InvalidRequest as error:  # the channel cannot be asked about this one; the others are
        return Answer((_call_person(subject, "cannot_ask", f"the channel cannot be asked about it: {error}"),))


def _should_close(payment: Payment, now: datetime) -> bool:
    """Closing is two-phase: this round only stops offering; the next one asks, then closes at the channel."""
    return payment.state in _OFFERED and should_close(now, payment.expires_at)


async def _settle(tx: Tx, asked: Sequence[Asked], handlers: Handlers, now: datetime) -> list[Result]:
    """Bring the answers to the door, and say when each subject is asked about next."""
    items = [item for one in asked for item in one.answer.items]
    results = await apply(tx, items, now, handlers)
    await journal.write_calls(tx, [call for one in asked for call in one.answer.calls])
    later, exhausted, looked_at = [], [], []
    settled = _settled(results)
    for subject in (one.subject for one in asked):
        is_settled = subject.due.subject_id in settled
        if is_settled and not _is_looked_at_again(subject):
            continue
        pause_s = _pause_to_last_look_s(subject, now) if is_settled else _pause_s(subject, now)
        if pause_s is not None:
            later.append((subject.due, now + timedelta(seconds=pause_s), subject.due.asked + 1))
        elif is_settled:
            looked_at.append(subject.due.subject_id)
        elif subject.refund or subject.payment.state not in _OFFERED:
            exhausted.append(subject)  # any other one begins to close in this round, and is asked about in the next
    await schedule.postpone(tx, later)
    await schedule.drop(tx, looked_at)
    await _give_up(tx, exhausted, handlers, now)
    for result in results:
        if result.before != result.after:
            log.info("payment.asked", payment=result.payment_id, why=result.why, after=result.after)
    return results


def _settled(results: Sequence[Result]) -> set[str]:
    """What these have settled. The door took it off the schedule, but for what is looked at again."""
    books = [result.book for result in results if result.book]
    found = {p.id for book in books for p in book.payments.values() if p.state in PAYMENT_FINAL}
    return found | {r.id for book in books for r in book.refunds.values() if r.state in REFUND_FINAL}


def _is_looked_at_again(subject: Subject) -> bool:
    """Paid already when it was asked about: our own close may have given it back since."""
    return subject.refund is None and may_have_gone_back(subject.payment)


def _pause_to_last_look_s(subject: Subject, now: datetime) -> float | None:
    return last_look_s((now - subject.payment.updated_at).total_seconds())


def _pause_s(subject: Subject, now: datetime) -> float | None:
    if subject.refund:
        return next_refund_ask_s((now - subject.refund.created_at).total_seconds(), factor=ids.spread())
    payment = subject.payment
    ends_at = payment.expires_at
    if payment.state not in _OFFERED:  # patience is counted from when we began to close: we may have been down
        ends_at = max(ends_at, payment.updated_at)
    return next_query_s(
        payment.channel,
        (now - payment.created_at).total_seconds(),
        ttl_s=(ends_at - payment.created_at).total_seconds(),
        factor=ids.spread(),
    )


async def _give_up(tx: Tx, exhausted: Sequence[Subject], handlers: Handlers, now: datetime) -> None:
    """Silence never means failed: a person is told, and the bill of the day will show the truth."""
    why = "the channel gave no final answer within the whole schedule; the bill will tell"
    await apply(tx, [_call_person(subject, "unanswered", why) for subject in exhausted], now, handlers)
    await schedule.drop(tx, [subject.due.subject_id for subject in exhausted])


def _call_person(subject: Subject, kind: str, why: str) -> Item:
    need = NeedPerson(order_id=subject.order.id, subject_id=subject.due.subject_id, kind=kind, why=why)
    return Item(what=need, shop=subject.order.shop, road="clock")


async def _put_aside(tx: Tx, one: Asked, error: BaseException, handlers: Handlers, now: datetime) -> None:
    """An answer that cannot be applied: a person is told once, and the question is asked again in an hour."""
    subject = one.subject
    why = f"an answer of the channel could not be applied: {type(error).__name__}: {error}"[:500]
    log.error("answer.poisoned", subject=subject.due.subject_id, why=why)
    await apply(tx, [_call_person(subject, "poisoned_answer", why)], now, handlers)
    await journal.write_calls(tx, list(one.answer.calls))
    await schedule.postpone(tx, [(subject.due, now + timedelta(hours=1), subject.due.asked + 1)])
