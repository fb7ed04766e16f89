"""Books on a real database: written as the shop's side writes them, read back as the door left them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from paidup.cases import store as cases
from paidup.db.transaction import Database
from paidup.evidence import Evidence
from paidup.handlers import Handlers
from paidup.intake import inbox
from paidup.intake.worker import run_once
from paidup.orders import store as orders
from paidup.outbox import store as outbox
from paidup.outbox.store import Written
from paidup.payments import store as payments
from paidup.payments.states import FINAL as PAYMENT_FINAL
from paidup.refunds import store as refunds
from paidup.refunds.states import FINAL as REFUND_FINAL
from paidup.schedule import store as schedule
from paidup.settle.book import Book
from paidup.shops import store as shops
from paidup.testing.builders import ACCOUNT, CHANNEL, LONG_AGO, NOW, SHOP, a_payment, after, an_order, order_id

EVERY_TABLE = ("orders", "payments", "refunds", "events", "outbox_queue", "inbox_queue", "due", "decisions", "cases")


def an_offer(number: int = 1, **fields: object) -> Book:
    """Order `number` with one open payment of the same number."""
    return Book(an_order(number), {p.id: p for p in [a_payment(number, order_id=order_id(number), **fields)]}, {})


async def keep(db: Database, *books: Book) -> None:
    """Write the shop, the orders and all that belongs to them, and a job for what is unfinished."""
    async with db.transaction() as tx:
        for book in books:
            await shops.put_shop(tx, book.order.shop, book.order.late_payment, NOW)
            assert await orders.insert(tx, book.order)
            for payment in book.payments.values():
                assert await payments.insert(tx, payment)
            await refunds.insert(tx, list(book.refunds.values()))
            due = [(p.id, "payment", p.channel, p.account, NOW) for p in book.payments.values()]
            sent = [(r.id, "refund", r.channel, r.account, NOW) for r in book.refunds.values()]
            finished = {p.id for p in book.payments.values() if p.state in PAYMENT_FINAL}
            finished |= {r.id for r in book.refunds.values() if r.state in REFUND_FINAL}
            await schedule.put(tx, [row for row in due + sent if row[0] not in finished])


async def read(db: Database, number: int = 1) -> Book:
    """The order with this number as it stands."""
    async with db.transaction() as tx:
        order = await orders.get(tx, order_id(number))
        assert order is not None
        theirs = await payments.of_orders(tx, [order.id])
        back = await refunds.of_orders(tx, [order.id])
    return Book(order, {p.id: p for p in theirs}, {r.id: r for r in back})


def states(book: Book) -> list[str]:
    """Of the order, then of its payments and refunds in the order of their ids."""
    return [book.order.state, *(p.state for p in book.payments.values()), *(r.state for r in book.refunds.values())]


async def events(db: Database, number: int = 1) -> list[Written]:
    """What was announced of the order with this number, in order."""
    async with db.session() as tx:
        return await outbox.of_order(tx, order_id(number), since=LONG_AGO)


async def told(db: Database, number: int = 1) -> list[str]:
    """The kinds of its events, in order."""
    return [event.type.value for event in await events(db, number)]


async def scheduled(db: Database) -> dict[str, datetime]:
    """What has a job, and when it is due."""
    async with db.session() as tx:
        return {row["subject_id"]: row["due_at"] for row in await tx.fetch("SELECT subject_id, due_at FROM due")}


async def open_cases(db: Database) -> list[tuple[str, str]]:
    """(kind, subject) of what waits for a person, oldest first."""
    async with db.session() as tx:
        return [(case.kind, case.subject_id) for case in await cases.page(tx, None, 100, with_resolved=False)][::-1]


async def count(db: Database, table: str, where: str = "true") -> int:
    """How many rows of the table are so."""
    async with db.session() as tx:
        return int(await tx.fetchval(f"SELECT count(*) FROM {table} WHERE {where}"))


def a_callback(name: str, *evidence: Evidence, at: datetime | None = None) -> inbox.Received:
    """A verified callback as the entrance hands it over; the name is its id."""
    return inbox.Received(
        id=name,
        received_at=at or after(30),
        shop=SHOP,
        channel=CHANNEL,
        account=ACCOUNT,
        dedup_key=evidence[0].key,
        kind="notify",
        target=f"/callbacks/{CHANNEL}/{ACCOUNT}",
        headers="[]",
        body=b"raw",
        merchant_ref=evidence[0].merchant_ref,
        evidence=msgspec.json.encode(evidence).decode(),
    )


async def receive(db: Database, *callbacks: inbox.Received) -> None:
    """Make them durable."""
    async with db.transaction() as tx:
        await inbox.store(tx, callbacks)


async def take_in(db: Database, seconds: float = 40, *, limit: int = 500, handlers: Handlers | None = None) -> int:
    """One round of the intake, so many seconds after `NOW`."""
    return await run_once(db, now=after(seconds), limit=limit, handlers=handlers or Handlers())


def a_callback_each(says: Sequence[Evidence]) -> list[inbox.Received]:
    """One callback per piece of evidence, received a millisecond apart so that their order is certain."""
    return [a_callback(f"cbk{n:03}", evidence, at=after(30 + n / 1000)) for n, evidence in enumerate(says)]
