"""A round of the intake while much waits: full batches, two at a time."""

import asyncpg
import pytest

from kept import a_callback_each, an_offer, count, keep, receive
from paidup.db.transaction import Database, Tx
from paidup.handlers import Handlers
from paidup.intake.worker import run_many
from paidup.outbox.store import Written
from paidup.testing.builders import after, order_id, paid


async def waiting(db: Database, many: int) -> None:
    """So many paid callbacks, each of an order of its own."""
    numbers = range(1, many + 1)
    await keep(db, *(an_offer(n) for n in numbers))
    await receive(db, *a_callback_each([paid(n) for n in numbers]))


@pytest.mark.parametrize(("limit", "taken"), [(500, 23), (23, 23), (4, 23), (1, 17)])
async def test_a_round_takes_what_waits_and_has_an_end(db: Database, limit: int, taken: int) -> None:
    """One batch, and eight more in each of two lanes at most; each order is paid once."""
    await waiting(db, 23)
    assert taken == await run_many(db, now=after(40), limit=limit, handlers=Handlers())
    left = await count(db, "inbox_queue")
    assert (taken, taken, 23 - taken) == (
        await count(db, "orders", "state = 'paid'"), await count(db, "events", "type = 'order.paid'"), left,
    )  # fmt: skip


async def test_a_batch_that_fails_is_raised_when_the_others_have_ended(db: Database) -> None:
    """The connection of one is cut: what the others did is committed, and it waits as it did."""
    await waiting(db, 9)
    handlers = Handlers()

    async def fails(tx: Tx, event: Written) -> None:
        if event.order_id == order_id(9):
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    handlers.on("order.paid")(fails)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await run_many(db, now=after(40), limit=1, handlers=handlers)
    assert (8, 1) == (await count(db, "orders", "state = 'paid'"), await count(db, "inbox_queue"))
