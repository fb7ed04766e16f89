"""`paidup users …`: who may sign in to the console. The first admin is made here."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import click
import msgspec

from paidup.cli.output import done, emit, emit_json, json_option, run, say
from paidup.cli.whoami import operator
from paidup.clock import parse_clock
from paidup.db.transaction import Database, Tx
from paidup.people import admin, audit, proof, sessions, store
from paidup.people.user import Role, User
from paidup.settings import Settings

_role = click.Choice([role.value for role in Role])


@click.group()
def command() -> None:
    """Who may sign in to the console, and as what.

    \b
    paidup users add alice --role admin     prints a sign-in link that opens once
    paidup users link alice                 another one, for who forgot the password
    """


@command.command()
@click.argument("name")
@click.option("--role", type=_role, default=Role.VIEWER.value, show_default=True, help="what they may do")
@json_option
def add(name: str, role: str, as_json: bool) -> None:
    """Add a user and print a sign-in link; there they set their password."""

    _give(
        name, run(_linked(lambda tx, now, rate: admin.add(tx, operator(), name, Role(role), now, rate=rate))), as_json
    )


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """All users, with their roles."""

    async def work(db: Database, _settings: Settings) -> list[User]:
        async with db.session() as tx:
            return await store.users(tx)

    rows = [msgspec.structs.asdict(user) for user in run(work)]
    emit(rows, as_json=as_json, empty="no users yet: paidup users add NAME --role admin")


@command.command()
@click.argument("name")
@click.argument("role", type=_role)
@json_option
def role(name: str, role: str, as_json: bool) -> None:
    """Give a user another role; they sign in anew."""

    async def work(db: Database, settings: Settings) -> None:
        async with db.transaction() as tx:
            await admin.give_role(tx, operator(), name, Role(role), parse_clock(settings.clock).now())

    run(work)
    done(f"{name} is {role} now", {"name": name, "role": role}, as_json=as_json)


@command.command()
@click.argument("name")
@json_option
def disable(name: str, as_json: bool) -> None:
    """End a user's sessions at once; nobody signs in under this name any more."""

    async def work(db: Database, settings: Settings) -> None:
        async with db.transaction() as tx:
            await admin.disable(tx, operator(), name, parse_clock(settings.clock).now())

    run(work)
    done(f"{name} is disabled; `paidup users reset {name}` brings them back", {"disabled": name}, as_json=as_json)


@command.command()
@click.argument("name")
@json_option
def reset(name: str, as_json: bool) -> None:
    """Forget a user's password and second factor, end their sessions, and print a sign-in link."""

    _give(name, run(_linked(lambda tx, now, rate: admin.reset(tx, operator(), name, now, rate=rate))), as_json)


@command.command()
@click.argument("name")
@json_option
def link(name: str, as_json: bool) -> None:
    """Print a sign-in link that opens once, within half an hour."""

    _give(name, run(_linked(lambda tx, now, rate: admin.make_link(tx, operator(), name, now, rate=rate))), as_json)


@command.command()
@click.argument("name")
@click.password_option(help="read from the terminal unless given")
@json_option
def password(name: str, password: str, as_json: bool) -> None:
    """Set a user's password from here, for servers without a browser at hand."""

    async def work(db: Database, settings: Settings) -> None:
        hashed = await asyncio.to_thread(proof.hash_password, password)
        async with db.transaction() as tx:
            await store.get(tx, name)
            await store.set_password(tx, name, hashed)
            await sessions.end_all(tx, name)
            now = parse_clock(settings.clock).now()
            await audit.write(tx, operator(), "user.password_changed", now, subject_id=name)

    run(work)
    done(f"{name} has a new password; their sessions have ended", {"name": name}, as_json=as_json)


def _linked(
    deed: Callable[[Tx, datetime, float], Awaitable[str]],
) -> Callable[[Database, Settings], Awaitable[str]]:
    """What gives the token of a sign-in link, as work that gives its address."""

    async def work(db: Database, settings: Settings) -> str:
        clock = parse_clock(settings.clock)
        async with db.transaction() as tx:
            return admin.link_of(settings.public_url, await deed(tx, clock.now(), clock.rate))

    return work


def _give(name: str, link: str, as_json: bool) -> None:
    """The link on stdout, alone, so that it can be piped."""
    if as_json:
        emit_json({"name": name, "link": link})
    else:
        click.echo(link)
        say(f"{name} signs in by this link, once, within half an hour")
