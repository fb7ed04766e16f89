"""`paidup deliveries …`: what the shop was told, dead letters, and where the shop listens."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import click
import msgspec

from paidup.cli.desk import at_desk
from paidup.cli.output import done, emit, emit_json, json_option, limit_option, progress, run, say
from paidup.cli.whoami import operator
from paidup.clock import parse_clock
from paidup.db.transaction import Database, Tx
from paidup.delivery import endpoints, shown
from paidup.errors import NotFound
from paidup.hand import deeds, listeners
from paidup.hand.desk import Desk
from paidup.settings import Settings
from paidup.shops import store as shops

REDRIVE_AT_ONCE = 1000
_NOTHING = "`paidup deliveries dead ept…` lists what was given up, `paidup deliveries summary` counts all"


@click.group()
def command() -> None:
    """What the shop was told; dead letters; endpoints."""


@command.command()
@json_option
def summary(as_json: bool) -> None:
    """How many deliveries stand where."""

    async def work(db: Database, _settings: Settings) -> dict[str, int]:
        async with db.session() as tx:
            return await shown.summary(tx)

    emit([{"state": state, "deliveries": count} for state, count in run(work).items()], as_json=as_json)


@command.command()
@click.argument("shop")
@click.argument("url")
@click.option("--types", default="*", show_default=True, help="event types, with commas; * for all")
@json_option
def endpoint(shop: str, url: str, types: str, as_json: bool) -> None:
    """Tell the shop at this URL; prints the signing secret, which cannot be shown again."""

    async def work(db: Database, settings: Settings) -> endpoints.Endpoint:
        async with db.transaction() as tx:
            await shops.late_payment_of(tx, shop)
            return await listeners.add_endpoint(
                tx,
                operator(),
                shop,
                url,
                types.split(","),
                parse_clock(settings.clock).now(),
                allow_loopback=settings.allow_loopback_endpoints,
            )

    made = run(work)
    if as_json:
        emit_json({"endpoint": made.id, "url": made.url, "types": made.types, "secret": made.secret})
        return
    say(f"{made.id}: {made.url} hears {', '.join(made.types)}; its secret:")
    click.echo(made.secret)


@command.command("endpoints")
@click.option("--shop")
@json_option
def endpoints_(shop: str | None, as_json: bool) -> None:
    """Where shops listen, and who was disabled why."""

    async def work(db: Database, _settings: Settings) -> list[endpoints.Endpoint]:
        async with db.session() as tx:
            if shop is not None:
                await shops.late_payment_of(tx, shop)
            return await endpoints.list_endpoints(tx, shop)

    rows = [msgspec.structs.asdict(endpoint) | {"secret": None} for endpoint in run(work)]
    emit(rows, as_json=as_json, empty="no endpoints yet: paidup deliveries endpoint SHOP URL")


@command.command()
@click.argument("shop")
@click.argument("endpoint_id")
@json_option
def rotate(shop: str, endpoint_id: str, as_json: bool) -> None:
    """Give an endpoint a new signing secret; messages are signed with the old one, too, until `retire`.

    \b
    paidup deliveries rotate acme ept…       first: messages are signed with both
    paidup deliveries retire acme ept…       when the shop's server knows the new one
    """
    made = run(_on_endpoint("endpoint.rotated", lambda tx: endpoints.rotate_secret(tx, shop, endpoint_id)))
    if as_json:
        emit_json({"endpoint": made.id, "url": made.url, "secret": made.secret})
        return
    say(f"messages to {made.url} are signed with a new secret as well, which cannot be shown again:")
    click.echo(made.secret)


@command.command()
@click.argument("shop")
@click.argument("endpoint_id")
@json_option
def retire(shop: str, endpoint_id: str, as_json: bool) -> None:
    """Sign with an endpoint's newest secret only."""
    kept = run(_on_endpoint("endpoint.retired", lambda tx: endpoints.retire_secrets(tx, shop, endpoint_id)))
    said = f"messages to {kept.url} are signed with its newest secret only"
    done(said, {"endpoint": kept.id, "url": kept.url}, as_json=as_json)


