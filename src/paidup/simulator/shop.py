"""The shop and its customers: they place orders, pay, cancel, want money back, and hear of it."""

import hmac
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from paidup.delivery import shown, sign, store
from paidup.delivery.plan import Answer
from paidup.errors import InvalidRequest
from paidup.sandbox.ledger import Trade
from paidup.sandbox.world import World
from paidup.simulator import pages
from paidup.simulator.channels import Later, Trouble
from paidup.simulator.clock import Clock
from paidup.simulator.customers import Customers
from paidup.simulator.database import AWAY
from paidup.simulator.postman import answered
from paidup.simulator.process import Process, Replied, request
from paidup.simulator.sale import items
from paidup.simulator.script import Plan, Wish
from paidup.simulator.stage import Stage
from paidup.simulator.witness import AskedRefund, Heard, Witness

MAX_TRIES = 40
CONFLICT = 409
"""How the API may refuse this shop, which asks for nothing that makes no sense: not now, or not any more."""
_NO_ANSWER_S = 15.0
CURRENCY = "CNY"


class _Event(msgspec.Struct):
    id: str
    type: str
    order_id: str
    seq: int


class Shop:
    """One shop. pick: a process to ask, or None when none is up. is_away: whether its own endpoint is down."""

    def __init__(
        self,
        world: World,
        stage: Stage,
        clock: Clock,
        witness: Witness,
        *,
        pick: Callable[[str], Process | None],
        is_away: Callable[[str], Trouble | None],
        later: Later,
    ) -> None:
        self._world = world
        self._stage = stage
        self._clock = clock
        self._witness = witness
        self._pick = pick
        self._is_away = is_away
        self._later = later
        self._customers = Customers(world, stage, clock, witness, later=later)
        self._offered: dict[str, tuple[Plan, str]] = {}
        self._taken: dict[str, set[int]] = defaultdict(set)
        self.api_key = ""
        self.secret = ""
        self.placed: Callable[[Plan, str], None] = lambda _plan, _order_id: None
        """Called with each order that was placed."""
        self.opened: Callable[[Plan, int, Trade, str], None] = lambda *_: None
        """Called with each payment that was opened for an offer of an order."""

    # Hearing ---------------------------------------------------------------------------------------------------------

    async def hear(self, _process: Process, _url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """One delivery arrives, or does not."""
        stage = self._stage
        await stage.point("calls the shop")
        stage.dies("call")
        trouble = self._is_away("shop")
        if trouble is Trouble.STORM and stage.fates.roll("storm shop") < 0.7:
            return Answer(status=503, elapsed_ms=10)
        if trouble is Trouble.AWAY:
            await stage.pause(3)
            return Answer(status=None, elapsed_ms=3000, failure="ConnectionRefusedError")
        if stage.befalls("shop.fails", "shop"):
            return Answer(status=500, elapsed_ms=10)
        if stage.befalls("shop.busy", "shop"):
            return Answer(status=429, elapsed_ms=10, retry_after="90")
        wait_s = stage.fates.between(0.5, 14, "shop slow") if trouble or stage.befalls("shop.slow", "shop") else 0.0
        deaf = stage.befalls("shop.deaf", "shop")
        self._take(dict(headers), body)
        if wait_s or deaf:
            await stage.pause(_NO_ANSWER_S if deaf else wait_s)
        stage.dies("answer")
        if deaf:
            return Answer(status=None, elapsed_ms=15000, failure="nothing came within 15 s")
        return Answer(status=200, elapsed_ms=int(wait_s * 1000))

    def _take(self, headers: dict[str, str], body: bytes) -> None:
        event = msgspec.json.decode(body, type=_Event)
        signed = sign.signature(sign.key_of(self.secret), event.id, int(headers["webhook-timestamp"]), body)
        if not hmac.compare_digest(signed, headers["webhook-signature"]) or headers["webhook-id"] != event.id:
            self._witness.breach("deliveries are signed", f"event {event.id} is not signed by its secret")
        earlier = set(range(1, event.seq)) - self._taken[event.order_id]
        if earlier:
            what = f"order {event.order_id}: event {event.seq} ({event.type}) came before {sorted(earlier)}"
            self._witness.breach("events arrive in order", what)
        self._taken[event.order_id].add(event.seq)
        self._stage.note(f"shop hears {event.type} {event.order_id} {event.seq}")
        self._witness.heard.append(
            Heard(event.id, event.type, event.order_id, event.seq, taken=True, at=self._clock.now())
        )

    # Asking ----------------------------------------------------------------------------------------------------------

    async def ask(self, name: str, path: str, body: object, key: str) -> Replied:
        """POST until it is answered for good; the same key makes the repeats harmless."""
        replied = Replied(0, b"")
        for attempt in range(MAX_TRIES):
            if self._stage.befalls("shop.repeats", name):
                self._stage.spawn(f"shop repeats {name}", self._once(f"{name} again", path, body, key))
            replied = await self._once(name, path, body, key)
            running = replied.status == CONFLICT and b"in-progress" in replied.body
            if replied.status and replied.status < 500 and not running:
                return replied
            await self._stage.pause(min(300.0, 2.0 * 1.5**attempt))
        return replied

    async def _once(self, name: str, path: str, body: object, key: str) -> Replied:
        process = self._pick(name)
        if process is None:
            return Replied(0, b"")
        headers = (
            ("authorization", f"Bearer {self.api_key}"),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        )
        call = request(process.api, "POST", path, headers, msgspec.json.encode(body), source="10.0.0.2")
        replied = await answered(self._stage, f"api {name}", call, process)
        self._stage.note(f"api {name} answered {replied.status}")
        if 400 <= replied.status < 500 and replied.status != CONFLICT:
            self._witness.breach("the API takes what makes sense", f"{name}: {replied.status} {replied.body!r}")
        if "/payments" in path and replied.status == 201 and "refund" not in path:
            self._witness.offers.setdefault(key, set()).add(msgspec.json.decode(replied.body)["id"])
        return replied

    # One order -------------------------------------------------------------------------------------------------------

    async def live(self, plan: Plan) -> None:
        """The whole life of one order, from the shop's side."""
        body = {
            "shop_order_no": plan.name,
            "amount_minor": plan.amount_minor,
            "currency": CURRENCY,
            "expires_in_s": plan.ttl_s,
        } | items(plan)
        replied = await self.ask(f"{plan.name} order", "/v1/orders", body, f"{plan.name}/order")
        if replied.status != 201:
            return
        order_id = str(msgspec.json.decode(replied.body)["id"])
        self.placed(plan, order_id)
        for n, offer in enumerate(plan.offers):
            self._spawn_at(offer.after_s, f"{plan.name} offer {n}", self._offer, plan, order_id, n)
        if plan.cancels_s is not None:
            self._spawn_at(plan.cancels_s, f"{plan.name} cancel", self._cancel, plan, order_id)
        for n, at_s in enumerate(plan.redrives_s):
            self._spawn_at(at_s, f"{plan.name} redrive {n}", self._redrive, plan, order_id)

    def _spawn_at(self, seconds: float, name: str, work: Callable[..., Any], *args: object) -> None:
        self._later(seconds, lambda: self._stage.spawn(f"shop {name}", work(*args)))

    async def _offer(self, plan: Plan, order_id: str, n: int) -> None:
        offer = plan.offers[n]
        self._witness.offered[plan.name] += 1
        if offer.registered_s is not None:
            await self._by_itself(plan, order_id, n)
            return
        name, key = f"{plan.name} offer {n}", f"{plan.name}/offer{n}"
        replied = await self.ask(name, f"/v1/orders/{order_id}/payments", pages.asked_for(offer), key)
        if replied.status != 201:
            return
        payment = msgspec.json.decode(replied.body)
        payment_id, ref = str(payment["id"]), str(payment["merchant_ref"])
        if pages.method_of(offer) == "page":
            has = partial(self._has, plan, order_id, n)
            self._customers.gets_a_page(plan, n, ref, payment["pay_with"]["url"], has)
            self._first_wishes(plan, n, payment_id)
            return
        try:
            trade = self._world.find(offer.channel, "main", ref, self._clock.now())
        except InvalidRequest:
            return
        self._has(plan, order_id, n, trade)
        self._first_wishes(plan, n, payment_id)
        self.opened(plan, n, trade, payment_id)

    def _has(self, plan: Plan, order_id: str, n: int, trade: Trade) -> None:
        """A customer has this trade of ours before him."""
        self._offered[trade.number] = plan, order_id
        self._customers.begins(plan, n, trade)

    async def _by_itself(self, plan: Plan, order_id: str, n: int) -> None:
        """The shop opened the payment at the channel with code of its own, and tells us of it later."""
        trade = pages.opened_by_the_shop(plan, n, self._clock.now())
        self._world.ledger.enter(trade)
        self._customers.begins(plan, n, trade)
        await self._stage.pause(plan.offers[n].registered_s or 0.0)
        path, key = f"/v1/orders/{order_id}/payments/register", f"{plan.name}/register{n}"
        replied = await self.ask(f"{plan.name} register {n}", path, pages.told_of(plan.offers[n], trade), key)
        if replied.status == 201:
            self._witness.registered.add(trade.merchant_ref)
            self._wishes(plan, str(msgspec.json.decode(replied.body)["id"]))

    # Second thoughts -------------------------------------------------------------------------------------------------

    def _first_wishes(self, plan: Plan, n: int, payment_id: str) -> None:
        if n == 0:
            self._wishes(plan, payment_id)

    def _wishes(self, plan: Plan, payment_id: str) -> None:
        for wish in plan.wishes:
            self._spawn_at(wish.at_s, f"{plan.name} {wish.key}", self._refund, plan, payment_id, wish)

    async def _refund(self, plan: Plan, payment_id: str, wish: Wish) -> None:
        """Ask a few times, for the payment may not be known as paid yet."""
        name, path = f"{plan.name} refund {wish.key}", f"/v1/payments/{payment_id}/refunds"
        self._witness.tried.setdefault(payment_id, set()).add(wish.key)
        for _ in range(3):
            replied = await self.ask(name, path, {"amount_minor": wish.minor}, f"{plan.name}/{wish.key}")
            if replied.status == 201:
                made = msgspec.json.decode(replied.body)
                asked = AskedRefund(payment_id, wish.key, int(made["amount_minor"]), str(made["id"]))
                self._witness.refunds.append(asked)
                return
            await self._stage.pause(60)

    async def cancels(self, trade: Trade) -> None:
        """The order of this trade is given up at once; one that the shop opened by itself is not."""
        if trade.number in self._offered:
            plan, order_id = self._offered[trade.number]
            await self._once(f"{plan.name} hurries", f"/v1/orders/{order_id}/close", {}, f"{plan.name}/hurries")

    async def _cancel(self, plan: Plan, order_id: str) -> None:
        await self.ask(f"{plan.name} cancel", f"/v1/orders/{order_id}/close", {}, f"{plan.name}/cancel")

    async def _redrive(self, plan: Plan, order_id: str) -> None:
        """The shop lost what it had, and wants to hear it again."""
        process = self._pick(plan.name)
        if process is None:
            return
        asked_at = self._clock.now()

        async def again() -> None:
            try:
                async with process.db.transaction() as tx:
                    theirs = [d for d in await shown.deliveries_of(tx, order_id) if d.state == shown.DELIVERED]
                    await store.redrive(tx, [d.id for d in theirs], asked_at)
            except AWAY:
                return
            self._witness.redriven |= dict.fromkeys([d.event_id for d in theirs], asked_at)

        self._stage.spawn(f"api {plan.name} redrive", again(), process.life)
