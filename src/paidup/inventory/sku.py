"""What is kept of stock: articles with their counters, reservations of orders, and movements."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from paidup.inventory.states import Kind, State


class Sku(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `skus`: an article of a shop, and how many units of it are where.

    available: may still be promised; below zero only as far as preorder_limit (units more than are here) allows.
    reserved: set aside for orders that may still be paid. sold: of paid orders. unlimited: never sold out; its counters
    are kept all the same. ships_at: when a pre-ordered one leaves. low_at: the shop is told when so few are left;
    is_low: it was told. event_seq counts the events of this article.
    """

    id: str
    shop: str
    sku: str
    name: str = ""
    unlimited: bool = False
    preorder_limit: int = 0
    ships_at: datetime | None = None
    low_at: int | None = None
    available: int = 0
    reserved: int = 0
    sold: int = 0
    is_low: bool = False
    event_seq: int = 0
    created_at: datetime
    updated_at: datetime

    @property
    def left(self) -> int | None:
        """How many units may still be ordered; None: as many as anybody wants."""
        return None if self.unlimited else self.available + self.preorder_limit


Place = tuple[str, str]
"""(shop, sku): where units are."""

Shelf = Mapping[Place, Sku]
"""Articles by their place, as they are while one transaction works on them."""


class Item(msgspec.Struct, frozen=True):
    """So many units of an article."""

    sku: str
    quantity: int


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """The units of one order, all of them or none. restock_refunded: they go on sale again when it is refunded."""

    order_id: str
    shop: str
    state: State
    items: tuple[Item, ...]
    restock_refunded: bool
    created_at: datetime
    updated_at: datetime


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `stock_movements`. quantity is above zero, but for an adjustment, which may take units away.

    key: what an operator does twice under one key is done once.
    """

    at: datetime
    shop: str
    sku: str
    kind: Kind
    quantity: int
    order_id: str | None = None
    reason: str = ""
    operator: str = ""
    key: str | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a shop sells from stock.

    hold_s: seconds for which an order's units are set aside, unless the order says. restock_refunded: whether the units
    of an order that was refunded in whole go on sale again by themselves. They may be anywhere, so usually they do not,
    and whoever finds them in the warehouse restocks them.
    """

    shop: str
    hold_s: int = 900
    restock_refunded: bool = False
