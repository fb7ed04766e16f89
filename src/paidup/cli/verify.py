"""`paidup verify`: prove that nothing is lost or doubled."""

import sys

import click

from paidup.cli.output import emit_json, json_option, run
from paidup.db.transaction import Database
from paidup.report import print_checks
from paidup.settings import Settings
from paidup.verify import Check, verify


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Prove on one snapshot that nothing is lost or doubled; exits with 1 on a breach.

    \b
    paidup verify
    paidup verify --json | jq '.[] | select(.breaches != [])'
    """

    async def work(db: Database, _settings: Settings) -> list[Check]:
        return await verify(db)

    checks = run(work)
    if as_json:
        emit_json(checks)
    else:
        print_checks(checks)
    if not all(check.holds for check in checks):
        sys.exit(1)
