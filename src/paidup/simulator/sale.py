"""Runs in which the shop sells a hot item: fewer units than orders, so that buyers race for them, give them up, and pay
for them after all.

Seeds from SALES_FROM on are sales. The stories of the seeds below are as they were.
"""

import random
from datetime import datetime

import msgspec

from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.db.transaction import Tx
from paidup.inventory import store as inventory
from paidup.inventory.sku import Policy
from paidup.inventory.states import Kind
from paidup.simulator.script import Plan, Script, write_script

SALES_FROM = 100_000
HOT_ITEM, OTHER_ITEM = "HOT-01", "HOT-02"


def script_of(seed: int) -> Script:
    """The script of this seed; of a sale, with what each order wants and how many units there are."""
    script = write_script(seed)
    if seed < SALES_FROM:
        return script
    dice = random.Random(f"sale/{seed}")  # noqa: S311 - a story, not a secret
    plans = tuple(msgspec.structs.replace(plan, wants=_wants(dice)) for plan in script.plans)
    units = max(1, sum(quantity for plan in plans for _, quantity in plan.wants) // 3)
    return msgspec.structs.replace(script, plans=plans, hot_units=units)


def _wants(dice: random.Random) -> tuple[tuple[str, int], ...]:
    hot, other = (HOT_ITEM, dice.randint(1, 3)), (OTHER_ITEM, 1)
    return dice.choice(((hot,), (hot,), (hot, other), (other,)))


def items(plan: Plan) -> dict[str, object]:
    """What the request for an order says of its items."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in plan.wants]
    return {"items": lines} if lines else {}


async def fill_the_shelf(tx: Tx, shop: str, script: Script, now: datetime) -> None:
    """The units of a sale; how the shop treats refunded ones follows from their number."""
    if not script.hot_units:
        return
    await inventory.put_policy(tx, Policy(shop=shop, restock_refunded=script.hot_units % 2 == 0))
    for sku in (HOT_ITEM, OTHER_ITEM):
        await put_sku(tx, Described(shop=shop, sku=sku, low_at=1), now)
        delivery = Change(
            shop=shop, sku=sku, kind=Kind.RESTOCK, quantity=script.hot_units, reason="sale", operator="anna", key="1"
        )
        await change(tx, delivery, now)