def _on_endpoint(
    action: str,
    change: Callable[[Tx], Awaitable[endpoints.Endpoint]],
) -> Callable[[Database, Settings], Awaitable[endpoints.Endpoint]]:
    async def work(db: Database, settings: Settings) -> endpoints.Endpoint:
        now = parse_clock(settings.clock).now()
        async with db.transaction() as tx:
            return await listeners.endpoint_changed(tx, operator(), action, await change(tx), now)

    return work


@command.command()
@click.argument("endpoint_id")
@limit_option
@json_option
def dead(endpoint_id: str, limit: int, as_json: bool) -> None:
    """Dead letters of an endpoint: given up after all tries."""

    async def work(db: Database, _settings: Settings) -> list[shown.Delivery]:
        async with db.session() as tx:
            await _must_be_there(tx, endpoint_id)
            return await shown.list_given_up(tx, endpoint_id, after_id=0, limit=limit)

    emit([msgspec.structs.asdict(row) for row in run(work)], as_json=as_json, empty="no dead letters")


@command.command()
@click.argument("delivery_ids", nargs=-1, type=int)
@click.option("--endpoint", help="all dead letters of this endpoint, and what was skipped while it was disabled")
@click.option("--order", help="what this order's shop never said to have applied, too")
@click.option("--because", default="from the command line", show_default=True, help="why, for the audit")
@json_option
def redrive(
    delivery_ids: tuple[int, ...], endpoint: str | None, order: str | None, because: str, as_json: bool
) -> None:
    """Send dead letters again, singly, all of one endpoint or those of an order, in order per order.

    \b
    paidup deliveries redrive 4711 4712
    paidup deliveries redrive --endpoint ept…
    """
    if bool(delivery_ids) + bool(endpoint) + bool(order) != 1:
        raise click.UsageError("name deliveries, or one --endpoint or --order; `paidup deliveries dead` lists them")

    async def work(desk: Desk) -> int:
        if endpoint:
            return await _redrive_all(desk, endpoint, because)
        if order:
            return await deeds.resend_order(desk, operator(), order, because)
        return await deeds.resend(desk, operator(), delivery_ids, because)

    count = at_desk(work)
    said = f"{count} deliveries are sent again" if count else f"nothing was sent again: {_NOTHING}"
    done(said, {"redriven": count}, as_json=as_json)


async def _must_be_there(tx: Tx, endpoint_id: str) -> None:
    if not await endpoints.shop_of(tx, endpoint_id):
        raise NotFound(f"there is no endpoint {endpoint_id}; `paidup deliveries endpoints` lists them")


async def _redrive_all(desk: Desk, endpoint: str, because: str) -> int:
    """In portions, each committed: each begins after the last, so that what is given up anew is not taken again."""
    async with desk.db.session() as tx:
        await _must_be_there(tx, endpoint)
    redriven, last = 0, 0
    with progress("redriven") as advance:
        while True:
            async with desk.db.session() as tx:
                some = [row.id for row in await shown.list_given_up(tx, endpoint, after_id=last, limit=REDRIVE_AT_ONCE)]
            if not some:
                return redriven
            redriven += await deeds.resend(desk, operator(), some, because)
            last = some[-1]
            advance(len(some))


@command.command()
@click.option("--minutes", default=60, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def audit(minutes: int, as_json: bool) -> None:
    """Acknowledged but not applied: the shop answered 2xx, and never said that it acted on it."""

    async def work(db: Database, settings: Settings) -> list[shown.Delivery]:
        before = parse_clock(settings.clock).now() - timedelta(minutes=minutes)
        async with db.session() as tx:
            return await shown.audit(tx, before)

    emit([msgspec.structs.asdict(row) for row in run(work)], as_json=as_json, empty="everything told was applied")
