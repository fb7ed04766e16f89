"""`paidup verify`: prove that nothing is lost, doubled or edited."""

import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from paidup.cli.output import emit_json, json_option, run, say
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.report import print_checks
from paidup.settings import Settings
from paidup.verify import Report, store, verify

ABOUT_HOW_MANY = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'orders'::regclass"


@click.command()
@click.option("--since-last", is_flag=True, help="only what changed since the last run that held")
@json_option
def command(since_last: bool, as_json: bool) -> None:
    """Prove that nothing is lost, doubled or edited by hand; exits with 1 on a breach, with 2 when it could not look.

    \b
    paidup verify
    paidup verify --since-last                      minutes instead of hours, every night
    paidup verify --json | jq '.checks[] | select(.breaches != [])'
    """
    report = run(lambda db, settings: _verify(db, settings, since_last=since_last))
    if as_json:
        emit_json(report)
    else:
        print_checks(report.checks)
        say(_summary(report))
    if not report.holds:
        sys.exit(1)


async def _verify(db: Database, settings: Settings, *, since_last: bool) -> Report:
    now = parse_clock(settings.clock).now()
    async with db.session() as tx:
        since = await store.proven_up_to(tx) if since_last else None
        total = None if since else await tx.fetchval(ABOUT_HOW_MANY) or None
    columns = TextColumn("orders verified"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=total)
        report = await verify(db, now=now, since=since, progress=lambda seen: bar.update(task, completed=seen))
    async with db.transaction() as tx:
        await store.write(tx, now, report)
    return report


def _summary(report: Report) -> str:
    what = f"changed since {report.since:%Y-%m-%d %H:%M:%S} UTC" if report.since else "in all"
    anchor = f"; anchor {report.anchor}" if report.anchor else ""
    return f"{report.orders} orders {what}{anchor}"
