"""`paidup reconcile …` 对账: the channel's bill of a day beside our books."""

import sys
from datetime import date, timedelta
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from paidup.app import Paidup
from paidup.channels.bill import BillKind
from paidup.channels.messages import BillComing
from paidup.cli.application import quiet
from paidup.cli.breaks import (
    account_option,
    approve,
    break_row,
    breaks,
    day_option,
    explain,
    export,
    its_date,
    resolve,
    shown_money,
    split,
)
from paidup.cli.download import download
from paidup.cli.output import done, emit, emit_json, json_option, limit_option, run, say
from paidup.cli.whoami import by_option, speaker
from paidup.db.transaction import Database
from paidup.errors import InvalidRequest, NotFound
from paidup.reconcile import bills, runs, store
from paidup.reconcile.fetch import fetch_bill
from paidup.reconcile.find import InBill, lines_of
from paidup.reconcile.mend import planned
from paidup.reconcile.parties import named
from paidup.reconcile.party import Party
from paidup.reconcile.run import Outcome
from paidup.reconcile.run import reconcile as reconcile_day
from paidup.reconcile.states import UNSETTLED
from paidup.reconcile.upload import Claims, brought_by
from paidup.reconcile.upload import upload as upload_bill
from paidup.reconcile.worker import work_day
from paidup.settings import Settings, load


@click.group()
def command() -> None:
    """对账: lay the channels' bills beside our books, and see what differs.

    \b
    paidup reconcile run                      yesterday, every account
    paidup reconcile breaks --state open      what a person must look at
    paidup reconcile run --dry-run            what a run would change, and change nothing
    """


@command.command("run")
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


