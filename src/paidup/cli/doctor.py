"""`paidup doctor`: is everything set up so that promises can be kept?"""

import asyncio
import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import click

from paidup.channels.accounts import AccountsFolder
from paidup.cli.desk import at_desk
from paidup.cli.output import emit_json, json_option
from paidup.cli.whoami import operator
from paidup.clock import SystemClock, parse_clock
from paidup.db.doctor import Finding, Severity, examine
from paidup.db.open import open_database
from paidup.db.transaction import Database
from paidup.errors import ConfigError
from paidup.hand import golive
from paidup.reconcile.health import TOPIC
from paidup.reconcile.health import examine as examine_reconcile
from paidup.reconcile.parties import parties_of
from paidup.reconcile.rules import read_rules
from paidup.settings import Settings, load


@click.command()
@click.option("--account", "accounts", multiple=True, help="channel/account: is it ready to go live? (repeatable)")
@json_option
def command(accounts: tuple[str, ...], as_json: bool) -> None:
    """Examine settings, database and accounts; exits with 1 when something must not go live.

    Refuses a database that may forget what it acknowledged (fsync or synchronous_commit off). Of an account that is
    named it looks at keys, callback address and last callback, and asks the channel one question about a payment that
    nobody made; that stands in the audit.

    \b
    paidup doctor --account wechat/main
    """
    findings = asyncio.run(_examine(but=accounts))
    for account in accounts:
        findings += _go_live(account)
    if as_json:
        emit_json(findings)
    else:
        for finding in findings:
            click.echo(f"{finding.severity:<7} {finding.topic}: {finding.says}")
    if any(finding.severity is Severity.REFUSE for finding in findings):
        sys.exit(1)


async def _examine(but: Collection[str]) -> list[Finding]:
    settings = load()
    async with open_database(settings) as db:
        findings = await examine(db, SystemClock())
        findings += _accounts(settings.accounts, parse_clock(settings.clock).now(), but)
        if not any(one.topic == "schema" and one.severity is Severity.REFUSE for one in findings):
            findings += await _reconcile(db, settings)
    return findings


async def _reconcile(db: Database, settings: Settings) -> list[Finding]:
    try:
        rules = read_rules(settings.reconcile_rules or settings.data / "reconcile.toml")
        parties = parties_of(AccountsFolder(settings.accounts).current.by_name.values(), rules)
    except ConfigError as error:
        return [Finding(TOPIC, Severity.REFUSE, str(error))]
    return await examine_reconcile(db, parties, parse_clock(settings.clock).now())


def _go_live(account: str) -> list[Finding]:
    channel, _, name = account.partition("/")
    found = at_desk(lambda desk: golive.check(desk, operator(), channel, name))
    return [Finding(account, Severity(one.state), one.says.english()) for one in found]


def _accounts(folder: Path, now: datetime, but: Collection[str]) -> list[Finding]:
    """How many there are, and which keys end; of those in `but` the look at an account that goes live says it."""
    try:
        accounts = AccountsFolder(folder).current.by_name
    except ConfigError as error:
        return [Finding("accounts", Severity.REFUSE, str(error))]
    ends = [
        Finding(name, Severity.WARN, found.says.english())
        for key, account in sorted(accounts.items())
        if (name := "/".join(key)) not in but
        for found in golive.keys_that_end(account, now)
    ]
    count = len(accounts)
    says = f"{count} channel accounts in {folder}" if count else f"no channel accounts in {folder} yet"
    return [Finding("accounts", Severity.OK if count else Severity.WARN, says), *ends]
