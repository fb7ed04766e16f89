"""Is a channel account ready to go live? Keys, callback address, and one real question about a payment that nobody
made: a proper "unknown" shows that our signature is accepted, and that theirs can be verified."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import msgspec

from paidup import ids
from paidup.channels.channel import Account, KeyInfo, PaymentName, ToOpen
from paidup.channels.messages import Declined, Success
from paidup.channels.registry import CHANNELS
from paidup.diagnosis.verdict import Said, Value
from paidup.hand.desk import Desk
from paidup.money import Money
from paidup.people import audit
from paidup.people.audit import Actor

SOON = timedelta(days=30)
_CURRENCY = {"stripe": "USD"}

LAST_CALLBACK = """
SELECT received_at FROM inbox WHERE channel = $1 AND account = $2 ORDER BY received_at DESC LIMIT 1"""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. state: ok, warn, or refuse (do not go live)."""

    state: str
    says: Said


async def check(desk: Desk, actor: Actor, channel: str, name: str) -> list[Finding]:
    """Look at everything that going live rests on. Raises NotFound for an unknown account."""
    account = desk.asker.account(channel, name)
    findings = [
        *_keys(desk, account),
        _address(account),
        await _question(desk, account),
        await _callback(desk, account),
    ]
    worst = "ok" if is_ready(findings) else "refuse"
    async with desk.db.transaction() as tx:
        await audit.write(
            tx, actor, "account.checked", desk.now(), shop=account.shop, subject_id=f"{channel}/{name}",
            why="; ".join(f.says.english() for f in findings), after=worst,
        )  # fmt: skip
    return findings


def is_ready(findings: Sequence[Finding]) -> bool:
    """Whether nothing speaks against going live."""
    return all(finding.state != "refuse" for finding in findings)


def _keys(desk: Desk, account: Account) -> list[Finding]:
    found = keys_that_end(account, desk.now())
    return found or [Finding("ok", Said("All keys can be read, and none expires soon."))]


def keys_that_end(account: Account, now: datetime) -> list[Finding]:
    """What is to be done about keys that have expired, or will within 30 days."""
    keys = CHANNELS[account.channel].keys(account)
    lasting = any(key.expires_at and key.expires_at >= now + SOON for key in keys)
    look = partial(_platform_certificate, lasting=lasting) if account.channel == "wechat" else _key
    return [found for key in keys if key.expires_at and (found := look(account, key, key.expires_at, now))]


def _key(_account: Account, key: KeyInfo, ends_at: datetime, now: datetime) -> Finding | None:
    if ends_at < now:
        return Finding("refuse", Said("The key {name} has expired: add its successor.", {"name": key.name}))
    if ends_at < now + SOON:
        values: dict[str, Value] = {"name": key.name, "at": ends_at}
        return Finding("warn", Said("The key {name} expires on {at}: add its successor.", values))
    return None


def _platform_certificate(
    account: Account, key: KeyInfo, ends_at: datetime, now: datetime, *, lasting: bool
) -> Finding | None:
    """WeChat Pay gives the successor to those who ask for it; the old one then ends without harm."""
    values: dict[str, Value] = {"name": key.name, "at": ends_at, "account": f"{account.channel}/{account.name}"}
    if ends_at < now and lasting:
        return Finding("warn", Said("The certificate {name} has ended, and another is there: remove its file.", values))
    if ends_at < now:
        says = Said(
            "The certificate {name} has ended: fetch its successor by `paidup keys fetch-certificates {account}`.",
            values,
        )
        return Finding("refuse", says)
    if ends_at < now + SOON and not lasting:
        says = Said(
            "The certificate {name} ends on {at}: fetch its successor by `paidup keys fetch-certificates {account}`, "
            "twice a day until it is there.",
            values,
        )
        return Finding("warn", says)
    return None


def _address(account: Account) -> Finding:
    parts = urlsplit(account.notify_url)
    values = {"url": account.notify_url or "-"}
    if not parts.hostname:
        return Finding("warn", Said("The account names no callback address; it must stand in the channel's console."))
    if parts.scheme != "https" or _is_private(parts.hostname):
        return Finding("warn", Said("Only this network can reach the callback address {url}: fine for trying.", values))
    return Finding("ok", Said("Callbacks go to {url}.", values))


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


async def _question(desk: Desk, account: Account) -> Finding:
    """The one call that proves keys both ways; it changes nothing at the channel."""
    now = desk.now()
    made_up = ids.new_id("chk", now)
    money = Money(100, _CURRENCY.get(account.channel, "CNY"))
    channel = CHANNELS[account.channel]
    reopen = ToOpen(
        merchant_ref=made_up, money=money, method=channel.methods[0], description="check", expires_at=now + SOON
    )
    name = PaymentName(
        merchant_ref=made_up, channel_txn_id=f"pi_{made_up}" if account.channel == "stripe" else None, money=money,
        method=channel.methods[0], created_at=now, reopen=reopen,
    )  # fmt: skip
    sent, call = await desk.asker.send(account, channel.query(name, account, now), account.shop, made_up, "query")
    values = {"why": call.why}
    if isinstance(sent.outcome, Success):
        return Finding("ok", Said("The channel answered a question about a payment that nobody made: {why}.", values))
    if isinstance(sent.outcome, Declined):
        return Finding("refuse", Said("The channel refuses our questions: {why}.", values))
    return Finding("refuse", Said("The channel could not be asked, or its answer not be verified: {why}.", values))


async def _callback(desk: Desk, account: Account) -> Finding:
    async with desk.db.session() as tx:
        last = await tx.fetchval(LAST_CALLBACK, account.channel, account.name)
    if last is None:
        return Finding("warn", Said("No callback has ever arrived: pay a small amount, and look here again."))
    return Finding("ok", Said("The last callback arrived at {at}.", {"at": last}))
