"""`paidup metrics`: the business in figures, without a running server."""

import sys

import click

from paidup.channels.accounts import AccountsFolder
from paidup.cli import endings
from paidup.cli.output import emit_json, json_option, run, say
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.metrics.exporter import Exporter
from paidup.metrics.families import UP, Source
from paidup.metrics.process import Vitals
from paidup.metrics.readings import Distribution, Readings
from paidup.settings import Settings


@click.command()
@json_option
def command(as_json: bool) -> None:
    """What /metrics tells of the business, read from the database once.

    Exits with 2 when the database could not be read; then paidup_database_up is 0, and nothing else is told.

    \b
    paidup metrics                             as Prometheus reads it
    paidup metrics --json                      a list of names, labels and values
    """

    async def work(db: Database, settings: Settings) -> Readings:
        accounts = list(AccountsFolder(settings.accounts).current.by_name)
        clock = parse_clock(settings.clock)
        return await Exporter(db, Vitals(), now_of=clock.now, accounts_of=lambda: accounts).read()

    readings = run(work)
    if as_json:
        emit_json(_rows(readings))
    else:
        from paidup.metrics.exposition import text

        click.echo(text(readings, [Source.DATABASE]).decode(), nl=False)
    if not _was_read(readings):
        say("paidup: the database could not be read, and so the business has no figures here: look at `paidup doctor`")
        sys.exit(endings.FAILED)


def _was_read(readings: Readings) -> bool:
    return any(family is UP and value for family, _, value in readings)


def _rows(readings: Readings) -> list[dict[str, object]]:
    return [
        {
            "name": family.name,
            "labels": dict(zip(family.labels, labels, strict=True)),
            "value": {"count": sum(value.counts), "sum": value.total} if isinstance(value, Distribution) else value,
        }
        for family, labels, value in readings
        if family.source is Source.DATABASE
    ]
