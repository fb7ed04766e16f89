"""`paidup reconcile run`: fetch the bills of a day, and lay them beside our books."""

import sys
from datetime import date, timedelta

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from paidup.app import Paidup
from paidup.channels.messages import BillComing
from paidup.cli.application import quiet
from paidup.cli.breaks import account_option, break_row, day_option, its_date
from paidup.cli.output import emit, emit_json, json_option, run, say
from paidup.db.transaction import Database
from paidup.errors import InvalidRequest, NotFound
from paidup.reconcile import bills
from paidup.reconcile.fetch import fetch_bill
from paidup.reconcile.mend_plan import planned
from paidup.reconcile.parties import named
from paidup.reconcile.party import Party
from paidup.reconcile.run import reconcile as reconcile_day
from paidup.reconcile.run_record import Outcome
from paidup.reconcile.worker import work_day
from paidup.settings import Settings, load


@click.command("run")
@day_option
@account_option
@click.option("--fetch/--no-fetch", default=True, show_default=True, help="ask the channel for the bill first")
@click.option("--dry-run", is_flag=True, help="print what would change, and change nothing")
@json_option
def run_(day: str | None, account: str | None, fetch: bool, dry_run: bool, as_json: bool) -> None:
    """Fetch the bill of a day and reconcile it; doing it again changes nothing. Exits with 1 when a bill is not there.

    \b
    paidup reconcile run --day 2026-11-22 --account wechat/main
    paidup reconcile run --no-fetch           once more with the bills that are here
    """

    async def work(_db: Database, settings: Settings) -> list[tuple[Party, date, Outcome]]:
        async with quiet(settings) as paidup:
            found = []
            for party in _wanted(paidup, account):
                its_day = _day(day, party, paidup)
                found.append((party, its_day, await _run_one(paidup, party, its_day, fetch=fetch, dry_run=dry_run)))
            return found

    outcomes = run(work)
    if as_json:
        emit_json([_shown(party, its_day, outcome) for party, its_day, outcome in outcomes])
    else:
        for party, its_day, outcome in outcomes:
            _print(party, its_day, outcome, dry_run=dry_run)
    if any(outcome.refused for _, _, outcome in outcomes):
        sys.exit(1)


async def _run_one(paidup: Paidup, party: Party, day: date, *, fetch: bool, dry_run: bool) -> Outcome:
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(f"{party.name} {day}: fetch", total=None)
        if fetch:
            await _fetch(paidup, party, day)
        tools = paidup.reconcile_tools()

        def progress(step: str) -> None:
            bar.update(task, description=f"{party.name} {day}: {step}")

        if dry_run:
            outcome = await reconcile_day(
                paidup.db,
                party,
                day,
                now=paidup.clock.now(),
                spill=tools.spill,
                limits=tools.limits,
                who="cli",
                dry_run=True,
                progress=progress,
            )
            async with paidup.db.session() as tx:
                for one in await planned(tx, party, [c.after for c in outcome.changes], paidup.clock.now()):
                    say(f"{one.broken.number or one.broken.channel_txn_id}: {one.says}; {one.needs or 'by itself'}")
            return outcome
        return await work_day(paidup.db, party, day, tools=tools, who="cli", progress=progress, is_early=True)


async def _fetch(paidup: Paidup, party: Party, day: date) -> None:
    """Ask for both bills of a day; what is being made on demand is waited for, within reason."""
    for kind in party.channel.bills:
        made_as = None
        for _ in range(30):
            found = await fetch_bill(paidup.db, paidup.asker, party, kind, day, made_as=made_as)
            if not isinstance(found, BillComing) or found.made_as is None:
                break
            made_as = found.made_as
            await paidup.clock.sleep(10)
        if not isinstance(found, bills.Kept):
            say(f"{party.name} {kind} {day}: {found if isinstance(found, str) else found.why}")


def _wanted(paidup: Paidup, account: str | None) -> list[Party]:
    found = paidup.parties()
    if account is not None:
        return [named(found, account)]
    if not found:
        raise NotFound(f"there is no account in {load().accounts}; see docs/how-to")
    return found


def _day(text: str | None, party: Party, paidup: Paidup) -> date:
    today = paidup.clock.now().astimezone(party.channel.bill_zone(party.account)).date()
    if text is None:
        return today - timedelta(days=1)
    if (day := its_date(text)) > today:
        raise InvalidRequest(f"{day} is still to come at {party.name}: name a day that is over")
    return day


def _shown(party: Party, day: date, outcome: Outcome) -> dict[str, object]:
    return {
        "account": party.name,
        "day": day,
        "refused": outcome.refused,
        "run": outcome.run,
        "balances": outcome.balances,
        "changes": [{"step": c.step, "why": c.why, "break": c.after} for c in outcome.changes],
    }


def _print(party: Party, day: date, outcome: Outcome, *, dry_run: bool) -> None:
    if outcome.run is None:
        say(f"{party.name} {day}: not reconciled: {outcome.refused}")
        return
    would = "would change" if dry_run else "changed"
    say(
        f"{party.name} {day}: {outcome.run.lines} lines, {outcome.run.matched} matched, "
        f"{len(outcome.changes)} breaks {would}"
    )
    rows = [{"step": change.step} | break_row(change.after) for change in outcome.changes]
    if rows:
        emit(rows[:200], as_json=False)
    if len(rows) > 200:
        say(f"… and {len(rows) - 200} more; --json shows all")
