"""`paidup repair …`: what is asked next, and what lacks a question."""

import click

from paidup.cli.output import done, emit, json_option, run
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.repair import sweep as sweeping
from paidup.schedule import store as schedule
from paidup.settings import Settings


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
@json_option
def sweep(as_json: bool) -> None:
    """Give a question to every unfinished payment that lacks one (there should be none)."""

    async def work(db: Database, settings: Settings) -> int:
        return await sweeping.run_once(db, now=parse_clock(settings.clock).now(), limit=10_000)

    lacking = run(work)
    done(f"{lacking} unfinished rows had no job", {"lacking": lacking}, as_json=as_json)
