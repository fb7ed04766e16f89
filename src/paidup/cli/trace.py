"""`paidup trace ID`: the whole life of a payment, in time order."""

import sys

import click
from rich.console import Console
from rich.text import Text

from paidup import trace as tracing
from paidup.cli.output import emit_json, json_option, run, say
from paidup.db.transaction import Database
from paidup.settings import Settings

_COLOURS = {"callback": "cyan", "decision": "green", "query": "yellow", "event": "blue", "case": "red"}


@click.command()
@click.argument("any_id")
@json_option
def command(any_id: str, as_json: bool) -> None:
    """Any id → the whole life of its payment: order, payment, refund, callback, event or channel number.

    \b
    paidup trace A-1001                        the shop's order number
    paidup trace 4200002233202611230000000001  the channel's transaction id
    """

    async def work(db: Database, _settings: Settings) -> tracing.Life | None:
        async with db.session() as tx:
            return await tracing.trace(tx, any_id)

    life = run(work)
    if life is None:
        say(f"nothing is known by {any_id!r}: look into `paidup callbacks quarantine`, or ask the channel's console")
        sys.exit(1)
    if as_json:
        emit_json(life)
    else:
        show(life)


def show(life: tracing.Life) -> None:
    """Print a life for people."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(life.verdict, style="bold"))
    console.print(f"order {life.order.id} ({life.order.shop_order_no}) of {life.order.shop}, {life.order.money}")
    for moment in life.moments:
        line = Text(f"{moment.at:%H:%M:%S.%f}"[:12] + "  ")
        line.append(f"{moment.kind:<13}", style=_COLOURS.get(moment.kind, ""))
        line.append(moment.what)
        console.print(line)
    if life.next_at:
        console.print(f"next question to the channel: {life.next_at:%Y-%m-%d %H:%M:%S} UTC")
