"""`paidup reconcile breaks|explain|approve|resolve|export`: what differs, and what people do about it."""

import csv
import sys
from datetime import date

import click
import msgspec

from paidup.cli.desk import at_desk
from paidup.cli.output import done, emit, emit_json, json_option, limit_option, run, say
from paidup.cli.whoami import by_option, speaker
from paidup.db.transaction import Database
from paidup.errors import InvalidRequest, NotFound
from paidup.evidence import EARLIEST, LATEST
from paidup.hand import breaks as hand
from paidup.hand.desk import Desk
from paidup.log import one_line
from paidup.money import shown
from paidup.reconcile import break_steps, people, store
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.states import UNSETTLED, State
from paidup.settings import Settings

account_option = click.option("--account", help="channel/account, such as wechat/main; all of them unless given")
day_option = click.option(
    "--day", help="a day in the channel's own time zone, such as 2026-11-22; yesterday unless given"
)


@click.command()
@day_option
@account_option
@click.option("--kind", "kinds", multiple=True, type=click.Choice([kind.value for kind in Kind]))
@click.option("--state", "states", multiple=True, type=click.Choice([state.value for state in State]))
@click.option("--all", "with_settled", is_flag=True, help="also those that healed or were resolved")
@limit_option
@json_option
def breaks(
    day: str | None,
    account: str | None,
    kinds: tuple[str, ...],
    states: tuple[str, ...],
    with_settled: bool,
    limit: int,
    as_json: bool,
) -> None:
    """What differs, with both sides and the next step; unsettled ones unless asked otherwise.

    \b
    paidup reconcile breaks --kind long --kind short
    paidup reconcile breaks --day 2026-11-22 --all --json
    """
    wanted = _filter(day, account, kinds, states, with_settled=with_settled)

    async def work(db: Database, _settings: Settings) -> list[Break]:
        async with db.session() as tx:
            return await store.page(tx, wanted, limit)

    found = run(work)
    if as_json:
        emit_json(found)
        return
    emit([break_row(one) for one in found], as_json=False, empty="nothing differs")


@click.command()
@click.argument("break_id")
@json_option
def explain(break_id: str, as_json: bool) -> None:
    """One break: both sides, what happened to it, and what to do next.

    \b
    paidup reconcile explain brk…
    paidup reconcile explain brk… --json      with the line of the bill and our row, field by field
    """

    async def work(db: Database, _settings: Settings) -> tuple[Break, list[break_steps.Step]]:
        async with db.session() as tx:
            found = await store.get(tx, [break_id])
            if not found:
                raise NotFound(f"there is no break {break_id}; `paidup reconcile breaks --all` lists them")
            return found[0], await break_steps.of_break(tx, break_id)

    one, steps = run(work)
    if as_json:
        emit_json({**msgspec.structs.asdict(one), "steps": steps})
        return
    facts = {**break_row(one), "line": one.line.line if one.line else None, "payment": one.payment_id}
    facts |= {"refund": one.refund_id, "order": one.order_id, "next": one.next_step}
    for name, value in facts.items():
        if value:
            click.echo(one_line(f"{name + ':':9}{value}"))
    click.echo()
    emit([{"at": s.at, "step": s.step, "by": s.who, "why": s.why} for s in steps], as_json=False)


@click.command()
@click.argument("break_ids", nargs=-1, required=True)
@by_option
@click.option("--because", required=True, help="why, for the record")
@click.option("--payment", "payment_id", help="to which payment the money of an unknown number belongs")
@json_option
def approve(break_ids: tuple[str, ...], by: str, because: str, payment_id: str | None, as_json: bool) -> None:
    """Agree to the repair of breaks; as many different people as the rules say must. The next run repairs them.

    As in the console: finance may agree, and the last word is an approver's.

    \b
    paidup reconcile approve brk… --by anna --because "seen in the merchant console"
    paidup reconcile approve brk… --payment pay… --by bob --because "the shop registered it under a wrong number"
    """

    async def work(desk: Desk) -> list[people.Agreement]:
        actor = await speaker(desk.db, by)
        agreed = [await hand.agree(desk, actor, break_id, because, payment_id=payment_id) for break_id in break_ids]
        return [one.agreement for one in agreed]

    found = at_desk(work)
    if as_json:
        emit_json([_agreed(one) for one in found])
        return
    for one in found:
        enough = "the next run repairs it" if one.is_enough else "somebody else must agree, too"
        say(f"{one.broken.id}: {len(one.approved_by)} of {one.needed} agreed ({', '.join(one.approved_by)}); {enough}")


