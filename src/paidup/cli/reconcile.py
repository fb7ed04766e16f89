"""`paidup reconcile …` 对账: the channel's bill of a day beside our books."""

import click
import msgspec

from paidup.cli.bills import bills_, find, upload
from paidup.cli.breaks import (
    account_option,
    approve,
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
from paidup.cli.output import emit, emit_json, json_option, limit_option, run
from paidup.cli.reconcile_day import run_
from paidup.db.transaction import Database
from paidup.reconcile import runs, store
from paidup.reconcile.states import UNSETTLED
from paidup.settings import Settings


@click.group()
def command() -> None:
    """对账: lay the channels' bills beside our books, and see what differs.

    \b
    paidup reconcile run                      yesterday, every account
    paidup reconcile breaks --state open      what a person must look at
    paidup reconcile run --dry-run            what a run would change, and change nothing
    """


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


for one in (run_, bills_, find, upload, download, breaks, explain, approve, resolve, export):
    command.add_command(one)


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
