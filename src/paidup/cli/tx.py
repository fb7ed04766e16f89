"""`paidup tx …`: transactions across services: see them, and decide where they are stuck."""

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import click
import msgspec

from paidup.cli.application import quiet
from paidup.cli.output import done, emit, emit_json, json_option, limit_option, run, say
from paidup.cli.participants import define, participant, participants_, retire, rotate
from paidup.cli.whoami import said_by
from paidup.clock import parse_clock
from paidup.db.transaction import Database, Tx
from paidup.errors import InvalidRequest, NotFound
from paidup.people.user import Right
from paidup.settings import Settings
from paidup.transactions import participants, person, store
from paidup.transactions.begin import begin as begin_transaction
from paidup.transactions.show import Shown, shown, summary
from paidup.transactions.transaction import Transaction

who_option = click.option(
    "--who", help="a user of `paidup users list` in whose name it is decided; your login unless given"
)
because_option = click.option("--because", required=True, help="why, for the record")


@click.group()
def command() -> None:
    """Transactions across services: see them, and decide where they are stuck."""


@command.command("list")
@click.option("--shop")
@click.option("--state", help="only those in this state, such as MANUAL")
@limit_option
@json_option
def list_(shop: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """Unfinished transactions, the oldest first."""

    async def work(db: Database, settings: Settings) -> list[dict[str, object]]:
        now = parse_clock(settings.clock).now()
        async with db.session() as tx:
            found = await store.unfinished(tx, shop, state.upper() if state else None, None, limit)
        return [msgspec.structs.asdict(summary(t, now)) for t in found]

    emit(run(work), as_json=as_json, empty="no unfinished transactions")


@command.command()
@click.argument("xid")
@json_option
def show(xid: str, as_json: bool) -> None:
    """A transaction: its state, every step, its tries and errors, when it is asked again, and its whole record."""

    async def work(db: Database, _settings: Settings) -> Shown:
        async with db.session() as tx:
            return await _shown(tx, xid)

    found = run(work)
    if as_json:
        emit_json(found)
        return
    click.echo(found.says)
    emit([msgspec.structs.asdict(step) for step in found.steps], as_json=False)
    click.echo("")
    emit([line.row() for line in found.record], as_json=False)


@command.command()
@click.argument("xid")
@who_option
@because_option
@json_option
def retry(xid: str, who: str | None, because: str, as_json: bool) -> None:
    """Go on from where it got stuck, with all its tries; one that only waits is asked about at once.

    \b
    paidup tx retry txn… --because "the coupon service is up again"
    """
    _decide(who, lambda tx, by, now: person.retry(tx, xid, shop=None, who=by, why=because, now=now), as_json=as_json)


@command.command()
@click.argument("xid")
@click.argument("step")
@who_option
@because_option
@json_option
def skip(xid: str, step: str, who: str | None, because: str, as_json: bool) -> None:
    """Answer for a step that is stuck, and let the rest go on.

    \b
    paidup tx skip txn… parcel --because "the label was printed by hand"
    """
    _decide(
        who,
        lambda tx, by, now: person.skip_step(tx, xid, step, shop=None, who=by, why=because, now=now),
        as_json=as_json,
    )


@command.command()
@click.argument("xid")
@who_option
@because_option
@click.option(
    "--not-done", default="", metavar="STEP",
    help="the pivot that never said what it did, when you know that it was not done and never will be",
)  # fmt: skip
@json_option
def compensate(xid: str, who: str | None, because: str, not_done: str, as_json: bool) -> None:
    """Undo it. Only before its pivot is passed: afterwards refund the order.

    \b
    paidup tx compensate txn… --because "the customer called"
    paidup tx compensate txn… --not-done parcel --because "they looked: they have no such parcel"
    """
    _decide(
        who,
        lambda tx, by, now: person.compensate(tx, xid, shop=None, who=by, why=because, now=now, not_done=not_done),
        as_json=as_json,
    )


@command.command()
@click.argument("shop")
@click.argument("order_id")
@click.argument("table")
@click.option("--data", default="{}", show_default=True, help="JSON: what each step's participant is told, by step")
@click.option("--key", required=True, help="any text of yours: the same key begins the same transaction")
@json_option
def begin(shop: str, order_id: str, table: str, data: str, key: str, as_json: bool) -> None:
    """Begin a transaction about an order; prints its id. Workers with the role checkout take it to its end.

    \b
    paidup tx begin teahouse ord… checkout --key A-1001 --data '{"coupon": {"code": "TEA10"}}'
    """
    try:
        told = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"--data is one JSON object, with a name for each step: {error}") from None

    async def work(db: Database, settings: Settings) -> Transaction:
        async with db.transaction() as tx:
            steps = await participants.the_table(tx, shop, table)
            now = parse_clock(settings.clock).now()
            return await begin_transaction(tx, shop=shop, order_id=order_id, table=steps, data=told, key=key, now=now)

    begun = run(work)
    if as_json:
        emit_json({"id": begun.id, "state": begun.state, "ends_by": begun.ends_by})
    else:
        click.echo(begun.id)


@command.command()
@click.option("--shop")
@click.option("--hours", type=click.IntRange(1, 100_000), help="only what has not ended, or ended so lately")
@click.option("--no-mend", "only_look", is_flag=True, help="only look: send nothing but questions, open no case")
@json_option
def check(shop: str | None, hours: int | None, only_look: bool, as_json: bool) -> None:
    """Compare transactions with orders, payments, stock, and what participants remember.

    What differs is mended by the same request under the same key, if it began in the last 29 days: participants need
    not remember longer, and whoever has forgotten would do it twice. What still differs becomes a case. Exit code 1
    then.

    \b
    paidup tx check --hours 24
    """
    from paidup.transactions import check as checking

    async def work(_db: Database, settings: Settings) -> checking.Checked:
        async with quiet(settings) as paidup:
            since = paidup.clock.now() - timedelta(hours=hours) if hours else None
            async with paidup.db.session() as tx:
                total = await checking.count(tx, shop=shop, since=since)
            parts = checking.run(
                paidup.db, paidup.coordinator.requester, paidup.handlers, shop=shop, since=since, mend=not only_look
            )
            found = []
            with click.progressbar(length=total, label="comparing", file=sys.stderr) as bar:
                async for part in parts:
                    found.append(part)
                    bar.update(part.transactions)
            return checking.together(found)

    checked = run(work)
    if as_json:
        emit_json(checked)
    else:
        emit([msgspec.structs.asdict(one) for one in checked.differences], as_json=False, empty="no differences")
        say(
            f"{checked.transactions} transactions, {checked.asked} reports asked for ({checked.silent} not given), "
            f"{len(checked.differences)} differences, {checked.open} not mended"
        )
    if checked.open:
        sys.exit(1)


for one in (participant, participants_, rotate, retire, define):
    command.add_command(one)


def _decide(who: str | None, deed: Callable[[Tx, str, datetime], Awaitable[Transaction]], *, as_json: bool) -> None:
    async def work(db: Database, settings: Settings) -> Transaction:
        by = await said_by(db, who, Right.WORK)
        async with db.transaction() as tx:
            return await deed(tx, by, parse_clock(settings.clock).now())

    after = run(work)
    said = {"id": after.id, "state": after.state, "why": after.why, "ends_by": after.ends_by}
    done(f"{after.id} is {after.state}: {after.why}", said, as_json=as_json)


async def _shown(tx: Tx, xid: str) -> Shown:
    found = await store.get(tx, xid)
    if found is None:
        raise NotFound(f"there is no transaction {xid}; `paidup tx list` shows the unfinished ones")
    return shown(found, await store.lines(tx, xid))
