"""`paidup repair …`: what is asked next, and what lacks a question."""

import click
import msgspec

from paidup.cli.output import done, emit, json_option, limit_option, run
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.hand import watched as watching
from paidup.repair import sweep as sweeping
from paidup.schedule import store as schedule
from paidup.settings import Settings

_SHOWN = ("subject_id", "shop", "shop_order_no", "channel", "account", "state", "asked", "due_at")


@click.group()
def command() -> None:
    """What is asked next, and what lacks a question."""


@command.command()
@json_option
def due(as_json: bool) -> None:
    """How many payments and refunds wait for their next question, per account."""

    async def work(db: Database, settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            return await schedule.summary(tx, parse_clock(settings.clock).now())

    emit(run(work), as_json=as_json, empty="nothing waits")


@command.command()
@click.option("--channel")
@click.option("--account")
@click.option("--after", help="the mark of the last row of the page before")
@limit_option
@json_option
def watched(channel: str | None, account: str | None, after: str | None, limit: int, as_json: bool) -> None:
    """Payments and refunds that are not settled, the next question to the channel first."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            rows = await watching.page(tx, limit, after=after, channel=channel, account=account)
        return [msgspec.structs.asdict(row) | {"mark": row.mark} for row in rows]

    rows = run(work)
    shown = rows if as_json else [{name: row[name] for name in _SHOWN} for row in rows]
    emit(shown, as_json=as_json, empty="nothing is watched: every payment and refund is settled")


@command.command()
@json_option
def sweep(as_json: bool) -> None:
    """Give a question to every unfinished payment that lacks one (there should be none)."""

    async def work(db: Database, settings: Settings) -> int:
        return await sweeping.run_once(db, now=parse_clock(settings.clock).now(), limit=10_000)

    lacking = run(work)
    done(f"{lacking} unfinished rows had no job", {"lacking": lacking}, as_json=as_json)
