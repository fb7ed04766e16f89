"""`paidup cases …`: what a person must decide."""

import click
import msgspec

from paidup.cases import store as cases
from paidup.cli.output import done, emit, json_option, limit_option, run
from paidup.clock import parse_clock
from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.settings import Settings


@click.group()
def command() -> None:
    """What a person must decide."""


@command.command("list")
@click.option("--all", "with_resolved", is_flag=True, help="also those that were resolved")
@click.option("--shop")
@limit_option
@json_option
def list_(with_resolved: bool, shop: str | None, limit: int, as_json: bool) -> None:
    """Open cases, newest first."""

    async def work(db: Database, _settings: Settings) -> list[cases.Case]:
        async with db.session() as tx:
            return await cases.page(tx, shop, limit, with_resolved=with_resolved)

    emit([msgspec.structs.asdict(case) for case in run(work)], as_json=as_json, empty="no open cases")


@command.command()
@click.argument("case_id")
@click.option("--because", required=True, help="what was decided, for the record")
@json_option
def resolve(case_id: str, because: str, as_json: bool) -> None:
    """Close a case with what was decided."""

    async def work(db: Database, settings: Settings) -> None:
        async with db.transaction() as tx:
            if await cases.resolve(tx, case_id, because, parse_clock(settings.clock).now()) is None:
                raise NotFound(f"there is no open case {case_id}; `paidup cases list` shows them")

    run(work)
    done(f"{case_id} is resolved", {"resolved": case_id, "because": because}, as_json=as_json)
