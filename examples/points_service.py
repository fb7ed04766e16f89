"""A service that takes part in a shop's transactions: points in a PostgreSQL database of its own, through asyncpg.

PARTICIPANT_SECRET=whsec_… POINTS_DB=postgresql://… uvicorn examples.points_service:app --port 8602
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paidup.participant import ASYNCPG, Barrier, Call, Operation, Refused, Untrusted, read_call

POINTS = "CREATE TABLE IF NOT EXISTS points (customer text PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))"
barrier = Barrier(ASYNCPG)


async def act(connection: Any, call: Call) -> dict[str, int]:
    """Spend points (`coupon` and `points` are taken before the payment), or give some for the order (`thanks`)."""
    return {"balance": await _add(connection, call, 1)}


async def undo(connection: Any, call: Call) -> dict[str, int]:
    """The compensation."""
    return {"balance": await _add(connection, call, -1)}


async def _add(connection: Any, call: Call, sign: int) -> int:
    told = call.told()
    if not isinstance(told, dict) or not isinstance(told.get("add"), int):
        raise Refused("say whose points, and how many: {customer, add}")
    change = sign * int(told["add"])
    try:
        balance = await connection.fetchval(
            "UPDATE points SET balance = balance + $2 WHERE customer = $1 RETURNING balance",
            told.get("customer"),
            change,
        )
    except asyncpg.CheckViolationError:
        raise Refused("not so many points are left") from None
    if balance is None:
        raise Refused("there is no such customer")
    return int(balance)


async def paidup(request: Request) -> Response:
    """The one address that the coordinator calls: barrier and business in one transaction."""
    try:
        secrets = [os.environ["PARTICIPANT_SECRET"]]
        call = read_call(dict(request.headers), await request.body(), secrets, datetime.now(UTC))
    except Untrusted as error:
        return JSONResponse({"error": str(error)}, 401)
    business = {Operation.ACTION: act, Operation.COMPENSATE: undo}
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        reply = await barrier.run_async(connection, call, business)
    return Response(reply.body, reply.status, media_type="application/json")


async def balances(request: Request) -> JSONResponse:
    """Who has how many."""
    rows = await request.app.state.pool.fetch("SELECT customer, balance FROM points ORDER BY customer")
    return JSONResponse({row["customer"]: row["balance"] for row in rows})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """A pool, and the tables."""
    async with asyncpg.create_pool(os.environ["POINTS_DB"], min_size=1, max_size=5) as pool:
        for table in (*ASYNCPG.tables, POINTS):
            await pool.execute(table)
        app.state.pool = pool
        yield


app = Starlette(routes=[Route("/paidup", paidup, methods=["POST"]), Route("/points", balances)], lifespan=lifespan)
