"""`paidup orders …`: find by any number or the end of one; close."""

import sys
from datetime import UTC

import click

from paidup.checkout.place import place_order
from paidup.cli.desk import at_desk
from paidup.cli.output import done, emit, emit_json, json_anyway, json_option, run
from paidup.cli.whoami import operator
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.hand import deeds
from paidup.money import Money
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.settings import Settings
from paidup.trace.find import search

_ELSE = "ask for another number, or for amount and time; `paidup callbacks quarantine` shows what could not be verified"


@click.group()
def command() -> None:
    """Find an order by any number, or by the end of one; close it."""


@command.command()
@click.argument("number")
@json_option
def find(number: str, as_json: bool) -> None:
    """Orders by any number of ours, the shop's, its customer's or the channel's, or by the last 6 characters of one; or
    by amount and time (UTC).

    \b
    paidup orders find 777001
    paidup orders find "12.50 2026-11-27 14:03"
    """

    async def work(db: Database, settings: Settings) -> list[Order]:
        async with db.session() as tx:
            found = await search(tx, number, parse_clock(settings.clock).now(), UTC)
            return await orders.get_many(tx, found.order_ids)

    found = [_row(order) for order in run(work)]
    emit(found, as_json=as_json, empty=f"nothing is known by {number!r}: {_ELSE}")
    if not found:
        sys.exit(1)


@command.command()
@click.argument("shop")
@click.argument("number")
@click.option("--amount-minor", required=True, type=int, help="what is to be paid, in minor units")
@click.option("--currency", required=True, help="such as CNY")
@click.option("--description", default="", help="what the customer reads when paying")
@click.option("--buyer", "buyer_ref", default="", help="the shop's own number of its customer; shown masked")
@json_option
def place(
    shop: str, number: str, amount_minor: int, currency: str, description: str, buyer_ref: str, as_json: bool
) -> None:
    """Place an order; the same number of the shop places it once.

    \b
    paidup orders place acme A-1 --amount-minor 1250 --currency CNY --buyer customer-004711
    """

    async def work(db: Database, settings: Settings) -> Order:
        async with db.transaction() as tx:
            return await place_order(
                tx, shop=shop, shop_order_no=number, money=Money(amount_minor, currency), description=description,
                ttl_s=settings.payment_ttl_s, now=parse_clock(settings.clock).now(), shard=settings.shard,
                buyer_ref=buyer_ref,
            )  # fmt: skip

    emit([_row(run(work))], as_json=as_json)


@command.command()
@click.argument("order_id")
@json_option
def buyer(order_id: str, as_json: bool) -> None:
    """Whose order it is, in the shop's own words, nothing masked. That somebody looked stands in the audit."""
    order = at_desk(lambda desk: deeds.reveal_buyer(desk, operator(), order_id))
    emit([{"id": order.id, "buyer": order.buyer_ref}], as_json=as_json)


@command.command()
@click.argument("order_id")
@click.argument("kind", type=click.Choice(["buyer", "callback", "decision", "call", "attempt"]))
@click.argument("thing_id")
@json_anyway
def detail(order_id: str, kind: str, thing_id: str) -> None:
    """What stands behind a moment of an order's life as JSON, nothing masked. That somebody looked stands in the audit.

    \b
    paidup orders detail ord… call call…      what the channel answered, word for word
    paidup orders detail ord… attempt att…    what the shop answered
    """
    emit_json(at_desk(lambda desk: deeds.reveal_detail(desk, operator(), order_id, kind, thing_id)))


@command.command()
@click.argument("order_id")
@click.option("--because", required=True, help="why, for the audit")
@json_option
def close(order_id: str, because: str, as_json: bool) -> None:
    """Give an order up: its payments are closed at the channel, then it is closed."""
    came = at_desk(lambda desk: deeds.close(desk, operator(), order_id, because))
    done(came.says, {"state": came.state, "says": came.says}, as_json=as_json)


def _row(o: Order) -> dict[str, object]:
    return {
        "id": o.id,
        "shop": o.shop,
        "number": o.shop_order_no,
        "amount": str(o.money),
        "state": o.state,
        "placed": o.created_at,
        "buyer": o.buyer_masked,
    }
