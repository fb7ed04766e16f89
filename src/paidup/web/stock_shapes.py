"""The bodies of articles and their units that the API takes and gives."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from paidup.web.fields import Line, Strict, Units


class PutSku(Strict, frozen=True, kw_only=True):
    """Make an article, or change what was decided about it; its units stay."""

    name: Line = ""
    unlimited: Annotated[bool, Meta(description="never sold out, such as a download")] = False
    preorder_limit: Annotated[Units, Meta(description="so many more units than are here may be ordered")] = 0
    ships_at: Annotated[datetime, Meta(tz=True, description="when a pre-ordered one leaves")] | None = None
    low_at: Annotated[Units, Meta(description="tell me (stock.low) when so few are left")] | None = None


class Restock(Strict, frozen=True, kw_only=True):
    """Put units in."""

    quantity: Annotated[int, Meta(ge=1, le=10**12)]
    reason: Line = ""


class Adjust(Strict, frozen=True, kw_only=True):
    """Correct the number of units after a count: above zero puts some in, below zero takes some away."""

    by: Annotated[int, Meta(ge=-(10**12), le=10**12)]
    reason: Annotated[Line, Meta(min_length=3, description="why, for the record")]


class SkuOut(msgspec.Struct, frozen=True, kw_only=True):
    """An article. left: how many may still be ordered, pre-orders included; null: as many as anybody wants.

    available + reserved + sold = all units that were ever put in; available is below zero while pre-orders wait.
    """

    sku: str
    name: str
    unlimited: bool
    preorder_limit: int
    ships_at: datetime | None
    low_at: int | None
    left: int | None
    available: int
    reserved: int
    sold: int
    updated_at: datetime


class Skus(msgspec.Struct, frozen=True, kw_only=True):
    """In the order they were made; `next` goes into `after` (None: that was all)."""

    items: list[SkuOut]
    next: str | None = None


class MovementOut(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the journal. kind: reserve, confirm, release, return, restock or adjust."""

    id: int
    at: datetime
    kind: str
    quantity: int
    order_id: str | None
    reason: str
    operator: str


class Movements(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[MovementOut]
    next: str | None = None
