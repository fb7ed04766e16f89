"""`paidup verify`: prove that nothing is lost or doubled."""

import sys

import click

from paidup.cli.output import emit_json, json_option, run
from paidup.db.transaction import Database
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
        show(checks)
    if not all(check.holds for check in checks):
        sys.exit(1)


def show(checks: list[Check]) -> None:
    """Print the checks for people."""
    for check in checks:
        mark = click.style("holds ", fg="green") if check.holds else click.style("BROKEN", fg="red", bold=True)
        sums = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in check.sums.items())
        click.echo(f"{mark}  {check.name}: {check.claim}\n        {sums}")
        for breach in check.breaches:
            click.echo(f"        broken by {breach}: paidup trace {breach}")
