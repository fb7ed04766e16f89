"""The bodies of what is told: cases to people, events and their deliveries to the shop's endpoints."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from paidup.web.fields import Id, Line, Said, Strict


class Resolve(Strict, frozen=True, kw_only=True):
    """Close a case with what was decided."""

    resolution: Said


class AddEndpoint(Strict, frozen=True, kw_only=True):
    """Where the shop listens. types: event types, or * for all."""

    url: Annotated[str, Meta(min_length=8, max_length=2000, pattern=r"^[^\x00-\x20\x7f]+$(?!\n)")]
    types: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=50)] = ("*",)


class Redrive(Strict, frozen=True, kw_only=True):
    """Send dead letters again: these, all of one endpoint, or what an order's shop never said to have applied."""

    delivery_ids: Annotated[list[Annotated[int, Meta(ge=1, le=2**63 - 1)]], Meta(max_length=5000)] = msgspec.field(
        default_factory=list
    )
    endpoint_id: Id | None = None
    order_id: Id | None = None
    reason: Said = "asked through the API"


class CaseOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person must decide."""

    id: str
    kind: str
    subject_id: str
    order_id: str | None
    why: str
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str | None


class Cases(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[CaseOut]
    next: str | None = None


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop was, or is being, told. seq counts per order."""

    id: str
    type: str
    order_id: str
    seq: int
    subject_id: str
    created_at: datetime
    data: dict[str, str | int | bool | None]


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; `next` goes into `after`, and stays valid when there is nothing new."""

    items: list[EventOut]
    next: str | None = None


class EndpointOut(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. secret is given once, when it is made or rotated."""

    id: str
    url: str
    types: list[str]
    enabled: bool
    disabled_why: str
    secret: str | None = None


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """All of the shop's endpoints."""

    items: list[EndpointOut]


class DeliveryOut(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was given up (dead), or skipped because its endpoint was disabled. seq: of its order."""

    id: int
    event_id: str
    type: str
    endpoint_id: str
    order_id: str
    seq: int
    state: str
    attempts: int
    why: str


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; `next` goes into `after` (None: that was all)."""

    items: list[DeliveryOut]
    next: str | None = None


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries are sent again."""

    deliveries: int
