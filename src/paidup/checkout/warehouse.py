"""What people do to the stock: describe articles, put units in, correct what was counted."""

from datetime import UTC, datetime

import msgspec

from paidup import ids, stock
from paidup.db.transaction import Tx
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.inventory import store as inventory
from paidup.inventory.sku import Movement, Sku
from paidup.inventory.states import Kind
from paidup.outbox import store as outbox

MAX_UNITS = 10**12
MAX_SKU_CHARS = 64
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What people decide about an article; see Sku for the meanings."""

    shop: str
    sku: str
    name: str = ""
    unlimited: bool = False
    preorder_limit: int = 0
    ships_at: datetime | None = None
    low_at: int | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Units that somebody puts in (restock), or that are there, or not there, after all (adjust: with a sign).

    key: the same change under the same key is made once. operator: who it was.
    """

    shop: str
    sku: str
    kind: Kind
    quantity: int
    reason: str
    operator: str
    key: str


async def put_sku(tx: Tx, described: Described, now: datetime) -> Sku:
    """Make an article without any unit, or change what was decided about it.

    Raises InvalidRequest, or Conflict when more units are promised than the new limit allows.
    """
    _must_make_sense(described)
    fields = msgspec.structs.asdict(described)
    new = Sku(id=ids.new_id(ids.SKU, now), created_at=now, updated_at=now, **fields)
    if await inventory.insert(tx, new):
        return new
    before = await _locked(tx, described.shop, described.sku)
    after = msgspec.structs.replace(before, updated_at=max(now, before.updated_at), **fields)
    if after.left is not None and after.left < 0:
        raise Conflict(
            f"{-after.available} units of {after.sku} are promised that are not here: preorder_limit cannot be less; "
            "restock it first"
        )
    await inventory.describe(tx, after)
    after, told = stock.announce(before, after, now)
    await inventory.count(tx, [after])
    await outbox.write(tx, told)
    return after


async def change(tx: Tx, wanted: Change, now: datetime) -> Sku:
    """Put units in, or correct their number; gives the article afterwards.

    Raises InvalidRequest, NotFound, or Conflict: the key stands for another change, or fewer units are left to take.
    """
    if not 1 <= abs(wanted.quantity) <= MAX_UNITS or (wanted.kind is Kind.RESTOCK and wanted.quantity < 0):
        raise InvalidRequest(f"between 1 and {MAX_UNITS} units can be put in at a time; adjust takes units away")
    before = await _locked(tx, wanted.shop, wanted.sku)
    done = await inventory.done_before(tx, wanted.shop, wanted.sku, wanted.key)
    if done is not None:
        if (done.kind, done.quantity) != (wanted.kind, wanted.quantity):
            raise Conflict(f"this key was used to {done.kind} {done.quantity} of {wanted.sku}; take a fresh one")
        return before
    if before.left is not None and before.left + wanted.quantity < 0:
        raise Conflict(
            f"of {wanted.sku} only {before.left} can be taken away; {before.reserved} are reserved for orders that may "
            "still be paid: close those first"
        )
    movement = Movement(at=now, **msgspec.structs.asdict(wanted))
    await stock.write(tx, {(before.shop, before.sku): before}, [movement], now)
    return await _locked(tx, wanted.shop, wanted.sku)


async def _locked(tx: Tx, shop: str, sku: str) -> Sku:
    found = (await inventory.lock(tx, [(shop, sku)])).get((shop, sku))
    if found is None:
        raise NotFound(f"there is no SKU {sku}; PUT /v1/skus/{sku}, or `paidup stock put`, makes one")
    return found


def _must_make_sense(described: Described) -> None:
    sku = described.sku
    if not (sku[:1].isalnum() and sku.isascii() and set(sku) <= _SKU_CHARS and len(sku) <= MAX_SKU_CHARS):
        raise InvalidRequest(
            f"a SKU has 1 to {MAX_SKU_CHARS} letters, digits, dots, dashes and underscores, and begins with one of the "
            "first two"
        )
    if not 0 <= described.preorder_limit <= MAX_UNITS or not 0 <= (described.low_at or 0) <= MAX_UNITS:
        raise InvalidRequest(f"preorder_limit and low_at lie between 0 and {MAX_UNITS}")
    if described.ships_at is not None and not _EARLIEST <= described.ships_at < _LATEST:
        raise InvalidRequest("ships_at lies between the years 2000 and 3000")


_SKU_CHARS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
