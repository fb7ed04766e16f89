"""`paidup approvals …`: what one person asked for and a second one must agree to."""

import click
import msgspec

from paidup.cli.desk import at_desk
from paidup.cli.output import done, emit, json_option, limit_option, run
from paidup.cli.whoami import operator
from paidup.db.transaction import Database
from paidup.hand import approve as approving
from paidup.people import approvals
from paidup.settings import Settings


@click.group()
def command() -> None:
    """What one person asked for and a second one must agree to. Nobody agrees to their own."""


@command.command("list")
@click.option("--all", "with_decided", is_flag=True, help="also those that are decided")
@limit_option
@json_option
def list_(with_decided: bool, limit: int, as_json: bool) -> None:
    """What waits for a second person, newest first."""

    async def work(db: Database, _settings: Settings) -> list[approvals.Approval]:
        async with db.session() as tx:
            return await approvals.page(tx, None, limit, with_decided=with_decided)

    emit([msgspec.structs.asdict(asked) for asked in run(work)], as_json=as_json, empty="nothing waits")


@command.command()
@click.argument("approval_id")
@click.option("--because", required=True, help="why, for the audit")
@json_option
def approve(approval_id: str, because: str, as_json: bool) -> None:
    """Agree: it is done now."""
    came = at_desk(lambda desk: approving.approve(desk, operator(), approval_id, because))
    done(came.says, msgspec.structs.asdict(came), as_json=as_json)


@command.command()
@click.argument("approval_id")
@click.option("--because", required=True, help="why, for the audit")
@json_option
def refuse(approval_id: str, because: str, as_json: bool) -> None:
    """Refuse: nothing is done."""
    at_desk(lambda desk: approving.refuse(desk, operator(), approval_id, because))
    done("refused; nothing is done", {"refused": approval_id, "because": because}, as_json=as_json)
