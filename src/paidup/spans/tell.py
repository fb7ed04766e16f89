"""Tells OpenTelemetry what was done, after it was committed. Only those who set PAIDUP_TRACES come here.

A span is told when it is over, with its ids given: the SDK samples, batches and sends it in a thread of its own, within
bounds; what it cannot send is lost, and nothing of Paidup's work waits for it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from paidup import __version__
from paidup.db.transaction import Database
from paidup.errors import ConfigError
from paidup.spans import store
from paidup.spans.context import Spot, Weighing, of_callback, of_weighing

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter


class Item(Protocol):
    """What is read of apply.Item, which stands above this."""

    @property
    def callback_id(self) -> str | None: ...
    @property
    def road(self) -> str: ...


class Result(Protocol):
    """What is read of apply.Result."""

    @property
    def item(self) -> Item: ...
    @property
    def outcome(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def payment_id(self) -> str | None: ...
    @property
    def refund_id(self) -> str | None: ...
    @property
    def after(self) -> str: ...


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One span as it is told: how it is called, where it stands, and what is known of it."""

    name: str
    spot: Spot
    parent: Spot | None
    began: datetime
    ended: datetime
    says: Mapping[str, str | int]
    failed: bool = False


class Spans:
    """One process's way to the tracing system."""

    def __init__(self, exporter: "SpanExporter | None" = None, *, now_of: Callable[[], datetime]) -> None:
        """exporter: where spans go; OTLP over HTTP as the OTEL_EXPORTER_OTLP_… variables say, unless given.

        Raises ConfigError when the extra is not installed.
        """
        self.now_of = now_of
        self._next = (0, 0)
        self._provider = self._open(exporter)
        self._tracer = self._provider.get_tracer("paidup", __version__)

    def tell(self, told: Told) -> None:
        """Hand over one span."""
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415

        self._next = (told.spot.trace_id, told.spot.span_id)
        span = self._tracer.start_span(
            told.name,
            context=_below(told.parent),
            kind=SpanKind[_KINDS[told.name]],
            attributes={f"paidup.{name}": value for name, value in told.says.items()},
            start_time=_ns(told.began),
        )
        if told.failed:
            span.set_status(StatusCode.ERROR)
        span.end(_ns(max(told.began, told.ended)))

    def received(self, callback_id: str, caller: Spot | None, began: datetime, ended: datetime, account: str) -> None:
        """A callback was made durable and acknowledged."""
        spot = of_callback(callback_id, caller)
        says = {"callback": callback_id, "account": account}
        self.tell(Told(name="callback", spot=spot, parent=caller, began=began, ended=ended, says=says))

    async def weighed(self, db: Database, results: Sequence[Result], began: datetime, ended: datetime) -> None:
        """What the door decided was committed. What is parked is told when it no longer is."""
        weighings = [(_weighing(result), _said(result)) for result in results if result.outcome != "parked"]
        callback_ids = sorted({w.callback_id for w, _ in weighings if w.callback_id})
        async with db.session() as tx:
            sent = await store.callers(tx, callback_ids) if callback_ids else {}
        for weighing, says in weighings:
            caller = sent.get(weighing.callback_id or "")
            parent = of_callback(weighing.callback_id, caller) if weighing.callback_id else None
            spot = of_weighing(weighing, caller)
            self.tell(Told(name="apply", spot=spot, parent=parent, began=began, ended=ended, says=says))

    def delivered(
        self, spot: Spot, cause: Spot, began: datetime, ended: datetime, says: Mapping[str, str | int], *, ok: bool
    ) -> None:
        """An attempt to tell the shop has ended."""
        self.tell(Told(name="delivery", spot=spot, parent=cause, began=began, ended=ended, says=says, failed=not ok))

    def close(self) -> None:
        """Send what is left; takes seconds when nobody listens, so call it in a thread."""
        self._provider.shutdown()

    def _open(self, exporter: "SpanExporter | None") -> "TracerProvider":
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.sdk.trace.id_generator import IdGenerator  # noqa: PLC0415
        except ImportError as missing:
            hint = "install it with pip install 'paidup[otel]', or set PAIDUP_TRACES=false"
            raise ConfigError(f"PAIDUP_TRACES=true needs OpenTelemetry ({missing}): {hint}") from None
        spans = self

        class Given(IdGenerator):
            """The ids of the span that is being told."""

            def generate_trace_id(self) -> int:
                return spans._next[0]

            def generate_span_id(self) -> int:
                return spans._next[1]

        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):  # OTEL_SERVICE_NAME says nothing
            resource = resource.merge(Resource({"service.name": "paidup"}))
        provider = TracerProvider(resource=resource, id_generator=Given(), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        return provider


_KINDS = {"callback": "SERVER", "apply": "INTERNAL", "delivery": "CLIENT"}


def _weighing(result: Result) -> Weighing:
    return Weighing(
        callback_id=result.item.callback_id,
        road=result.item.road,
        payment_id=result.payment_id,
        refund_id=result.refund_id,
        after=result.after,
    )


def _said(result: Result) -> dict[str, str]:
    says = {
        "road": result.item.road,
        "outcome": str(result.outcome),
        "why": result.why,
        "callback": result.item.callback_id,
        "payment": result.payment_id,
        "refund": result.refund_id,
    }
    return {name: value for name, value in says.items() if value}


def _below(parent: Spot | None) -> "Context":
    """The context in which a span has this parent, or none."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context  # noqa: PLC0415

    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED)
    above = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(above), Context())


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
