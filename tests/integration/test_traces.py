"""One trace id joins callback, decision and delivery, over the real road and in `paidup trace`."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api_side import Api, an_api
from kept import open_cases
from merchant import LEASE, Merchant
from paidup.clock import SystemClock
from paidup.payments.states import State
from paidup.repair import worker as repair
from paidup.sandbox.keys import Keys
from paidup.spans.context import read_traceparent
from paidup.spans.tell import Spans, Told
from paidup.trace.life import trace
from served import served

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = f"00-{TRACE}-{SPAN}-01"


class Refusing(Spans):
    """A tracing library that takes no span."""

    def tell(self, told: Told) -> None:
        raise ValueError(f"no such span as {told.name}")


class Shop:
    """A shop that keeps the headers of what it is told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        self.app = Starlette(routes=[Route("/hear", self._hear, methods=["POST"])])

    async def _hear(self, request: Request) -> Response:
        self.heard.append(dict(request.headers))
        return JSONResponse({"applied": True})


@asynccontextmanager
async def a_traced_shop(
    db_dsn: str, folder: Path, keys: dict[str, Keys], spans: Spans | None, **settings: str
) -> AsyncIterator[tuple[Api, Shop]]:
    """All workers, and a shop that listens."""
    shop = Shop()
    async with (
        served(shop.app) as url,
        an_api(db_dsn, folder, keys, spans=spans, PAIDUP_ROLES="all", **settings) as api,
    ):
        status, _ = await api.call("POST", "/v1/endpoints", {"url": f"{url}/hear", "types": ["order.paid"]})
        assert 201 == status
        yield api, shop


async def tell(api: Api, payment: dict[str, Any], headers: dict[str, str]) -> None:
    """The buyer pays, and the channel sends its signed callback with these headers beside its own."""
    world, now = api.sandbox.world, SystemClock().now()
    trade = world.find(payment["channel"], "main", payment["merchant_ref"], now)
    assert world.pay(trade, now)
    news, world.news = world.news, []
    for one in news:
        notice = world.provider(one.channel, one.account).notice(one, now)
        url = f"{api.url}/callbacks/{payment['channel']}/main"
        async with api.session.post(url, data=notice.body, headers={**notice.headers, **headers}) as answer:
            assert 300 > answer.status, await answer.text()


async def delivered(api: Api, number: int) -> None:
    """Until so many deliveries are written down."""
    for _ in itertools.count():
        async with api.paidup.db.session() as tx:
            if await tx.fetchval("SELECT count(*) FROM deliveries WHERE state = 'delivered'") >= number:
                return
        await asyncio.sleep(0)


async def traces_of(api: Api, any_id: str) -> list[str]:
    async with api.paidup.db.session() as tx:
        life = await trace(tx, any_id)
    assert life is not None
    return life.traces


def tree(spans: tuple[ReadableSpan, ...]) -> dict[str, tuple[str, str]]:
    """Name → (trace id, parent), of one trace."""
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {
        span.name: (
            f"{span.context.trace_id:032x}",
            names.get(span.parent.span_id, f"{span.parent.span_id:016x}") if span.parent else "",
        )
        for span in spans
        if span.context and (span.attributes or {}).get("paidup.outcome", "applied") == "applied"
    }


@pytest.mark.parametrize("caller", [CALLER, None])
async def test_one_trace_joins_the_callback_the_decision_and_the_delivery(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys], caller: str | None
) -> None:
    """The sender's trace if it sent one, else one of our own; the shop gets its header, and `paidup trace` shows it."""
    exporter = InMemorySpanExporter()
    spans = Spans(exporter, now_of=SystemClock().now)
    async with a_traced_shop(db_dsn, tmp_path, channel_keys, spans) as (api, shop):
        payment = await api.an_open_payment()
        await tell(api, payment, {"traceparent": caller} if caller else {})
        await delivered(api, 1)
        shown = await traces_of(api, payment["id"])
    told = tree(exporter.get_finished_spans())
    trace_id = told["callback"][0]
    heard = read_traceparent(shop.heard[0]["traceparent"])
    expected = {
        "callback": (trace_id, SPAN if caller else ""),
        "apply": (trace_id, "callback"),
        "delivery": (trace_id, "apply"),
    }
    sent = {span.context.span_id for span in exporter.get_finished_spans() if span.name == "delivery" and span.context}
    assert (expected, caller is None or trace_id == TRACE) == (told, True)
    assert heard is not None
    assert (trace_id, {heard.span_id}, True) == (heard.trace, sent, trace_id in shown)


async def test_what_a_query_found_is_one_trace_with_its_delivery(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]
) -> None:
    """No callback came: the trace begins with the decision."""
    exporter = InMemorySpanExporter()
    spans = Spans(exporter, now_of=SystemClock().now)
    async with a_traced_shop(db_dsn, tmp_path, channel_keys, spans) as (api, _):
        payment = await api.an_open_payment()
        await api.buyer_pays(payment)
        _, seen = await api.call("GET", f"/v1/payments/{payment['id']}/status")
        await delivered(api, 1)
        shown = await traces_of(api, payment["id"])
    told = tree(exporter.get_finished_spans())
    trace_id = told["apply"][0]
    assert ("paid", True) == (seen["state"], trace_id in shown)
    assert {"apply": (trace_id, ""), "delivery": (trace_id, "apply")} == told


async def test_a_span_that_cannot_be_told_undoes_no_answer(merchant: Merchant) -> None:
    """The answers are committed by then: they are not weighed once more, nobody is called, and no question waits."""
    spans = Refusing(InMemorySpanExporter(), now_of=merchant.clock.now)
    payment = await merchant.offer(await merchant.order())
    merchant.pay(payment)
    await merchant.clock.advance(20)
    with pytest.raises(ValueError, match="no such span"):
        await repair.run_once(
            merchant.db, now=merchant.clock.now(), limit=32, asker=merchant.asker, handlers=merchant.handlers,
            budget_per_s=100.0, lease=LEASE, spans=spans,
        )  # fmt: skip
    assert (State.PAID, []) == ((await merchant.payment(payment)).state, await open_cases(merchant.db))


async def test_spans_reach_a_collector_over_http(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PAIDUP_TRACES and the standard variable of OpenTelemetry are all it takes."""
    got: list[ExportTraceServiceRequest] = []

    async def collect(request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-protobuf"
        got.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(media_type="application/x-protobuf")

    async with served(Starlette(routes=[Route("/v1/traces", collect, methods=["POST"])])) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with a_traced_shop(db_dsn, tmp_path, channel_keys, None, PAIDUP_TRACES="true") as (api, _):
            await tell(api, await api.an_open_payment(), {"traceparent": CALLER})
            await delivered(api, 1)
    resources = [resource for request in got for resource in request.resource_spans]
    names = {span.name for r in resources for scope in r.scope_spans for span in scope.spans}
    services = {a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"}
    assert ({"callback", "apply", "delivery"}, {"paidup"}) == (names, services)


async def test_who_does_not_trace_sends_no_header_and_sees_the_same_ids(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]
) -> None:
    """Ids follow from what is kept anyway."""
    async with a_traced_shop(db_dsn, tmp_path, channel_keys, None) as (api, shop):
        payment = await api.an_open_payment()
        await tell(api, payment, {"traceparent": CALLER})
        await delivered(api, 1)
        shown = await traces_of(api, payment["id"])
    assert (1, False, True) == (len(shop.heard), "traceparent" in shop.heard[0], TRACE in shown)
