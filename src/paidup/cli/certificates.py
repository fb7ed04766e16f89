"""`paidup keys fetch-certificates`: WeChat Pay's platform certificates, fetched and kept beside the account.

No database is needed: it runs from a timer, and before the account can be used at all.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from datetime import datetime

import click
import msgspec

from paidup.channels.accounts import add_file, load_account
from paidup.channels.messages import Declined, Success
from paidup.channels.wechat.certificates import certificates
from paidup.channels.wechat.keys import WechatAccount, certificate_key, kept_file, parse_account, parse_new_account
from paidup.cli.output import emit, emit_json, json_option, say
from paidup.clock import parse_clock
from paidup.errors import ChannelError, InvalidRequest
from paidup.hand.golive import SOON
from paidup.settings import Settings, load


class Found(msgspec.Struct, frozen=True):
    """One certificate. state: new (written to `file` now), known (in force before), or ended."""

    serial: str
    valid_until: datetime
    state: str
    file: str | None = None


@click.command("fetch-certificates")
@click.argument("account")
@json_option
def fetch_certificates(account: str, as_json: bool) -> None:
    """Fetch WeChat Pay's platform certificates (平台证书) and keep the new ones; for a timer, every 8 hours.

    Each becomes platform_<serial>.pem in the account's folder, and is in force without a line in account.toml and
    without a restart. It works, too, for a new account that has no key of WeChat Pay's yet: what opens with the APIv3
    key came from WeChat Pay. A second run changes nothing. Exits with 1 when no certificate is valid, 2 when none came.

    \b
    paidup keys fetch-certificates wechat/main
    """
    settings = load()
    channel, _, name = account.partition("/")
    if channel != "wechat":
        raise InvalidRequest(f"only WeChat Pay gives its certificates so: write wechat/main, not {account[:60]!r}")
    before = load_account(settings.accounts, channel, name, parse_new_account)
    now = parse_clock(settings.clock).now
    offered = asyncio.run(_offered(before, now, settings))
    found = _sorted_out(before, offered, now())
    for one in found:
        if one.file:
            add_file(settings.accounts, channel, name, one.file, offered[one.serial].encode())
    can_verify = _can_verify(found, before)
    if can_verify:
        load_account(settings.accounts, channel, name, parse_account)  # as `serve` will read it
    steps = _next(found, before, now())
    if as_json:
        emit_json({"account": account, "certificates": found, "next": steps})
    else:
        emit([msgspec.structs.asdict(one) for one in found], as_json=False, empty="WeChat Pay has no certificates")
        for step in steps:
            say(step)
    if not can_verify:
        sys.exit(1)


async def _offered(account: WechatAccount, now: Callable[[], datetime], settings: Settings) -> Mapping[str, str]:
    """PEM by serial, verified. Raises ChannelError."""
    from paidup.channels.http import ChannelHttp  # it brings an HTTP client along, which takes its time

    http = ChannelHttp()
    try:
        sent = await http.send(account, certificates(account, now()), now_of=now, deadline_s=settings.call_deadline_s)
    finally:
        await http.aclose()
    match sent.outcome:
        case Success(pay_with=offered):
            return offered
        case Declined(why=why):
            why += " (a merchant with WeChat Pay's public key has no certificates, and needs none)"
        case failed:
            why = failed.why
    raise ChannelError(f"wechat/{account.name}: no certificates came, and nothing was changed: {why}")


def _sorted_out(account: WechatAccount, offered: Mapping[str, str], now: datetime) -> list[Found]:
    """What WeChat Pay offers and what the account has, each once, those that last longest first."""
    known = {key.serial: key.expires_at for key in account.verify_keys if key.expires_at}
    ends_at = known | {serial: _end_of(pem) for serial, pem in offered.items()}
    return [
        Found(serial, end, "ended")
        if end <= now
        else Found(serial, end, "known")
        if serial in known
        else Found(serial, end, "new", kept_file(serial))
        for serial, end in sorted(ends_at.items(), key=lambda one: one[1], reverse=True)
    ]


def _end_of(pem: str) -> datetime:
    end = certificate_key(pem.encode()).expires_at
    assert end is not None  # noqa: S101  a certificate has one
    return end


def _next(found: list[Found], account: WechatAccount, now: datetime) -> list[str]:
    """What the person who runs it does next."""
    new = [one for one in found if one.state == "new"]
    ended = [one.serial for one in found if one.state == "ended" and account.verify_key(one.serial)]
    steps = []
    if new:
        steps.append(f"{len(new)} new: in force within seconds, without a restart; `paidup keys list` shows them")
    steps += [f"{serial} has ended: remove its file, and its line in account.toml if it has one" for serial in ended]
    if not found:
        steps.append("WeChat Pay signs with its public key for this account: the command is not needed")
    elif not any(one.valid_until >= now + SOON for one in found):
        steps.append("no certificate lasts for 30 days more, and WeChat Pay offers no other yet: run this twice a day")
    elif not steps:
        steps.append("nothing to do: all are known; run this again within 12 hours")
    return steps


def _can_verify(found: list[Found], account: WechatAccount) -> bool:
    return any(one.state != "ended" for one in found) or any(key.expires_at is None for key in account.verify_keys)
