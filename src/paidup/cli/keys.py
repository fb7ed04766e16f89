"""`paidup keys …`: channel keys as people may see them, and API keys of shops."""

import click

from paidup.channels.accounts import AccountsFolder
from paidup.channels.registry import CHANNELS
from paidup.cli.certificates import fetch_certificates
from paidup.cli.output import done, emit, emit_json, json_option, run, say
from paidup.cli.whoami import operator
from paidup.clock import SystemClock, parse_clock
from paidup.db.transaction import Database
from paidup.errors import InvalidRequest, NotFound
from paidup.hand import listeners
from paidup.settings import Settings, load
from paidup.shops import store as shops
from paidup.shops.store import Scope


@click.group()
def command() -> None:
    """Channel keys (in the accounts folder) and API keys (in the database)."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """All channel keys in force: their use, serial, fingerprint and expiry; never the keys themselves.

    A key is rotated by adding the new file beside the old one in account.toml, and by removing the old one when the
    channel has changed over; both are accepted in between, and no restart is needed.
    """
    accounts = AccountsFolder(load().accounts).current.by_name
    now = SystemClock().now()
    rows = [
        {
            "account": f"{channel}/{name}",
            "use": key.use,
            "name": key.name,
            "fingerprint": key.fingerprint,
            "expires": key.expires_at,
            "note": "EXPIRED" if key.expires_at and key.expires_at < now else "",
        }
        for (channel, name), account in sorted(accounts.items())
        for key in CHANNELS[channel].keys(account)
    ]
    emit(rows, as_json=as_json, empty=f"no channel accounts in {load().accounts}")


command.add_command(fetch_certificates)


@command.command("create-api")
@click.argument("shop")
@click.option("--scopes", default="read,write,refund", show_default=True, help=f"of {', '.join(Scope)}")
@json_option
def create_api(shop: str, scopes: str, as_json: bool) -> None:
    """Make an API key for a shop and print it; it cannot be shown again."""
    wanted = [name.strip() for name in scopes.split(",")]
    if not set(wanted) <= set(Scope):
        raise InvalidRequest(f"scopes are {', '.join(Scope)}")

    async def work(db: Database, settings: Settings) -> str:
        async with db.transaction() as tx:
            await shops.late_payment_of(tx, shop)
            now = parse_clock(settings.clock).now()
            return await listeners.make_key(tx, operator(), shop, [Scope(name) for name in wanted], now)

    key = run(work)
    if as_json:
        emit_json({"shop": shop, "scopes": wanted, "key": key})
    else:
        click.echo(key)
    say("keep it now: only its hash is stored")


@command.command("list-api")
@click.argument("shop")
@json_option
def list_api(shop: str, as_json: bool) -> None:
    """The shop's API keys, live and revoked."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            await shops.late_payment_of(tx, shop)
            return await shops.keys_of(tx, shop)

    emit(run(work), as_json=as_json, empty=f"shop {shop} has no API keys")


@command.command("revoke-api")
@click.argument("key_id")
@json_option
def revoke_api(key_id: str, as_json: bool) -> None:
    """End an API key at once."""

    async def work(db: Database, settings: Settings) -> bool:
        async with db.transaction() as tx:
            return await listeners.revoke_key(tx, operator(), key_id, parse_clock(settings.clock).now())

    if not run(work):
        raise NotFound(f"there is no live key {key_id}; `paidup keys list-api SHOP` shows them by id")
    done(f"{key_id} is revoked", {"revoked": key_id}, as_json=as_json)
