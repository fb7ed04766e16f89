"""The smaller deeds: close an order, re-send deliveries, replay callbacks, work on cases."""

from collections.abc import Mapping, Sequence

import msgspec

from paidup.apply import Item, apply
from paidup.cases import store as cases
from paidup.cases.store import Case
from paidup.db.transaction import Tx
from paidup.delivery import endpoints, shown
from paidup.delivery import store as deliveries
from paidup.errors import Conflict, NotFound, Verdict
from paidup.hand.desk import Desk, a_reason
from paidup.hand.detail import Detail, detail_of
from paidup.hand.done import Done
from paidup.intake import inbox, quarantine
from paidup.intake.receive import replay
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.people.user import Right
from paidup.settle.book import CloseOrder, Weighed


async def close(desk: Desk, actor: Actor, order_id: str, why: str, *, shop: str | None = None) -> Done:
    """Give an order up: its payments are closed at the channel, then it is closed. Raises NotFound and Conflict."""
    item = Item(what=CloseOrder(order_id, a_reason(why)), shop=shop or "", road="operator")
    async with desk.db.transaction() as tx:
        before = await orders.get(tx, order_id)
        if before is None or (shop is not None and before.shop != shop):
            raise NotFound(f"there is no order {order_id}")
        (result,) = await apply(tx, [item], desk.now(), desk.handlers)
        if result.outcome is Weighed.REJECTED or "refund it instead" in result.why:
            raise Conflict(result.why)
        await audit.write(
            tx, actor, "order.close_asked", desk.now(), shop=before.shop, subject_id=order_id, order_id=order_id,
            why=why, before=result.before, after=result.after,
        )  # fmt: skip
    return Done("done" if result.outcome is Weighed.APPLIED else "already", result.why)


async def resend(
    desk: Desk,
    actor: Actor,
    delivery_ids: Sequence[int],
    why: str,
    *,
    shop: str | None = None,
    order_id: str | None = None,
) -> int:
    """Send these deliveries again; returns how many that was. Each shop whose they are has a line in its audit."""
    total, said = 0, a_reason(why)
    async with desk.db.transaction() as tx:
        theirs = {shop: list(delivery_ids)} if shop is not None else await shown.shops_of(tx, delivery_ids)
        for owner, some in theirs.items():
            count = await deliveries.redrive(tx, some, desk.now(), shop=owner)
            await audit.write(
                tx, actor, "delivery.resent", desk.now(), shop=owner, order_id=order_id, why=said,
                subject_id=", ".join(map(str, some[:20])), after=f"{count} are sent again",
            )  # fmt: skip
            total += count
    return total


async def resend_order(desk: Desk, actor: Actor, order_id: str, why: str, *, shop: str | None = None) -> int:
    """Send all of an order again that was given up, or never said to be applied; returns how many. Raises NotFound."""
    a_reason(why)
    async with desk.db.session() as tx:
        order = await orders.get(tx, order_id)
        if order is None or (shop is not None and order.shop != shop):
            raise NotFound(f"there is no order {order_id}")
        found = await unsettled(tx, order_id)
    return await resend(desk, actor, found, why, shop=order.shop, order_id=order_id)


async def unsettled(tx: Tx, order_id: str) -> list[int]:
    """An order's deliveries that can be sent again."""
    found = await shown.deliveries_of(tx, order_id)
    return [d.id for d in found if d.state in ("dead", "skipped") or (d.state == "delivered" and not d.applied_at)]


async def resend_endpoint(desk: Desk, actor: Actor, endpoint_id: str, why: str, *, shop: str | None = None) -> int:
    """Send all that was given up for an endpoint again, up to 5000 at a time; returns how many."""
    async with desk.db.transaction() as tx:
        count = await deliveries.redrive_endpoint(tx, endpoint_id, desk.now(), shop=shop)
        owner = shop or await endpoints.shop_of(tx, endpoint_id)
        await audit.write(
            tx, actor, "delivery.resent", desk.now(), shop=owner, subject_id=endpoint_id, why=a_reason(why),
            after=f"{count} are sent again",
        )  # fmt: skip
    return count


async def reveal_buyer(desk: Desk, actor: Actor, order_id: str, *, shop: str | None = None, why: str = "") -> Order:
    """An order with its buyer_ref; that somebody looked stands in the audit. Raises NotFound."""
    async with desk.db.transaction() as tx:
        order = await orders.get(tx, order_id)
        if order is None or (shop is not None and order.shop != shop):
            raise NotFound(f"there is no order {order_id}")
        await audit.write(
            tx, actor, "data.revealed", desk.now(), shop=order.shop, subject_id=order_id, order_id=order_id, why=why
        )
    return order


