"""The peer of the door: the worker that people write who do not know Paidup, one transaction for each paid callback.

It claims a row of a queue, locks the order, compares the money, marks it paid, leaves a line for the shop's notifier,
and takes the row off the queue, with SQLAlchemy. It weighs nothing else: no payments apart from orders, no journal, no
timeline, no schedule. So it does less than the door, as `bench/typical.py` does less than the entrance.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import BigInteger, String, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapped, mapped_column

from bench.typical import Amount, Base, Order, Transaction, engine_of, settle


class Waiting(Base):
    __tablename__ = "typical_queue"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(64))
    transaction_id: Mapped[str] = mapped_column(String(64))
    amount: Mapped[int] = mapped_column(BigInteger)


class Notice(Base):
    __tablename__ = "typical_notices"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(32))


Sessions = async_sessionmaker[AsyncSession]


@asynccontextmanager
async def sessions_of(dsn: str) -> AsyncIterator[Sessions]:
    """Sessions on the bench's database, with the worker's tables made."""
    engine = engine_of(dsn)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield async_sessionmaker(engine)
    await engine.dispose()


async def one_each(sessions: Sessions, name: str, count: int) -> float:
    """Paid callbacks that become paid orders, a second."""
    numbers = [f"{name}-{n}" for n in range(count)]
    async with sessions() as session, session.begin():
        orders = [{"number": number, "amount": 1250, "status": "unpaid"} for number in numbers]
        await session.execute(insert(Order), orders)
        queue = [{"number": number, "transaction_id": f"42{number}", "amount": 1250} for number in numbers]
        await session.execute(insert(Waiting), queue)
    began = time.monotonic()
    for _ in numbers:
        async with sessions() as session, session.begin():
            await _one(session)
    return count / (time.monotonic() - began)


async def _one(session: AsyncSession) -> None:
    oldest = select(Waiting).order_by(Waiting.id).limit(1).with_for_update(skip_locked=True)
    waiting = (await session.execute(oldest)).scalar_one()
    amount = Amount(total=waiting.amount, currency="CNY")
    await settle(
        session,
        Transaction(
            out_trade_no=waiting.number, transaction_id=waiting.transaction_id, trade_state="SUCCESS", amount=amount
        ),
    )
    session.add(Notice(number=waiting.number, kind="order.paid"))
    await session.delete(waiting)
