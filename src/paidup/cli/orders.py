"""`paidup orders …`: find by any number or the end of one; close."""

import sys

import click

from paidup import trace
from paidup.cli.desk import at_desk
from paidup.cli.output import done, emit, json_option, run
from paidup.cli.whoami import operator
from paidup.db.transaction import Database
from paidup.hand import deeds
from paidup.orders import store as orders
from paidup.orders.order import Order
from paidup.settings import Settings


@click.group()
def command() -> None:
    """Find an order by any number, or by the end of one; close it."""


@command.command()
@click.argument("number")
@json_option
def find(number: str, as_json: bool) -> None:
    """Orders by any number of ours, the shop's or the channel's, or by its last 6 characters or more.

    \b
    paidup orders find 777001
    """

    async def work(db: Database, _settings: Settings) -> list[Order]:
        async with db.session() as tx:
            return await orders.get_many(tx, await trace.find(tx, number))

    found = [
        {
            "id": o.id,
            "shop": o.shop,
            "number": o.shop_order_no,
            "amount": str(o.money),
            "state": o.state,
            "placed": o.created_at,
        }
        for o in run(work)
    ]
    emit(found, as_json=as_json, empty=f"nothing is known by {number!r}")
    if not found:
        sys.exit(1)


@command.command()
@click.argument("order_id")
@click.option("--because", required=True, help="why, for the audit")
@json_option
def close(order_id: str, because: str, as_json: bool) -> None:
    """Give an order up: its payments are closed at the channel, then it is closed."""
    came = at_desk(lambda desk: deeds.close(desk, operator(), order_id, because))
    done(came.says, {"state": came.state, "says": came.says}, as_json=as_json)
