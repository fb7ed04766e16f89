"""The peer: the callback handler that people write who do not know Paidup, with FastAPI, pydantic and SQLAlchemy.

It is written well: the key is parsed once, the order is locked, a callback that comes twice is harmless, money and
log are one transaction, the pool is large enough. `LogOnly` leaves the order alone and only writes the callback down.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pydantic
from fastapi import FastAPI, Request
from sqlalchemy import BigInteger, LargeBinary, String, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from paidup.channels.accounts import AccountsFolder
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.sign import decrypt, verify
from paidup.clock import parse_clock
from paidup.settings import Settings


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "typical_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16), default="unpaid")
    transaction_id: Mapped[str | None] = mapped_column(String(64), unique=True)


class Callback(Base):
    __tablename__ = "typical_callbacks"
    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64), index=True)
    number: Mapped[str] = mapped_column(String(64), index=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class Resource(pydantic.BaseModel):
    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str


class Notice(pydantic.BaseModel):
    id: str
    event_type: str
    resource: Resource


class Amount(pydantic.BaseModel):
    total: int
    currency: str


class Transaction(pydantic.BaseModel):
    out_trade_no: str
    transaction_id: str
    trade_state: str
    amount: Amount


RESET = "UPDATE typical_orders SET status = 'unpaid', transaction_id = NULL WHERE status <> 'unpaid'"
"""Between rounds: a paid order would be less work."""


async def settle(session: AsyncSession, paid: Transaction) -> None:
    """Find the order, lock it, compare the money, mark it paid once."""
    order = await session.scalar(select(Order).where(Order.number == paid.out_trade_no).with_for_update())
    if order is None or order.amount != paid.amount.total:
        raise ValueError(f"order {paid.out_trade_no} is not as the callback says")
    if order.status == "unpaid":
        order.status, order.transaction_id = "paid", paid.transaction_id


def engine_of(dsn: str) -> AsyncEngine:
    """A large enough pool of connections to the bench's database."""
    host = dsn.split("host=")[1].split("&", maxsplit=1)[0]
    user = dsn.split("//")[1].split("@", maxsplit=1)[0]
    return create_async_engine(f"postgresql+asyncpg://{user}@/paidup?host={host}", pool_size=20, max_overflow=0)


def typical(settings: Settings, *, log_only: bool, orders: int) -> Any:
    """The application. log_only: the order is left alone. orders: how many to create, numbered as the callbacks are."""
    account = AccountsFolder(settings.accounts).current.get("wechat", "main")
    assert isinstance(account, WechatAccount)
    engine = engine_of(settings.database_url)
    sessions = async_sessionmaker(engine)
    clock = parse_clock(settings.clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(1)"))  # two servers start at once
            await connection.run_sync(Base.metadata.create_all)
            if not log_only:
                rows = [{"number": f"pay{n:026}", "amount": 1250, "status": "unpaid"} for n in range(orders)]
                await connection.execute(insert(Order).on_conflict_do_nothing(), rows)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/callbacks/wechat/main")
    async def take(request: Request) -> dict[str, str]:
        body = await request.body()
        verify(request.headers.get, body, account, clock.now())
        notice = Notice.model_validate_json(body)
        box = notice.resource
        paid = Transaction.model_validate_json(
            decrypt(box.ciphertext, box.nonce, box.associated_data, account.apiv3_keys)
        )
        async with sessions() as session, session.begin():
            session.add(Callback(event_id=notice.id, number=paid.out_trade_no, body=body))
            if not log_only:
                await settle(session, paid)
        return {"code": "SUCCESS"}

    return app
