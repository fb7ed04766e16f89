"""A delivery that a worker holds for a while, what came of its attempt, and the room that there is for more."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from paidup.delivery.plan import Answer, Plan
from paidup.delivery.sign import Message
from paidup.spans.context import Spot


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is ours until its lease ends. message: None when the event is no longer kept.

    cause: the decision that told the event, for those who trace.
    """

    id: int
    lease: int
    attempts: int
    endpoint_id: str
    shop: str
    order_id: str
    seq: int
    event_id: str
    url: str
    secrets: tuple[str, ...]
    message: Message | None
    cause: Spot | None = None

    def __repr__(self) -> str:
        return f"Claimed(id={self.id}, event_id={self.event_id!r}, endpoint_id={self.endpoint_id!r}, secrets='***')"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("event_id", self.event_id), ("endpoint_id", self.endpoint_id)]


class Room(NamedTuple):
    """How many more attempts at an endpoint may begin, and how many are under way."""

    free: int
    busy: int = 0


class Settled(msgspec.Struct, frozen=True):
    """What came of one attempt: begun at sent_at, answered at answered_at."""

    claimed: Claimed
    sent_at: datetime
    answered_at: datetime
    answer: Answer
    plan: Plan