@command.command()
@day_option
@account_option
@limit_option
@json_option
def show(day: str | None, account: str | None, limit: int, as_json: bool) -> None:
    """The days that were reconciled: both sides, matched, and what differs."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        channel, name = split(account)
        its_day = its_date(day) if day else None
        async with db.session() as tx:
            found = await runs.page(tx, None, limit, since=its_day, until=its_day, channel=channel, account=name)
            return [
                msgspec.to_builtins(one) | {"breaks": await store.counts(tx, one.channel, one.account, one.day)}
                for one in found
            ]

    rows = run(work)
    if as_json:
        emit_json(rows)
        return
    emit([_row(row) for row in rows], as_json=False, empty="nothing was reconciled")


@command.command()
@click.option("--since", help="the first day, such as 2026-11-01; all days unless given")
@click.option("--until", help="the last day")
@account_option
@limit_option
@json_option
def balances(since: str | None, until: str | None, account: str | None, limit: int, as_json: bool) -> None:
    """What lay at the channels: opening + in - out - fees - payouts = closing, and what the channel says of it."""
    channel, name = split(account)
    first, last = (its_date(text) if text else None for text in (since, until))

    async def work(db: Database, _settings: Settings) -> list[runs.Balance]:
        async with db.session() as tx:
            return await runs.page_of_balances(tx, None, limit, channel=channel, account=name, since=first, until=last)

    found = run(work)
    if as_json:
        emit_json(found)
        return
    emit([_balance_row(one) for one in found], as_json=False, empty="nothing was reconciled")


@command.command()
@click.argument("number")
@json_option
def find(number: str, as_json: bool) -> None:
    """The lines of the kept bills about one payment or refund, by any number of its, as they stand in the file.

    \b
    paidup reconcile find 4200002511222026112216000001
    """

    async def work(_db: Database, settings: Settings) -> list[InBill]:
        async with quiet(settings) as paidup:
            return await lines_of(paidup.db, paidup.parties(), number)

    found = run(work)
    if as_json:
        emit_json(found)
        return
    rows = [
        {
            "day": one.day.isoformat(),
            "account": f"{one.channel}/{one.account}",
            "bill": f"{one.bill_id} v{one.version}",
            "line": one.line.number,
            "kind": one.line.kind.value,
            "amount": shown_money(one.line.amount_minor, one.line.currency),
            "fee": shown_money(one.line.fee_minor, one.line.currency),
            "raw": one.line.raw,
        }
        for one in found
    ]
    emit(rows, as_json=False, empty="no bill of its day or the day after has it")


@command.command("bills")
@day_option
@account_option
@limit_option
@json_option
def bills_(day: str | None, account: str | None, limit: int, as_json: bool) -> None:
    """The bills that are kept, each version of each, the latest day first; and why those were refused that were."""

    async def work(db: Database, _settings: Settings) -> list[bills.Kept]:
        channel, name = split(account)
        async with db.session() as tx:
            return await bills.page(tx, None, limit, channel=channel, account=name, day=its_date(day) if day else None)

    names = ("id", "channel", "account", "kind", "day", "version", "state", "lines", "brought_by", "file_name", "why")
    rows = [{name: getattr(one, name) for name in names} for one in run(work)]
    emit(rows, as_json=as_json, empty="no bills are kept")


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--account", required=True, help="channel/account, such as wechat/main")
@click.option("--day", required=True, help="the bill's day, such as 2026-11-22")
@click.option("--kind", type=click.Choice([kind.value for kind in BillKind]), default="trades", show_default=True)
@click.option(
    "--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="its description, in TOML"
)
@click.option("--sha1", default="", help="of its plain text, where the channel told it")
@by_option
@json_option
def upload(
    file: Path, account: str, day: str, kind: str, mapping: Path | None, sha1: str, by: str, as_json: bool
) -> None:
    """Keep a bill that somebody has as a file, and read it; `run --no-fetch`, or the worker, then reconciles its day.

    Where anything in it is wrong, it is refused whole, and kept with the reason.

    \b
    paidup reconcile upload bank.xlsx --account wechat/main --day 2026-11-22 --mapping bank.toml --by anna
    """
    described = mapping.read_text(encoding="utf-8") if mapping else ""
    claims = Claims(account=account, day=day, kind=kind, file_name=file.name, mapping=described, sha1=sha1)

    async def work(_db: Database, settings: Settings) -> bills.Kept:
        async with quiet(settings) as paidup:
            party, tools = named(paidup.parties(), account), paidup.reconcile_tools()
            actor = await speaker(paidup.db, by)
            with file.open("rb") as opened:
                return await upload_bill(
                    paidup.db,
                    party,
                    brought_by(party, claims, actor.who),
                    opened,
                    actor=actor,
                    limits=tools.limits,
                    spill=tools.spill,
                    now=paidup.clock.now(),
                )

    kept = run(work)
    said = f"{kept.id}: version {kept.version} of {account} {kind} {day} is {kept.state}, {kept.lines} lines"
    names = ("id", "account", "kind", "day", "version", "state", "lines", "file_name", "size_bytes")
    done(
        f"{said}; `paidup reconcile run --no-fetch --day {day}` lays it beside the books",
        {name: getattr(kept, name) for name in names},
        as_json=as_json,
    )


for one in (download, breaks, explain, approve, resolve, export):
    command.add_command(one)


# Shared --------------------------------------------------------------------------------------------------------------


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


def _balance_row(one: runs.Balance) -> dict[str, object]:
    row: dict[str, object] = {"day": one.day.isoformat(), "account": f"{one.channel}/{one.account}"}
    columns = ("opening", "in", "out", "fees", "payouts", "closing", "funds", "stated_opening", "stated_closing")
    return row | {name: shown_money(getattr(one, f"{name}_minor"), one.currency) for name in columns}


def _row(row: dict[str, object]) -> dict[str, object]:
    found = msgspec.convert({k: v for k, v in row.items() if k != "breaks"}, runs.Run)
    counts = row["breaks"] if isinstance(row["breaks"], list) else []
    unsettled = sum(int(one["breaks"]) for one in counts if one["state"] in UNSETTLED)
    return {
        "day": found.day.isoformat(),
        "account": f"{found.channel}/{found.account}",
        "version": found.bill_version,
        "lines": found.lines,
        "matched": found.matched,
        "unsettled": unsettled,
        "breaks": ", ".join(f"{one['kind']} {one['state']} {one['breaks']}" for one in counts),
        "reconciled at": found.ended_at,
    }
