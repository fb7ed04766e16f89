"""`paidup stock put|restock|adjust|import`: articles, and units that come in or were counted."""

from datetime import UTC, datetime
from typing import BinaryIO

import click

from paidup import ids
from paidup.checkout.delivery_note import MAX_BYTES, take_in
from paidup.checkout.warehouse import Change, Described, change, put_sku
from paidup.cli.output import done, emit, emit_json, json_option, run
from paidup.cli.whoami import said_by
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.inventory.sku import Sku
from paidup.inventory.states import Kind
from paidup.people.user import Right
from paidup.settings import Settings
from paidup.shops.store import late_payment_of

operator_option = click.option(
    "--operator", help="a user of `paidup users list` in whose name it is done; your login unless given"
)
key_option = click.option("--key", default="", help="the same key does it once, however often the command is repeated")


@click.command()
@click.argument("shop")
@click.argument("sku")
@click.option("--name", default="")
@click.option("--unlimited", is_flag=True, help="never sold out, such as a download")
@click.option("--preorder-limit", default=0, help="so many more units than are here may be ordered")
@click.option("--ships-at", type=click.DateTime(["%Y-%m-%d"]), help="when a pre-ordered one leaves, in UTC")
@click.option("--low-at", type=int, help="tell the shop (stock.low) when so few are left")
@json_option
def put(shop: str, sku: str, ships_at: datetime | None, as_json: bool, **described: str | int | bool | None) -> None:
    """Make an article, or change what was decided about it; what is not named becomes what it usually is.

    \b
    paidup stock put acme TEA-01 --name "green tea" --low-at 10
    paidup stock put acme E-BOOK --unlimited
    paidup stock put acme NEW-PHONE --preorder-limit 500 --ships-at 2027-03-01
    """
    at = ships_at.replace(tzinfo=UTC) if ships_at else None
    wanted = Described(shop=shop, sku=sku, ships_at=at, **described)  # type: ignore[arg-type]  # click has checked each

    async def work(db: Database, settings: Settings) -> Sku:
        async with db.transaction() as tx:
            await late_payment_of(tx, shop)  # it must be there
            return await put_sku(tx, wanted, parse_clock(settings.clock).now())

    _show(run(work), as_json=as_json)


@click.command()
@click.argument("shop")
@click.argument("sku")
@click.argument("quantity", type=click.IntRange(min=1))
@click.option("--because", default="", help="such as the number of the delivery note")
@operator_option
@key_option
@json_option
def restock(shop: str, sku: str, quantity: int, because: str, operator: str | None, key: str, as_json: bool) -> None:
    """Put units in."""
    _show(_change(Kind.RESTOCK, shop, sku, quantity, because, operator, key), as_json=as_json)


@click.command()
@click.argument("shop")
@click.argument("sku")
@click.option("--by", required=True, type=int, help="how many there are more; below zero: how many there are less")
@click.option("--because", required=True, help="why, for the record")
@operator_option
@key_option
@json_option
def adjust(shop: str, sku: str, by: int, because: str, operator: str | None, key: str, as_json: bool) -> None:
    """Correct the number of units after a count.

    \b
    paidup stock adjust acme TEA-01 --by -1 --because "one was broken"
    """
    _show(_change(Kind.ADJUST, shop, sku, by, because, operator, key), as_json=as_json)


def _change(kind: Kind, shop: str, sku: str, quantity: int, reason: str, operator: str | None, key: str) -> Sku:
    async def work(db: Database, settings: Settings) -> Sku:
        now, by = parse_clock(settings.clock).now(), await said_by(db, operator, Right.WORK)
        wanted = Change(
            shop=shop, sku=sku, kind=kind, quantity=quantity, reason=reason, operator=by,
            key=f"cli/{key or ids.new_id('key', now)}",
        )  # fmt: skip
        async with db.transaction() as tx:
            return await change(tx, wanted, now)

    return run(work)


@click.command("import")
@click.argument("shop")
@click.argument("file", type=click.File("rb"))
@operator_option
@json_option
def import_(shop: str, file: BinaryIO, operator: str | None, as_json: bool) -> None:
    """Make articles and put units in from a CSV file: all of it or nothing, and the same file only once.

    Columns: sku, quantity, name, unlimited, preorder_limit, low_at; sku must be there. "-" reads from stdin.

    \b
    paidup stock import acme delivery.csv
    """
    data = file.read(MAX_BYTES + 1)

    async def work(db: Database, settings: Settings) -> tuple[int, int]:
        by = await said_by(db, operator, Right.WORK)
        async with db.transaction() as tx:
            await late_payment_of(tx, shop)  # it must be there
            return await take_in(tx, shop, data, operator=by, now=parse_clock(settings.clock).now())

    lines, units = run(work)
    sentence = f"{lines} lines; {units} units were put in"
    sentence += "" if units else " (those of this very file were in already)"
    done(sentence, {"lines": lines, "units": units}, as_json=as_json)


def _show(sku: Sku, *, as_json: bool) -> None:
    """An article as it is now: a table, or one JSON object."""
    if as_json:
        emit_json(sku_row(sku))
    else:
        emit([sku_row(sku)], as_json=False)


def sku_row(sku: Sku) -> dict[str, object]:
    """An article as a row of a table."""
    return {
        "shop": sku.shop,
        "sku": sku.sku,
        "name": sku.name,
        "left": "unlimited" if sku.left is None else sku.left,
        "available": sku.available,
        "reserved": sku.reserved,
        "sold": sku.sold,
        "low_at": sku.low_at,
        "changed": sku.updated_at,
    }
