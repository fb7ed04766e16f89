"""A bill that somebody has as a file: kept as it came, and read to its end at once, so that whoever brings it is told.

A file in which anything is wrong is refused whole, and stays kept with its reason. The day of a sound one is reconciled
by the worker's next round, or by `paidup reconcile run --no-fetch`.
"""

import asyncio
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from paidup import log
from paidup.channels.bill import BillKind, BillProof, BillRefused
from paidup.channels.bill_mapping import parse_mapping
from paidup.db.transaction import Database, Tx
from paidup.errors import ConfigError, InvalidRequest
from paidup.people import audit
from paidup.people.audit import Actor
from paidup.people.user import Right
from paidup.reconcile import bills, tell
from paidup.reconcile.party import Party
from paidup.reconcile.reading import check
from paidup.reconcile.table import Limits

MAX_FILE_NAME_CHARS = 200
MAX_MAPPING_CHARS = 64 << 10
_SHA1_CHARS = 40


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says of the file that they bring. mapping: its description in TOML, empty for the channel's own
    format. sha1: of its plain text, where the channel told it."""

    account: str
    day: str
    kind: str = "trades"
    file_name: str = ""
    mapping: str = ""
    sha1: str = ""


class FileRefused(InvalidRequest):
    """The file was kept, and nothing of it is used. `bill` is the row that it is kept as."""

    def __init__(self, bill: bills.Kept) -> None:
        super().__init__(f"the file is kept as {bill.id} and refused whole, {bill.fault}: {bill.why}")
        self.bill = bill


async def upload(
    db: Database, party: Party, brought: bills.Brought, file: BinaryIO, *, actor: Actor, limits: Limits,
    spill: Path | None, now: datetime,
) -> bills.Kept:  # fmt: skip
    """Keep a file and read it. Raises FileRefused when anything in it is wrong, InvalidRequest for its mapping, and
    NotAllowed for somebody who does not move money."""
    actor.must_have(Right.MONEY)
    _must_be_readable(brought.mapping)
    async with db.transaction() as tx:
        kept = await bills.keep(tx, brought, file, now)
    try:
        lines, stated = await asyncio.to_thread(check, party, kept, file, limits, spill)
    except BillRefused as refusal:
        async with db.transaction() as tx:
            await bills.was_read(tx, kept.id, "refused", now, fault=refusal.fault, why=refusal.why)
            refused = await _told(tx, kept, actor, now)
            lane = tell.Lane(kept.channel, kept.account, kept.day)
            await tell.write(tx, [tell.of_refusal(lane, kept.shop, kept.id, refusal.fault, refusal.why)], now)
        log.warning("bill.refused", account=party.name, day=kept.day.isoformat(), why=refusal.why)
        raise FileRefused(refused) from None
    async with db.transaction() as tx:
        await bills.was_read(tx, kept.id, "sound", now, lines=lines, stated=stated)
        await bills.want_work(tx, kept.id, now)
        sound = await _told(tx, kept, actor, now)
    log.info("bill.uploaded", account=party.name, day=kept.day.isoformat(), bill=kept.id, lines=lines)
    return sound


async def _told(tx: Tx, kept: bills.Kept, actor: Actor, now: datetime) -> bills.Kept:
    """The row as it is now, with a line in the audit."""
    (read,) = [one for one in [await bills.get(tx, kept.id)] if one]
    why = f"{read.channel}/{read.account} {read.kind} {read.day}, version {read.version}: {read.file_name}"
    await audit.write(
        tx, actor, "bill.uploaded", now, shop=read.shop, subject_id=read.id, why=why, before=kept.state,
        after=f"{read.state} {read.fault}".strip(),
    )  # fmt: skip
    return read


def brought_by(party: Party, claims: Claims, who: str) -> bills.Brought:
    """What was claimed, as a row wants it. Raises InvalidRequest naming what is none."""
    if claims.kind not in [kind.value for kind in party.channel.bills]:
        raise InvalidRequest(f"kind is one of {', '.join(party.channel.bills)}, not {claims.kind[:40]!r}")
    if claims.sha1 and not (len(claims.sha1) == _SHA1_CHARS and _is_hex(claims.sha1)):
        raise InvalidRequest(f"sha1 is {_SHA1_CHARS} hexadecimal digits, or nothing")
    if len(claims.mapping) > MAX_MAPPING_CHARS:
        raise InvalidRequest(f"a mapping has at most {MAX_MAPPING_CHARS} characters")
    return bills.Brought(
        shop=party.account.shop,
        channel=party.account.channel,
        account=party.account.name,
        kind=BillKind(claims.kind),
        day=_day(claims.day),
        source="uploaded",
        brought_by=who,
        file_name="".join(filter(str.isprintable, claims.file_name))[:MAX_FILE_NAME_CHARS],
        mapping=claims.mapping,
        proof=BillProof(sha1_hex=claims.sha1.lower() or None),
    )


def _must_be_readable(mapping: str) -> None:
    try:
        if mapping:
            parse_mapping(mapping, "the mapping")
    except ConfigError as wrong:  # whoever brings it is at fault, and not our settings
        raise InvalidRequest(str(wrong)) from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"write the day as 2026-11-22, not {text[:40]!r}") from None


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)
