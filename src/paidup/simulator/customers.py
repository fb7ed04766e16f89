"""What customers make of what they are offered, and what their banks and the channel's console make of it later."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from paidup.errors import InvalidRequest
from paidup.sandbox.ledger import DisputeState, Refund, RefundState, Trade
from paidup.sandbox.wire import Ask
from paidup.sandbox.world import World
from paidup.simulator.channels import Later
from paidup.simulator.clock import Clock
from paidup.simulator.script import Offer, Plan
from paidup.simulator.stage import Stage
from paidup.simulator.witness import Witness

Happening = Callable[[Trade, datetime], object]


class Customers:
    """All customers of the shop. later: do something after so many seconds."""

    def __init__(self, world: World, stage: Stage, clock: Clock, witness: Witness, *, later: Later) -> None:
        self._world = world
        self._stage = stage
        self._clock = clock
        self._witness = witness
        self._later = later

    def gets_a_page(self, plan: Plan, n: int, merchant_ref: str, url: str, has: Callable[[Trade], None]) -> None:
        """An Alipay page for this offer. Its trade is made when somebody follows it, which is told through `has`."""
        offer = plan.offers[n]
        if offer.follows_s is None:
            return

        def follow() -> None:
            address, now = urlsplit(url), self._clock.now()
            ask = Ask("GET", f"{address.path}?{address.query}", {"host": address.netloc}, b"")
            self._stage.note(f"customer {plan.name} {n}: follows, {self._world.respond(ask, now).status}")
            try:
                trade = self._world.find(offer.channel, "main", merchant_ref, now)
            except InvalidRequest:  # its time was over
                return
            self._witness.opened_by[merchant_ref] = f"{plan.name} page {n}"
            has(trade)

        self._later(offer.follows_s, follow)

    def begins(self, plan: Plan, n: int, trade: Trade) -> None:
        """Somebody has this trade before him: what he and others do comes in time."""
        offer = plan.offers[n]
        trade.amount_minor += offer.wrong_minor
        if offer.pays_s is not None:
            self._witness.offers_seen.append(trade)
        happenings: list[tuple[float | None, Happening]] = [
            (offer.scans_s, self._world.scan),
            (offer.fails_s, self._world.fail),
            (offer.pays_s, self._world.pay),
            (offer.dispute_s, self._dispute(DisputeState.OPENED)),
            (offer.dispute_ends_s, self._dispute(DisputeState.LOST if offer.dispute_is_lost else DisputeState.WON)),
            (offer.console_refund_s, lambda trade, now: self._console_refund(offer, trade, now)),
        ]
        for after_s, happens in happenings:
            if after_s is not None:
                self._happens(after_s, f"{plan.name} {n}", happens, trade)

    def _happens(self, after_s: float, name: str, happens: Happening, trade: Trade) -> None:
        def now() -> None:
            done = happens(trade, self._clock.now())
            self._stage.note(f"customer {name}: {getattr(happens, '__name__', 'acts')} {done}")

        self._later(after_s, now)

    def _dispute(self, says: DisputeState) -> Happening:
        def dispute(trade: Trade, now: datetime) -> None:
            if trade.paid_at is not None and (says is DisputeState.OPENED or trade.dispute is not None):
                self._world.dispute(trade, says, now)

        return dispute

    def _console_refund(self, offer: Offer, trade: Trade, now: datetime) -> None:
        """Somebody gives money back in the channel's own console, and we are only told of it."""
        number = f"re_console{trade.number[-12:]}"
        left = trade.amount_minor - trade.refunded_minor()
        refund = Refund(
            trade=trade, merchant_ref=number, number=number, amount_minor=max(1, left // 2),
            state=RefundState.SUCCEEDED, made_at=now, settled_at=now,
        )  # fmt: skip
        if not self._world.ledger.refund(trade, refund):
            return
        self._world.news += self._world.provider(trade.channel, "main").news(refund, now)
        if offer.comes_back_s is not None:
            self._later(offer.comes_back_s, lambda: self._world.refund_fails(trade, number, self._clock.now()))
