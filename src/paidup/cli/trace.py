"""`paidup trace ID`: the whole life of a payment, in time order."""

import sys

import click

from paidup.cli.output import emit_json, json_option, run, say
from paidup.db.transaction import Database
from paidup.report import print_life
from paidup.settings import Settings
from paidup.trace.life import Life, trace


@click.command()
@click.argument("any_id")
@json_option
def command(any_id: str, as_json: bool) -> None:
    """Any id → the whole life of its payment: order, payment, refund, callback, event or channel number.

    \b
    paidup trace A-1001                        the shop's order number
    paidup trace 4200002233202611230000000001  the channel's transaction id
    """

    async def work(db: Database, _settings: Settings) -> Life | None:
        async with db.session() as tx:
            return await trace(tx, any_id)

    life = run(work)
    if life is None:
        say(f"nothing is known by {any_id!r}: look into `paidup callbacks quarantine`, or ask the channel's console")
        sys.exit(1)
    if as_json:
        emit_json(life)
    else:
        print_life(life)
