"""A service that takes part in a shop's transactions: coupons in a SQLite database of its own.

PARTICIPANT_SECRET=whsec_… COUPONS_DB=coupons.db uvicorn examples.coupon_service:app --port 8601
paidup tx participant SHOP coupons http://127.0.0.1:8601/paidup     (prints the secret; this machine is called only
                                                  where PAIDUP_ALLOW_LOOPBACK_ENDPOINTS=true, for `paidup serve`, too)
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from paidup.participant import SQLITE, Barrier, Call, Operation, Refused, Reply, Untrusted, read_call

COUPONS = "CREATE TABLE IF NOT EXISTS coupons (code text PRIMARY KEY, used_by text)"
barrier = Barrier(SQLITE)


@contextmanager
def transaction() -> Iterator[sqlite3.Cursor]:
    """One transaction: the barrier's row and the coupon are written as one, or not at all."""
    connection = sqlite3.connect(os.environ["COUPONS_DB"], isolation_level=None, timeout=10)
    try:
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        for table in (*SQLITE.tables, COUPONS):
            cursor.execute(table)
        yield cursor
        connection.commit()
    finally:
        connection.close()  # what was not committed is undone


def use(cursor: sqlite3.Cursor, call: Call) -> dict[str, Any]:
    """The action: the coupon belongs to this order. Raised refusals take back what was written."""
    code = _code(call)
    cursor.execute("UPDATE coupons SET used_by = ? WHERE code = ? AND used_by IS NULL", (call.order_id, code))
    if cursor.rowcount == 0:
        raise Refused(f"coupon {code} is unknown or used")
    return {"code": code}


def give_back(cursor: sqlite3.Cursor, call: Call) -> None:
    """The compensation. The barrier lets it in only when the action was done."""
    cursor.execute("UPDATE coupons SET used_by = NULL WHERE code = ? AND used_by = ?", (_code(call), call.order_id))


def _code(call: Call) -> str:
    told = call.told()
    return str(told.get("code")) if isinstance(told, dict) else ""


def answer(call: Call) -> Reply:
    """What was done before is answered again; what comes too late is refused."""
    with transaction() as cursor:
        return barrier.run(cursor, call, {Operation.ACTION: use, Operation.COMPENSATE: give_back})


async def paidup(request: Request) -> Response:
    """The one address that the coordinator calls."""
    try:
        secrets = [os.environ["PARTICIPANT_SECRET"]]
        call = read_call(dict(request.headers), await request.body(), secrets, datetime.now(UTC))
    except Untrusted as error:
        return JSONResponse({"error": str(error)}, 401)
    reply = await asyncio.to_thread(answer, call)
    return Response(reply.body, reply.status, media_type="application/json")


async def coupons(_request: Request) -> JSONResponse:
    """Who used what."""
    with transaction() as cursor:
        rows = cursor.execute("SELECT code, used_by FROM coupons ORDER BY code").fetchall()
    return JSONResponse(dict(rows))


app = Starlette(routes=[Route("/paidup", paidup, methods=["POST"]), Route("/coupons", coupons)])
