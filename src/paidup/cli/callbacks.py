"""`paidup callbacks …`: what the channels told us, and what could not be verified."""

import contextlib
import sys

import click

from paidup.cli import endings
from paidup.cli.desk import at_desk
from paidup.cli.output import emit, emit_json, json_anyway, json_option, limit_option, progress, run, say
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
    """One callback as JSON: headers as they came, and the raw body. That somebody read it stands in the audit."""
    row = at_desk(lambda desk: deeds.reveal_callback(desk, operator(), callback_id))
    emit_json(row | {"body": deeds.text_of(row)})


@command.command("replay")
@click.argument("callback_ids", nargs=-1, required=True)
@click.option("--because", default="from the command line", show_default=True, help="why, for the audit")
@json_option
def replay_(callback_ids: tuple[str, ...], because: str, as_json: bool) -> None:
    """Send parked or poisoned callbacks to the door again."""

    async def work(desk: Desk) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        with progress("replayed", len(callback_ids)) as advance:
            for callback_id in callback_ids:
                waits = await deeds.replay_callback(desk, operator(), callback_id, because)
                rows.append({"callback": callback_id, "replayed": waits})
                advance(1)
        return rows

    rows = at_desk(work)
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        told = "goes to the door again" if row["replayed"] else "does not wait; nothing to replay"
        say(f"{row['callback']}: {told}")


@command.command("quarantine")
@click.option("--channel")
@click.option("--all", "with_replayed", is_flag=True, help="also those that were replayed")
@click.option("--replay", "replay_ids", multiple=True, help="verify this one again (repeatable); 'all' for all shown")
@click.option("--because", default="from the command line", show_default=True, help="why, for the audit")
@limit_option
@json_option
def quarantine_(
    channel: str | None,
    with_replayed: bool,
    replay_ids: tuple[str, ...],
    because: str,
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
        replayed = at_desk(lambda desk: _replay(desk, wanted, because))
        _say_verdicts(replayed, as_json=as_json)
        if any(row["verdict"] is None for row in replayed):
            sys.exit(endings.FAILED)
    else:
        emit(rows, as_json=as_json, empty="the quarantine is empty")


async def _replay(desk: Desk, wanted: list[str], because: str) -> list[dict[str, object]]:
    """The verdict of each now; None when it is not in quarantine."""
    rows: list[dict[str, object]] = []
    with progress("verified again", len(wanted)) as advance:
        for quarantine_id in wanted:
            verdict: Verdict | None = None
            with contextlib.suppress(NotFound):
                verdict = await deeds.replay_quarantined(desk, operator(), quarantine_id, because)
            rows.append({"id": quarantine_id, "verdict": verdict})
            advance(1)
    return rows


def _say_verdicts(rows: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        say(f"{row['id']}: {row['verdict'] or 'not in quarantine; `paidup callbacks quarantine --all` shows what is'}")
    accepted = sum(row["verdict"] is Verdict.VALID for row in rows)
    say(f"{accepted} of {len(rows)} were accepted and go to the door")
