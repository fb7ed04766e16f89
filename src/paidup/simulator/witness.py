"""What was seen from outside: what we acknowledged, what the shop asked for and heard. The truth that the database is
compared with is this and the sandbox's ledger."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from paidup.sandbox.ledger import Trade


class Breach(msgspec.Struct, frozen=True):
    """An invariant that does not hold, and what shows it."""

    invariant: str
    what: str


class Acknowledged(msgspec.Struct, frozen=True):
    """A callback to which we answered with the channel's success."""

    channel: str
    about: str
    kind: str
    body: bytes
    at: datetime


class Heard(msgspec.Struct, frozen=True):
    """One arrival of an event at the shop. taken: it answered 2xx, whether or not the answer arrived."""

    event_id: str
    type: str
    order_id: str
    seq: int
    taken: bool
    at: datetime


class AskedRefund(msgspec.Struct, frozen=True):
    """A refund that the shop asked for and got a promise of."""

    payment_id: str
    key: str
    amount_minor: int
    refund_id: str


class Deed(msgspec.Struct, frozen=True):
    """Something that a person asked for by hand: a refund, or that a payment be confirmed."""

    action: str
    payment_id: str
    key: str
    minor: int

    @property
    def name(self) -> str:
        """What people agree to."""
        return f"{self.action} {self.payment_id} {self.key}"


@dataclass
class Witness:
    """Everything that outsiders remember of a run."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    refunds: list[AskedRefund] = field(default_factory=list)
    offers: dict[str, set[str]] = field(default_factory=dict)
    """Payment ids that were answered, by the shop's idempotency key."""
    offered: Counter[str] = field(default_factory=Counter)
    """How many offers of an order the shop ever asked for, registered ones included."""
    tried: dict[str, set[str]] = field(default_factory=dict)
    """The keys under which the shop asked for refunds of a payment."""
    registered: set[str] = field(default_factory=set)
    opened_by: dict[str, str] = field(default_factory=dict)
    """Who opened a trade, by the merchant's number. A fault's key says it so: the number contains its moment, which
    another fault may move."""
    offers_seen: list[Trade] = field(default_factory=list)
    """What customers have before them and may pay."""
    contradicted: set[str] = field(default_factory=set)
    """The merchant's numbers of trades that a channel called closed, and took money for afterwards."""
    kept_quiet: set[str] = field(default_factory=set)
    """Those of them about which the channel tells nobody: its bill alone does."""
    news: dict[str, str] = field(default_factory=dict)
    """What the channels had to tell: about which number, by the notice's own key; and below, what arrived of it."""
    arrived: set[str] = field(default_factory=set)
    redriven: dict[str, datetime] = field(default_factory=dict)
    """Events that the shop asked for again, and when."""
    begun: dict[str, set[str]] = field(default_factory=dict)
    """Transactions across services that were answered, by the shop's idempotency key."""
    deeds: list[Deed] = field(default_factory=list)
    agreed: dict[str, set[str]] = field(default_factory=dict)
    """Who said yes, to a deed by its name or to the repair of a break, whatever he was answered."""
    asked: dict[str, str] = field(default_factory=dict)
    """Requests that wait for a second person, as somebody was told: the deed, by the request's id."""
    breaches: list[Breach] = field(default_factory=list)

    @property
    def untold(self) -> set[str]:
        """The merchant's numbers of which some notice never reached us."""
        return {about for key, about in self.news.items() if key not in self.arrived}

    def breach(self, invariant: str, what: str) -> None:
        """Something was seen that must not be."""
        self.breaches.append(Breach(invariant, what))
