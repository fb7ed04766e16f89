"""Paidup beside a Django project, in one ASGI process. This file stands for the project's asgi.py.

    PAIDUP_DATABASE_URL=postgresql://… uvicorn examples.django_app:app

Django's own ORM uses connections of its own, so what must be committed together with the payment is written with `tx`;
the table may well be one of a Django model.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

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


async def shipments(_request: HttpRequest) -> JsonResponse:
    """What is to be shipped: an ordinary asynchronous Django view."""
    async with paidup.db.session() as tx:
        rows = await tx.fetch("SELECT order_no, amount_minor, paid_by FROM shipments")
    return JsonResponse([dict(row) for row in rows], safe=False)


urlpatterns = [path("shipments", shipments)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="only for the example")  # noqa: S106
django.setup()


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Django knows no lifespan; the outermost application does, and Paidup lives as long as it."""
    async with paidup:
        async with paidup.db.transaction() as tx:
            await tx.execute(SHIPMENTS)
        yield


app = Starlette(routes=[Mount("/paidup", paidup), Mount("/", get_asgi_application())], lifespan=lifespan)