async def reveal_detail(
    desk: Desk, actor: Actor, order_id: str, kind: str, thing_id: str, *, shop: str | None = None, why: str = ""
) -> Detail:
    """What stands behind a scene of an order's life, nothing masked; that somebody looked stands in the audit. kind:
    buyer, callback, decision, call or attempt. Raises NotFound."""
    actor.must_have(Right.REVEAL)
    async with desk.db.transaction() as tx:
        order = await orders.get(tx, order_id)
        if order is None or (shop is not None and order.shop != shop):
            raise NotFound(f"there is no order {order_id}")
        found = await detail_of(tx, order_id, kind, thing_id)
        await audit.write(
            tx, actor, "data.revealed", desk.now(), shop=found.shop, subject_id=thing_id, order_id=order_id, why=why
        )
    return found


async def reveal_callback(
    desk: Desk, actor: Actor, callback_id: str, *, shop: str | None = None, why: str = ""
) -> dict[str, object]:
    """A callback as it came, nothing masked, received or in quarantine; that somebody looked stands in the audit.
    Raises NotFound."""
    async with desk.db.transaction() as tx:
        row = await inbox.get(tx, callback_id)
        kept = await quarantine.get(tx, callback_id) if row is None and shop is None else None
        found: dict[str, object] | None = row or (msgspec.structs.asdict(kept) if kept else None)
        if found is None or (shop is not None and found["shop"] != shop):
            raise NotFound(f"there is no callback {callback_id}, neither received nor in quarantine")
        await audit.write(
            tx, actor, "data.revealed", desk.now(), shop=str(found.get("shop", "")), subject_id=callback_id, why=why
        )
    return found


def text_of(row: Mapping[str, object]) -> str:
    """A callback's body as text; bytes that are no UTF-8 are escaped."""
    body = row["body"]
    return bytes(body).decode("utf-8", "backslashreplace") if isinstance(body, bytes | memoryview) else ""


async def replay_callback(desk: Desk, actor: Actor, callback_id: str, why: str, *, shop: str | None = None) -> bool:
    """Send a parked or poisoned callback to the door again; False when it does not wait. Raises NotFound."""
    async with desk.db.transaction() as tx:
        row = await inbox.get(tx, callback_id)
        if row is None or (shop is not None and row["shop"] != shop):
            raise NotFound(f"there is no callback {callback_id}")
        waits = await inbox.replay(tx, callback_id, desk.now())
        await audit.write(
            tx, actor, "callback.replayed", desk.now(), shop=str(row["shop"]), subject_id=callback_id,
            why=a_reason(why), after="goes to the door again" if waits else "does not wait; nothing to replay",
        )  # fmt: skip
    return waits


async def replay_quarantined(desk: Desk, actor: Actor, quarantine_id: str, why: str) -> Verdict:
    """Verify a quarantined callback again with today's keys; a valid one goes to the door. Raises NotFound."""
    async with desk.db.transaction() as tx:
        kept = await quarantine.get(tx, quarantine_id)
        if kept is None:
            raise NotFound(f"{quarantine_id} is not in quarantine")
        verdict = await replay(tx, kept, desk.accounts, desk.now())
        account = desk.accounts.current.by_name.get((kept.channel, kept.account))
        await audit.write(
            tx, actor, "quarantine.replayed", desk.now(), shop=account.shop if account else "",
            subject_id=quarantine_id, why=a_reason(why), before=kept.verdict, after=verdict,
        )  # fmt: skip
    return verdict


async def claim(desk: Desk, actor: Actor, case_id: str, *, shop: str | None = None) -> Case:
    """Say that one works on it; a later claim takes it over. Raises NotFound."""
    async with desk.db.transaction() as tx:
        case = _theirs(await cases.claim(tx, case_id, actor.who, desk.now()), case_id, shop)
        await _note(tx, desk, actor, "case.claimed", case)
    return case


async def comment(desk: Desk, actor: Actor, case_id: str, said: str, *, shop: str | None = None) -> None:
    """Write something beside a case. Raises NotFound."""
    async with desk.db.transaction() as tx:
        case = _theirs(await cases.get(tx, case_id), case_id, shop)
        await cases.comment(tx, case_id, actor.who, a_reason(said), desk.now())
        await _note(tx, desk, actor, "case.commented", case, said)


async def resolve(desk: Desk, actor: Actor, case_id: str, resolution: str, *, shop: str | None = None) -> Case:
    """Close a case with what was decided. Raises NotFound when it is not open."""
    async with desk.db.transaction() as tx:
        done = await cases.resolve(tx, case_id, a_reason(resolution), desk.now(), who=actor.who)
        case = _theirs(done, case_id, shop)
        await _note(tx, desk, actor, "case.resolved", case, resolution)
    return case


async def _note(tx: Tx, desk: Desk, actor: Actor, action: str, case: Case, why: str = "") -> None:
    await audit.write(
        tx, actor, action, desk.now(), shop=case.shop, subject_id=case.id, order_id=case.order_id, why=why or case.kind
    )


def _theirs(case: Case | None, case_id: str, shop: str | None) -> Case:
    if case is None or (shop is not None and case.shop != shop):  # raising undoes what was done to another shop's case
        raise NotFound(f"there is no open case {case_id}")
    return case
