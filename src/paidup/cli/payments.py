"""`paidup payments …`: list, show, ask the channel now, confirm, refund, release what is held."""

import click
import msgspec

from paidup.cli.desk import at_desk
from paidup.cli.output import done as say_done
from paidup.cli.output import emit, emit_json, json_anyway, json_option, limit_option, run, say
from paidup.cli.whoami import operator
from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.hand import confirm as confirming
from paidup.hand import refund as refunding
from paidup.hand import release as releasing
from paidup.hand.confirm import Confirm
from paidup.hand.desk import Desk, the_payment
from paidup.hand.done import Done
from paidup.hand.query import query_now
from paidup.hand.refund import GiveBack
from paidup.hand.release import Release
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.settings import Settings
from paidup.settle.book import Verdict

LIST = """
SELECT id, order_id, channel, account, state, amount_minor, currency, channel_txn_id, created_at, paid_at FROM payments
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR channel = $2) ORDER BY id DESC LIMIT $3"""

SOME = click.IntRange(min=1)
"""Nothing is no amount: a script that computes 0 does not mean all of it."""


@click.group()
def command() -> None:
    """List and show payments; ask the channel about one now; confirm, refund, release."""


@command.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]))
@click.option("--channel")
@limit_option
@json_option
def list_(state: str | None, channel: str | None, limit: int, as_json: bool) -> None:
    """Payments, newest first."""

    async def work(db: Database, _settings: Settings) -> list[dict[str, object]]:
        async with db.session() as tx:
            return [dict(row) for row in await tx.fetch(LIST, state, channel, limit)]

    emit(run(work), as_json=as_json, empty="no payments")


@command.command()
@click.argument("payment_id")
@json_anyway
def show(payment_id: str) -> None:
    """One payment as JSON; `paidup trace` tells its life."""
    emit_json(msgspec.structs.asdict(run(lambda db, _settings: _get(db, payment_id))))


@command.command()
@click.argument("payment_id")
@json_anyway
def ask(payment_id: str) -> None:
    """Ask the channel about a payment now, whatever its state, and apply what it answers."""
    asked = at_desk(lambda desk: query_now(desk, operator(), payment_id))
    say(f"the channel says: {asked.answer or 'nothing that can be used'}")
    emit_json(msgspec.structs.asdict(asked.after))


@command.command()
@click.argument("payment_id")
@click.option("--txn", "channel_txn_id", required=True, help="the channel's number, as its own console shows it")
@click.option("--amount-minor", type=SOME, help="minor units that were paid; the payment's own amount unless given")
@click.option("--because", required=True, help="why, for the audit")
@click.option("--key", help="doing it twice under one key does it once; made of payment and number unless given")
@json_option
def confirm(
    payment_id: str, channel_txn_id: str, amount_minor: int | None, because: str, key: str | None, as_json: bool
) -> None:
    """Say that a payment was paid. The channel is asked first; above a limit, or when the channel contradicts, it waits
    for a second person (`paidup approvals`).

    \b
    paidup payments confirm pay… --txn 4200002511232026 --because "seen in the merchant console, ticket 312"
    """

    async def work(desk: Desk) -> Done:
        async with desk.db.session() as tx:
            payment = await the_payment(tx, payment_id, None)
        wanted = Confirm(
            payment_id=payment_id,
            channel_txn_id=channel_txn_id,
            amount_minor=amount_minor or payment.amount_minor,
            currency=payment.currency,
            why=because,
        )
        return await confirming.confirm(desk, operator(), wanted, key=key or channel_txn_id)

    _say_done(at_desk(work), as_json)


@command.command()
@click.argument("payment_id")
@click.option("--amount-minor", type=SOME, help="minor units to give back; all that is left unless given")
@click.option("--because", required=True, help="why, for the customer and the audit")
@click.option("--key", required=True, help="any text of yours: the same key refunds once, however often it is run")
@json_option
def refund(payment_id: str, amount_minor: int | None, because: str, key: str, as_json: bool) -> None:
    """Give money of a paid payment back; above a limit it waits for a second person (`paidup approvals`).

    \b
    paidup payments refund pay… --amount-minor 500 --because "one tea was cold" --key ticket-312
    """

    async def work(desk: Desk) -> Done:
        async with desk.db.session() as tx:
            payment = await the_payment(tx, payment_id, None)
        left = amount_minor or (await refunding.foresee(desk, payment_id, None)).left.amount_minor
        wanted = GiveBack(payment_id=payment_id, amount_minor=left, currency=payment.currency, why=because)
        return await refunding.refund(desk, operator(), wanted, key=key)

    _say_done(at_desk(work), as_json)


@command.command()
@click.argument("payment_id")
@click.argument("decision", type=click.Choice([verdict.value for verdict in Verdict]))
@click.option("--because", required=True, help="why, for the record")
@json_anyway
def release(payment_id: str, decision: str, because: str) -> None:
    """Decide about money that is held because it came otherwise than agreed. Where what came, or the order that it
    would pay, is above a limit, it waits for a second person (`paidup approvals`).

    \b
    paidup payments release pay… accept --because "the customer will pay the rest at the desk"
    paidup payments release pay… give_back --because "paid the old price"
    """

    async def work(desk: Desk) -> tuple[Done, Payment]:
        wanted = Release(payment_id=payment_id, decision=Verdict(decision), why=because)
        came = await releasing.release(desk, operator(), wanted)
        async with desk.db.session() as tx:
            return came, await the_payment(tx, payment_id, None)

    came, payment = at_desk(work)
    say(_words(came))
    emit_json(msgspec.structs.asdict(payment) | {"says": came.says, "approval_id": came.approval_id})


def _say_done(done: Done, as_json: bool) -> None:
    say_done(_words(done), msgspec.structs.asdict(done), as_json=as_json)


def _words(done: Done) -> str:
    waits = f" (paidup approvals approve {done.approval_id})" if done.approval_id else ""
    return f"{done.state}: {done.says}{waits}"


async def _get(db: Database, payment_id: str) -> Payment:
    async with db.session() as tx:
        payment = await payments.get(tx, payment_id)
    if payment is None:
        raise NotFound(f"there is no payment {payment_id}; `paidup trace` finds it by any other number")
    return payment
