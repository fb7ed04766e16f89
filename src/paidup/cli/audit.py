"""`paidup audit`: what people did by hand, from the console, the API and the command line."""

import click
import msgspec

from paidup.cli.output import emit, json_option, limit_option, run
from paidup.db.transaction import Database
from paidup.people import audit
from paidup.settings import Settings


@click.command()
@click.option("--who", help="one user, API key (key:…) or account (cli:…)")
@click.option("--action", help="such as payment.confirmed or user.signed_in")
@click.option("--before", "before_id", help="older than the line with this id: the last one of the page before")
@limit_option
@json_option
def command(who: str | None, action: str | None, before_id: str | None, limit: int, as_json: bool) -> None:
    """Who did what by hand, when and why, newest first. Lines can be added, never changed.

    \b
    paidup audit --who alice
    paidup audit --action payment.confirmed --json
    """

    async def work(db: Database, _settings: Settings) -> list[audit.Deed]:
        async with db.session() as tx:
            return await audit.page(tx, who=who, action=action, before=before_id, limit=limit)

    emit([msgspec.structs.asdict(deed) for deed in run(work)], as_json=as_json, empty="nothing was done by hand")
