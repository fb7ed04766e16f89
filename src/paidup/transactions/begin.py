"""Begin a transaction. The shop's own key names it: beginning it twice gives the same one."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from paidup import ids
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.orders import store as orders
from paidup.transactions import store
from paidup.transactions.states import SagaState, TccState
from paidup.transactions.table import Table, check
from paidup.transactions.transaction import StepRun, Transaction, not_before

MAX_DATA_BYTES = 8 << 10


async def begin(
    tx: Tx, *, shop: str, order_id: str, table: Table, data: Mapping[str, object], key: str, now: datetime
) -> Transaction:
    """Write a transaction about an order; workers go on with it once the caller's transaction is committed.

    data: what each step's participant is told, by the step's name. key: the same key begins the same transaction.
    Raises NotFound, InvalidRequest, or Conflict when the key was used with other data or another table.
    """
    order = await orders.get(tx, order_id)
    if order is None or order.shop != shop:
        raise NotFound(f"there is no order {order_id}")
    fresh = _fresh(order_id, shop, check(table), _encoded(data, table), key, now)
    if await store.insert(tx, fresh):
        return fresh
    known = await store.get(tx, fresh.id)
    if known is None or (known.table, bytes(known.data)) != (fresh.table, bytes(fresh.data)):
        raise Conflict(f"the same key began another transaction ({fresh.id}); take a fresh key for a new one")
    return known


def _encoded(data: Mapping[str, object], table: Table) -> bytes:
    for name in data:
        table.find(name)
    encoded = msgspec.json.encode(data, order="sorted")
    if len(encoded) > MAX_DATA_BYTES or b"\\u0000" in encoded:
        raise InvalidRequest(f"data has at most {MAX_DATA_BYTES} bytes, and no NUL: tell participants less")
    return encoded


def _fresh(order_id: str, shop: str, table: Table, data: bytes, key: str, now: datetime) -> Transaction:
    first = SagaState.RUNNING if table.kind == "saga" else TccState.INIT
    steps = tuple(StepRun(name=step.name, due_at=not_before(step, now, now), updated_at=now) for step in table.step)
    return Transaction(
        id=ids.derived_id(store.TRANSACTION, order_id, f"{table.name}/{key}"),
        shop=shop,
        order_id=order_id,
        table=table,
        data=msgspec.Raw(data),
        state=first.value,
        why="begun",
        began_at=now,
        expires_at=now + timedelta(seconds=table.within_s),
        due_at=now,
        updated_at=now,
        steps=steps,
    )