def _agreed(one: people.Agreement) -> dict[str, object]:
    its = one.broken
    return {"break": its.id, "state": its.state, "approved_by": one.approved_by, "needed": one.needed}


@click.command()
@click.argument("break_ids", nargs=-1, required=True)
@by_option
@click.option("--because", required=True, help="how it was settled, for the record")
@json_option
def resolve(break_ids: tuple[str, ...], by: str, because: str, as_json: bool) -> None:
    """Say how breaks were settled outside of our books."""

    async def work(desk: Desk) -> None:
        actor = await speaker(desk.db, by)
        for break_id in break_ids:
            await hand.resolve(desk, actor, break_id, because)

    at_desk(work)
    done(f"{len(break_ids)} resolved", {"resolved": list(break_ids), "because": because}, as_json=as_json)


@click.command()
@day_option
@account_option
@click.option("--all", "with_settled", is_flag=True, help="also those that healed or were resolved")
@click.option("--limit", default=100_000, show_default=True, type=click.IntRange(1, 1_000_000))
@json_option
def export(day: str | None, account: str | None, with_settled: bool, limit: int, as_json: bool) -> None:
    """Breaks as CSV on stdout, amounts in major units; spreadsheets open it as it is.

    \b
    paidup reconcile export --day 2026-11-22 > breaks.csv
    """
    wanted = _filter(day, account, (), (), with_settled=with_settled)

    async def work(db: Database, _settings: Settings) -> list[Break]:
        async with db.session() as tx:
            return await store.page(tx, wanted, limit)

    if as_json:
        emit_json(run(work))
        return
    out = csv.writer(sys.stdout)
    out.writerow(EXPORTED)
    for one in run(work):
        out.writerow([_harmless(str(value)) for value in _exported(one)])


# Shared --------------------------------------------------------------------------------------------------------------


def its_date(text: str) -> date:
    """A day. Raises InvalidRequest."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not EARLIEST.date() <= found < LATEST.date():
        raise InvalidRequest(f"write the day as 2026-11-22, not {text[:40]!r}")
    return found


def split(account: str | None) -> tuple[str | None, str | None]:
    """Channel and name of an account; nothing of nothing. Raises InvalidRequest."""
    if account is None:
        return None, None
    channel, slash, name = account.partition("/")
    if not slash:
        raise InvalidRequest(f"write the account as channel/account, such as wechat/main, not {account[:60]!r}")
    return channel, name


def break_row(one: Break) -> dict[str, object]:
    """A break as a row of a table for people."""
    return {
        "break": one.id,
        "day": one.day.isoformat(),
        "account": f"{one.channel}/{one.account}",
        "kind": one.kind.value,
        "state": one.state.value,
        "bill": shown_money(one.bill_minor, one.currency),
        "ours": shown_money(one.ours_minor, one.currency),
        "number": one.number or one.channel_txn_id or "",
        "why": one.why,
    }


def shown_money(minor: int | None, currency: str) -> str:
    """In major units; nothing where there is none."""
    return "" if minor is None else shown(minor, currency)


EXPORTED = (
    "day", "channel", "account", "break", "kind", "state", "currency", "bill", "ours", "differs", "channel_txn_id",
    "number", "payment", "refund", "order", "bill_line", "first_seen", "why", "next_step",
)  # fmt: skip


def _exported(one: Break) -> tuple[object, ...]:
    bill, our, differs = (
        shown_money(minor, one.currency).removesuffix(f" {one.currency}")
        for minor in (one.bill_minor, one.ours_minor, one.differs_minor)
    )
    return (
        one.day, one.channel, one.account, one.id, one.kind.value, one.state.value, one.currency, bill, our, differs,
        one.channel_txn_id or "", one.number or "", one.payment_id or "", one.refund_id or "", one.order_id or "",
        one.line.line if one.line else "", one.first_seen_at.isoformat(timespec="seconds"), one.why, one.next_step,
    )  # fmt: skip


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; amounts are numbers and stay so."""
    is_number = text.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_number else text


def _filter(
    day: str | None, account: str | None, kinds: tuple[str, ...], states: tuple[str, ...], *, with_settled: bool
) -> store.Filter:
    channel, name = split(account)
    its_day = its_date(day) if day else None
    return store.Filter(
        channel=channel,
        account=name,
        since=its_day,
        until=its_day,
        kinds=kinds or None,
        states=states or (None if with_settled else tuple(state.value for state in UNSETTLED)),
    )
