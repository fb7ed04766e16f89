"""Paidup inside a FastAPI application: one process, one database, one transaction.

    PAIDUP_DATABASE_URL=postgresql://… uvicorn examples.fastapi_app:app

The channels call https://your-shop.example/paidup/callbacks/{channel}/{account}.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from paidup import Paidup
from paidup.db.transaction import Tx
from paidup.outbox.store import Written

paidup = Paidup()

SHIPMENTS = """
CREATE TABLE IF NOT EXISTS shipments (order_no text PRIMARY KEY, amount_minor bigint NOT NULL, paid_by text NOT NULL)"""


@paidup.on("order.paid")
async def ship(tx: Tx, event: Written) -> None:
    """Runs inside the transaction that marks the order paid: both are written, or neither is. Exactly once."""
    await tx.execute(
        "INSERT INTO shipments (order_no, amount_minor, paid_by) VALUES ($1, $2, $3)",
        event.data["shop_order_no"],
        event.data["amount_minor"],
        event.data["payment_id"],
    )


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Paidup lives as long as the application does."""
    async with paidup:
        async with paidup.db.transaction() as tx:
            await tx.execute(SHIPMENTS)
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/paidup", paidup)


@app.get("/shipments")
async def shipments() -> list[dict[str, object]]:
    """What is to be shipped."""
    async with paidup.db.session() as tx:
        return [dict(row) for row in await tx.fetch("SELECT order_no, amount_minor, paid_by FROM shipments")]
