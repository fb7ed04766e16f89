"""`paidup tx participant|participants|rotate|retire|define`: the services that take part, and the tables of steps."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from paidup.cli.output import done, emit, emit_json, json_option, run, say
from paidup.cli.whoami import operator
from paidup.clock import parse_clock
from paidup.db.transaction import Database, Tx
from paidup.errors import InvalidRequest
from paidup.hand import listeners
from paidup.settings import Settings
from paidup.transactions import participants
from paidup.transactions.table import MAX_TABLE_BYTES, read_toml


@click.command()
@click.argument("shop")
@click.argument("name")
@click.argument("url")
@json_option
def participant(shop: str, name: str, url: str, as_json: bool) -> None:
    """Register a service that takes part, or move it to another URL; prints a new one's signing secret.

    \b
    paidup tx participant teahouse coupons https://coupons.example.com/paidup
    """

    async def work(db: Database, settings: Settings) -> participants.Participant:
        now = parse_clock(settings.clock).now()
        async with db.transaction() as tx:
            return await listeners.put_participant(
                tx, operator(), shop, name, url, now, allow_loopback=settings.allow_loopback_endpoints
            )

    made = run(work)
    if made.secret is None:
        done(f"{name} is at {made.url} now; its secret stays as it was", _named(made), as_json=as_json)
        return
    _show_secret(f"{name} is at {made.url}; its secret, which cannot be shown again:", made, as_json=as_json)


@click.command()
@click.argument("shop")
@click.argument("name")
@json_option
def rotate(shop: str, name: str, as_json: bool) -> None:
    """Give a participant a new signing secret; requests are signed with the old one, too, until `retire`.

    \b
    paidup tx rotate teahouse coupons       first: requests are signed with both
    paidup tx retire teahouse coupons       when the service knows the new one
    """
    made = run(_on_participant("participant.rotated", lambda tx: participants.rotate_secret(tx, shop, name)))
    said = f"requests to {name} are signed with a new secret as well, which cannot be shown again:"
    _show_secret(said, made, as_json=as_json)


@click.command()
@click.argument("shop")
@click.argument("name")
@json_option
def retire(shop: str, name: str, as_json: bool) -> None:
    """Sign with a participant's newest secret only: what it knew before is worth nothing any more."""
    kept = run(_on_participant("participant.retired", lambda tx: participants.retire_secrets(tx, shop, name)))
    done(f"requests to {name} are signed with its newest secret only", _named(kept), as_json=as_json)


@click.command("participants")
@click.argument("shop")
@json_option
def participants_(shop: str, as_json: bool) -> None:
    """The services that take part, without their secrets."""

    async def work(db: Database, _settings: Settings) -> list[participants.Participant]:
        async with db.session() as tx:
            return await participants.list_participants(tx, shop)

    rows = [_named(one) for one in run(work)]
    emit(rows, as_json=as_json, empty="no participants yet: paidup tx participant SHOP NAME URL")


@click.command()
@click.argument("shop")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def define(shop: str, file: Path, as_json: bool) -> None:
    """Keep a table of steps, written in TOML; transactions that have begun keep theirs.

    \b
    paidup tx define teahouse checkout.toml
    """
    if file.stat().st_size > MAX_TABLE_BYTES:
        raise InvalidRequest(f"{file}: a table of steps has at most {MAX_TABLE_BYTES} bytes")
    table = read_toml(file.read_text(encoding="utf-8"))

    async def work(db: Database, settings: Settings) -> None:
        async with db.transaction() as tx:
            await participants.define(tx, shop, table, parse_clock(settings.clock).now())

    run(work)
    within_s = round(table.bound_s())
    said = {"name": table.name, "kind": table.kind, "steps": len(table.step), "ends_within_s": within_s}
    done(
        f"{table.name} is a {table.kind} of {len(table.step)} steps; it ends within {within_s} s", said, as_json=as_json
    )


Deed = Callable[[Tx], Awaitable[participants.Participant]]


def _on_participant(action: str, deed: Deed) -> Callable[[Database, Settings], Awaitable[participants.Participant]]:
    async def work(db: Database, settings: Settings) -> participants.Participant:
        now = parse_clock(settings.clock).now()
        async with db.transaction() as tx:
            return await listeners.participant_changed(tx, operator(), action, await deed(tx), now)

    return work


def _named(one: participants.Participant) -> dict[str, object]:
    return {"name": one.name, "url": one.url, "created_at": one.created_at}


def _show_secret(said: str, made: participants.Participant, *, as_json: bool) -> None:
    """The secret alone on stdout, for whoever pipes it on."""
    if as_json:
        emit_json(_named(made) | {"secret": made.secret})
        return
    say(said)
    click.echo(made.secret)
