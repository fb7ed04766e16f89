"""One server process of the acknowledgement bench: `python -m bench.ack_server MODE FOLDER DSN CLOCK PORT`.

ours: the callback route as `paidup serve --roles web` runs it. verify: the same without a database. single: the same
with one transaction per request. typical: FastAPI, pydantic and SQLAlchemy, one session per request.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from paidup.app import Paidup
from paidup.channels.accounts import AccountsFolder
from paidup.channels.wechat.keys import WechatAccount
from paidup.clock import parse_clock
from paidup.intake import inbox
from paidup.settings import Settings, load


class _NoDatabase:
    """The ceiling: everything but making it durable."""

    async def put(self, row: inbox.Received) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


class _OneByOne:
    """The peer: the same two inserts, in a transaction of their own for each request."""

    def __init__(self, paidup: Paidup) -> None:
        self._db = paidup.db

    async def put(self, row: inbox.Received) -> None:
        """Durable when it returns."""
        async with self._db.transaction() as tx:
            await inbox.store(tx, [row])

    async def close(self) -> None:
        """Nothing."""


def ours(mode: str, settings: Settings) -> Any:
    """The ASGI application of the modes ours, verify and single."""
    paidup = Paidup(settings)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await paidup(scope, receive, send)
            return
        await receive()
        await paidup.start()
        swap: Any = {"verify": _NoDatabase, "single": lambda: _OneByOne(paidup)}.get(mode)
        if swap:
            paidup.receiver._inbox = swap()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await paidup.stop()
        await send({"type": "lifespan.shutdown.complete"})

    return application


def typical(settings: Settings) -> Any:
    """What one would write without thinking of Paidup; the PEM is parsed once, which many do not do."""
    import pydantic
    from fastapi import FastAPI, Request
    from sqlalchemy import LargeBinary, String
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    from paidup.channels.wechat.sign import decrypt, verify

    class Base(DeclarativeBase):
        pass

    class Callback(Base):
        __tablename__ = "typical_callbacks"
        id: Mapped[int] = mapped_column(primary_key=True)
        event_id: Mapped[str] = mapped_column(String(64), index=True)
        out_trade_no: Mapped[str] = mapped_column(String(64), index=True)
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

    class Transaction(pydantic.BaseModel):
        out_trade_no: str
        transaction_id: str
        trade_state: str

    account = AccountsFolder(settings.accounts).current.get("wechat", "main")
    assert isinstance(account, WechatAccount)
    host = settings.database_url.split("host=")[1].split("&")[0]
    user = settings.database_url.split("//")[1].split("@")[0]
    engine = create_async_engine(f"postgresql+asyncpg://{user}@/paidup?host={host}", pool_size=20, max_overflow=0)
    sessions = async_sessionmaker(engine)
    clock = parse_clock(settings.clock)
    app = FastAPI()

    @app.on_event("startup")
    async def create_tables() -> None:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    @app.post("/callbacks/wechat/main")
    async def take(request: Request) -> dict[str, str]:
        body = await request.body()
        verify(request.headers.get, body, account, clock.now())
        notice = Notice.model_validate_json(body)
        box = notice.resource
        plain = decrypt(box.ciphertext, box.nonce, box.associated_data, account.apiv3_keys)
        transaction = Transaction.model_validate_json(plain)
        async with sessions() as session, session.begin():
            session.add(Callback(event_id=notice.id, out_trade_no=transaction.out_trade_no, body=body))
        return {"code": "SUCCESS"}

    return app


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    mode, folder, dsn, clock, port = arguments
    settings = load(
        {
            "PAIDUP_DATABASE_URL": dsn,
            "PAIDUP_DATA": folder,
            "PAIDUP_ACCOUNTS": str(Path(folder) / "accounts"),
            "PAIDUP_ROLES": "web",
            "PAIDUP_CLOCK": clock,
        }
    )
    application = typical(settings) if mode == "typical" else ours(mode, settings)
    uvicorn.run(
        application, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", ws="none", lifespan="on",
        access_log=False, log_level="error", server_header=False,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
