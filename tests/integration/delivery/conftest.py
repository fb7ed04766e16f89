"""A receiver, a sender that may call it, and a courier that waits for every answer."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from delivery_side import PATIENT_S, Receiver

from paidup.delivery.courier import Courier
from paidup.delivery.send import Sender


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender(allow_loopback=True)
    yield sender
    await sender.aclose()


@pytest.fixture
async def courier(sender: Sender) -> AsyncIterator[Courier]:
    courier = Courier(sender, patience_s=PATIENT_S, spread=lambda: 1.0)
    yield courier
    await courier.aclose()
