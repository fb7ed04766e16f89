"""`paidup stock …`: articles, what is left of them, and the journal that proves it."""

import sys
from collections.abc import Sequence
from datetime import datetime

import click

from paidup.checkout.stocktaking import call_person, recount
from paidup.cli.output import done, emit, emit_json, json_option, limit_option, run, say
from paidup.cli.warehouse import adjust, import_, put, restock, sku_row
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.inventory import store as inventory
from paidup.inventory.sku import Policy, Sku
from paidup.inventory.states import EFFECTS
from paidup.report import print_checks
from paidup.settings import Settings
from paidup.shops.store import late_payment_of
from paidup.verify import Check
from paidup.verify.stock import check_stock

_NEWEST = 2**63 - 1


@click.group()
def command() -> None:
    """What can be sold, what is set aside for orders, and every movement.

    \b
    paidup stock put acme TEA-01 --name "green tea" --low-at 10
    paidup stock restock acme TEA-01 200 --because "delivery note 4711"
    paidup stock show acme TEA-01
    paidup stock check
    """


@command.command("list")
@click.argument("shop", required=False)
@limit_option
@json_option
def list_(shop: str | None, limit: int, as_json: bool) -> None:
    """Articles with their counters: of a shop, or of all."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            return [sku_row(sku) for sku in await inventory.page(tx, shop, "", limit)]

    emit(run(work), as_json=as_json, empty="no articles yet: paidup stock put SHOP SKU")


@command.command()
@click.argument("shop")
@click.argument("sku")
@limit_option
@json_option
def show(shop: str, sku: str, limit: int, as_json: bool) -> None:
    """An article and its journal, newest first, with the counters after each movement."""

    async def work(db: Database, _settings: Settings) -> tuple[Sku, list[dict[str, object]]]:
        async with db.transaction() as tx:
            found = (await inventory.lock(tx, [(shop, sku)])).get((shop, sku))  # nothing moves while it is read
            if found is None:
                raise NotFound(f"shop {shop} has no SKU {sku}; `paidup stock list {shop}` names them")
            return found, _journal(found, await inventory.journal(tx, shop, sku, _NEWEST, limit))

    found, journal = run(work)
    if as_json:
        emit_json({"sku": sku_row(found), "journal": journal})
        return
    emit([sku_row(found)], as_json=False)
    click.echo()
    emit(journal, as_json=False, empty="nothing has moved yet")


@command.command()
@click.argument("shop")
@click.option("--hold-s", type=click.IntRange(60, 2_592_000), help="seconds for which an order's units are set aside")
@click.option("--refunded", type=click.Choice(["restock", "keep"]), help="what becomes of the units of refunded orders")
@json_option
def policy(shop: str, hold_s: int | None, refunded: str | None, as_json: bool) -> None:
    """How a shop sells from stock; without options, as it is now.

    An order's units are set aside until its payments are closed at their channels, so never shorter than its own
    expires_in_s. keep: whoever finds refunded units in the warehouse restocks them.
    """

    async def work(db: Database, _settings: Settings) -> Policy:
        async with db.transaction() as tx:
            await late_payment_of(tx, shop)  # it must be there
            now = (await inventory.policies(tx, [shop]))[shop]
            wanted = Policy(
                shop=shop,
                hold_s=hold_s or now.hold_s,
                restock_refunded=refunded == "restock" if refunded else now.restock_refunded,
            )
            if wanted != now:
                await inventory.put_policy(tx, wanted)
            return wanted

    now = run(work)
    said = {"shop": shop, "hold_s": now.hold_s, "restock_refunded": now.restock_refunded}
    sentence = f"shop {shop}: units are set aside for {now.hold_s} s; those of refunded orders are {_kept(now)}"
    done(sentence, said, as_json=as_json)


def _kept(now: Policy) -> str:
    return "on sale again at once" if now.restock_refunded else "kept until somebody restocks them"


@command.command()
@click.option("--mend", is_flag=True, help="set counters to the sums of their journal; open a case for each order")
@json_option
def check(mend: bool, as_json: bool) -> None:
    """Compare counters, journal, reservations and orders; exits with 1 on a difference.

    The journal is the truth about counters, so those can be mended. Where an order and its units disagree, a person
    decides: --mend opens a case.
    """

    async def work(db: Database, settings: Settings) -> list[Check]:
        checks = await check_stock(db)
        if mend:
            await _mend(db, checks, parse_clock(settings.clock).now())
            checks = await check_stock(db)
        return checks

    checks = run(work)
    if as_json:
        emit_json(checks)
    else:
        print_checks(checks)
    if not all(one.holds for one in checks):
        sys.exit(1)


for one in (put, restock, adjust, import_):
    command.add_command(one)


async def _mend(db: Database, checks: Sequence[Check], now: datetime) -> None:
    counters, of_orders = checks
    for name in counters.breaches:
        shop, _, sku = name.partition("/")
        async with db.transaction() as tx:
            done = await recount(tx, shop, sku, now)
        say(
            f"{name}: "
            + ("its counters are the sums of its journal again" if done else "its journal must be looked at")
        )
    async with db.transaction() as tx:
        opened = await call_person(tx, sorted(set(of_orders.breaches)), now)
    for order_id in opened:
        say(f"{order_id}: a case is open; paidup trace {order_id}")


def _journal(sku: Sku, page: list[inventory.Numbered]) -> list[dict[str, object]]:
    """Each movement with the counters after it, reckoned back from what they are now."""
    rows: list[dict[str, object]] = []
    available, reserved, sold = sku.available, sku.reserved, sku.sold
    for row in page:
        moved = row.movement
        rows.append(
            {
                "at": moved.at,
                "kind": moved.kind.value,
                "quantity": moved.quantity,
                "available": available,
                "reserved": reserved,
                "sold": sold,
                "order": moved.order_id,
                "by": moved.operator,
                "because": moved.reason,
            }
        )
        effect = EFFECTS[moved.kind]
        available -= effect[0] * moved.quantity
        reserved -= effect[1] * moved.quantity
        sold -= effect[2] * moved.quantity
    return rows
