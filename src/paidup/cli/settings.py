"""`paidup settings`: what is in force, and where each value comes from."""

import click
import msgspec

from paidup.cli.output import emit, json_option
from paidup.settings import effective, load


@click.command()
@json_option
def command(as_json: bool) -> None:
    """What is in force here, and where each value comes from; secrets are masked.

    \b
    PAIDUP_PORT=8500 paidup settings
    """
    rows = [msgspec.structs.asdict(one) for one in effective(load())]
    if not as_json:
        rows = [{name: row[name] for name in ("name", "value", "origin")} for row in rows]
    emit(rows, as_json=as_json)
