"""`paidup reconcile bills|find|upload`: the bills that are kept, what stands in them, and one more by hand."""

from pathlib import Path

import click

from paidup.channels.bill import BillKind
from paidup.cli.application import quiet
from paidup.cli.breaks import account_option, day_option, its_date, shown_money, split
from paidup.cli.output import done, emit, emit_json, json_option, limit_option, run
from paidup.cli.whoami import by_option, speaker
from paidup.db.transaction import Database
from paidup.reconcile import bills
from paidup.reconcile.find import InBill, lines_of
from paidup.reconcile.parties import named
from paidup.reconcile.upload import Claims, brought_by
from paidup.reconcile.upload import upload as upload_bill
from paidup.settings import Settings


@click.command("bills")
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


@click.command()
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


@click.command()
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
