"""`paidup cases …`: what a person must decide."""

import click
import msgspec

from paidup.cases import store as cases
from paidup.cli.desk import at_desk
from paidup.cli.output import done, emit, emit_json, json_anyway, json_option, limit_option, run
from paidup.cli.whoami import operator
from paidup.db.transaction import Database
from paidup.errors import NotFound
from paidup.hand import deeds
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
@json_anyway
def show(case_id: str) -> None:
    """One case as JSON, with who works on it and what was written beside it."""

    async def work(db: Database, _settings: Settings) -> dict[str, object]:
        async with db.session() as tx:
            found = await cases.get(tx, case_id)
            if found is None:
                raise NotFound(f"there is no case {case_id}; `paidup cases list --all` shows them")
            return {**msgspec.structs.asdict(found), "notes": await cases.comments(tx, case_id)}

    emit_json(run(work))


@command.command()
@click.argument("case_id")
@json_option
def claim(case_id: str, as_json: bool) -> None:
    """Say that you work on a case; a later claim takes it over."""
    at_desk(lambda desk: deeds.claim(desk, operator(), case_id))
    done(f"{case_id} is yours", {"claimed": case_id}, as_json=as_json)


@command.command()
@click.argument("case_id")
@click.argument("text")
@json_option
def comment(case_id: str, text: str, as_json: bool) -> None:
    """Write something beside a case."""
    at_desk(lambda desk: deeds.comment(desk, operator(), case_id, text))
    done("written", {"case": case_id, "said": text}, as_json=as_json)


@command.command()
@click.argument("case_id")
@click.option("--because", required=True, help="what was decided, for the record")
@json_option
def resolve(case_id: str, because: str, as_json: bool) -> None:
    """Close a case with what was decided."""
    at_desk(lambda desk: deeds.resolve(desk, operator(), case_id, because))
    done(f"{case_id} is resolved", {"resolved": case_id, "because": because}, as_json=as_json)
