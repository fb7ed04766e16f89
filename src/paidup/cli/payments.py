"""`paidup payments …`: list, show, ask the channel now, release what is held."""

import click
import msgspec

from paidup.checkout.release import release_payment
from paidup.cli.output import emit, emit_json, json_anyway, json_option, limit_option, run, say
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.handlers import Handlers
from paidup.payments import store as payments
from paidup.payments.payment import Payment
from paidup.payments.states import State
from paidup.repair import worker as repair
from paidup.settings import Settings
from paidup.settle.book import Verdict

LIST = """
SELECT id, order_id, channel, account, state, amount_minor, currency, channel_txn_id, created_at, paid_at FROM payments
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR channel = $2) ORDER BY id DESC LIMIT $3"""


@click.group()
def command() -> None:
    """List and show payments; ask the channel about one now."""


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
    """Ask the channel about a payment now, and apply what it answers."""

    from paidup.app import Paidup

    async def work(db: Database, settings: Settings) -> Payment:
        await _get(db, payment_id)
        quiet = msgspec.structs.replace(settings, roles=())
        async with Paidup(quiet) as paidup:
            asked = await repair.ask_now(
                paidup.db,
                payment_id,
                now=paidup.clock.now(),
                asker=paidup.asker,
                handlers=paidup.handlers,
                budget_per_s=settings.query_budget_per_s,
            )
        say("asked" if asked else "not asked: it was asked about within the last seconds, or nothing is left to ask")
        return await _get(db, payment_id)

    emit_json(msgspec.structs.asdict(run(work)))


@command.command()
@click.argument("payment_id")
@click.argument("decision", type=click.Choice([verdict.value for verdict in Verdict]))
@click.option("--because", required=True, help="why, for the record")
@json_anyway
def release(payment_id: str, decision: str, because: str) -> None:
    """Decide about money that is held because it came otherwise than agreed.

    \b
    paidup payments release pay… accept --because "the customer will pay the rest at the desk"
    paidup payments release pay… give_back --because "paid the old price"
    """

    async def work(db: Database, settings: Settings) -> Payment:
        async with db.transaction() as tx:
            return await release_payment(
                tx,
                Handlers(),
                shop=None,
                payment_id=payment_id,
                verdict=Verdict(decision),
                why=because,
                now=parse_clock(settings.clock).now(),
            )

    emit_json(msgspec.structs.asdict(run(work)))


async def _get(db: Database, payment_id: str) -> Payment:
    async with db.session() as tx:
        payment = await payments.get(tx, payment_id)
    if payment is None:
        raise NotFound(f"there is no payment {payment_id}; `paidup trace` finds it by any other number")
    return payment
