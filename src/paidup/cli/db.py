"""`paidup db …`: migrations, shops, and where the embedded server is."""

import asyncio

import click

from paidup.cli.output import done, emit, emit_json, json_option, run
from paidup.clock import parse_clock
from paidup.db.migrate import migrate as run_migrations
from paidup.db.open import open_database
from paidup.db.transaction import Database
from paidup.handlers import forget
from paidup.orders.order import LatePayment
from paidup.settings import Settings, load
from paidup.shops import store as shops


@click.group()
def command() -> None:
    """Migrations, shops, and the address of the database."""


@command.command()
@json_option
def migrate(as_json: bool) -> None:
    """Apply the migrations that are missing."""

    async def work() -> list[str]:
        async with open_database(load()) as db:
            return await run_migrations(db)

    applied = asyncio.run(work())
    told = f"applied {', '.join(applied)}" if applied else "nothing to do: the database is up to date"
    done(told, {"applied": applied}, as_json=as_json)


@command.command()
@json_option
def url(as_json: bool) -> None:
    """Print the database's address with its password, for psql; starts the embedded server for a moment if needed."""

    async def work() -> str:
        async with open_database(load()) as db:
            return db.dsn

    dsn = asyncio.run(work())
    if as_json:
        emit_json({"url": dsn})
    else:
        click.echo(dsn)


@command.command()
@click.argument("name")
@click.option("--late-payment", type=click.Choice([policy.value for policy in LatePayment]), default="reopen")
@json_option
def shop(name: str, late_payment: str, as_json: bool) -> None:
    """Create a shop, or change what it does with money that arrives for a closed order."""

    async def work(db: Database, settings: Settings) -> None:
        async with db.transaction() as tx:
            await shops.put_shop(tx, name, LatePayment(late_payment), parse_clock(settings.clock).now())

    run(work)
    told = f"shop {name}: money for closed orders → {late_payment}"
    done(told, {"shop": name, "late_payment": late_payment}, as_json=as_json)


@command.command("forget-handlers")
@json_option
def forget_handlers(as_json: bool) -> None:
    """The application that embeds Paidup has no handlers any more: let processes without any change payments again."""

    async def work(db: Database, _settings: Settings) -> list[str]:
        async with db.transaction() as tx:
            return await forget(tx)

    forgotten = run(work)
    told = f"forgot {', '.join(forgotten)}" if forgotten else "nothing to forget: no handlers are known"
    done(told, {"forgotten": forgotten}, as_json=as_json)


@command.command("shops")
@json_option
def shops_(as_json: bool) -> None:
    """All shops."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            return await shops.shops(tx)

    emit(run(work), as_json=as_json, empty="no shops yet: paidup db shop NAME")
