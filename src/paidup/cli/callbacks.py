"""`paidup callbacks …`: what the channels told us, and what could not be verified."""

import click

from paidup.cli.desk import at_desk
from paidup.cli.output import emit, emit_json, json_anyway, json_option, limit_option, run, say
from paidup.cli.whoami import operator
from paidup.db.transaction import Database
from paidup.errors import NotFound, Verdict
from paidup.hand import deeds
from paidup.hand.desk import Desk
from paidup.intake import inbox, quarantine
from paidup.settings import Settings


@click.group()
def command() -> None:
    """What the channels told us, and what could not be verified."""


@command.command("list")
@click.option("--channel")
@click.option("--state", type=click.Choice(["waiting", "parked", "poisoned", "settled"]))
@limit_option
@json_option
def list_(channel: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """The newest callbacks that were acknowledged."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            return await inbox.page(tx, channel, state, limit)

    emit(run(work), as_json=as_json, empty="no callbacks")


@command.command()
@click.argument("callback_id")
@json_anyway
def show(callback_id: str) -> None:
    """One callback as JSON: headers as they came, and the raw body."""

    async def work(db: Database, _settings: Settings) -> dict[str, object]:
        async with db.session() as tx:
            row = await inbox.get(tx, callback_id)
            if row is None:
                kept = await quarantine.get(tx, callback_id)
                row = {name: getattr(kept, name) for name in kept.__struct_fields__} if kept else None
        if row is None:
            raise NotFound(f"there is no callback {callback_id}, neither received nor in quarantine")
        return row

    row = run(work)
    emit_json(row | {"body": bytes(row["body"]).decode("utf-8", "backslashreplace")})  # type: ignore[call-overload]  # bytea


@command.command("replay")
@click.argument("callback_ids", nargs=-1, required=True)
@click.option("--because", default="from the command line", show_default=True, help="why, for the audit")
def replay_(callback_ids: tuple[str, ...], because: str) -> None:
    """Send parked or poisoned callbacks to the door again."""

    async def work(desk: Desk) -> None:
        for callback_id in callback_ids:
            waits = await deeds.replay_callback(desk, operator(), callback_id, because)
            say(f"{callback_id}: {'goes to the door again' if waits else 'does not wait; nothing to replay'}")

    at_desk(work)


@command.command("quarantine")
@click.option("--channel")
@click.option("--all", "with_replayed", is_flag=True, help="also those that were replayed")
@click.option("--replay", "replay_ids", multiple=True, help="verify this one again (repeatable); 'all' for all shown")
@limit_option
@json_option
def quarantine_(
    channel: str | None,
    with_replayed: bool,
    replay_ids: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Callbacks that could not be verified; after a key or a parser was mended, replay them.

    \b
    paidup callbacks quarantine
    paidup callbacks quarantine --channel wechat --replay all
    """

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            return await quarantine.page(tx, channel, limit, with_replayed=with_replayed)

    rows = run(work)
    if replay_ids:
        wanted = [str(row["id"]) for row in rows] if "all" in replay_ids else list(replay_ids)
        at_desk(lambda desk: _replay(desk, wanted))
    else:
        emit(rows, as_json=as_json, empty="the quarantine is empty")


async def _replay(desk: Desk, wanted: list[str]) -> None:
    accepted = 0
    for quarantine_id in wanted:
        try:
            verdict = await deeds.replay_quarantined(desk, operator(), quarantine_id, "from the command line")
        except NotFound as error:
            say(str(error))
            continue
        accepted += verdict is Verdict.VALID
        say(f"{quarantine_id}: {verdict}")
    say(f"{accepted} of {len(wanted)} were accepted and go to the door")
