"""The channels' bills: what is kept of them, and a file that somebody brings."""

from datetime import date, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from paidup.channels.bill import BillKind
from paidup.errors import NotFound
from paidup.people.audit import Actor
from paidup.reconcile import bills, download, upload
from paidup.reconcile.parties import named, parties_of
from paidup.reconcile.party import Party
from paidup.reconcile.rules import read_rules
from paidup.reconcile.table import Limits
from paidup.reconcile.upload import Claims
from paidup.shops.store import ApiKey, Scope
from paidup.web import respond
from paidup.web.body import fields_as
from paidup.web.context import Context
from paidup.web.reconcile import ACCOUNT, account_of, day_of
from paidup.web.route import LIMIT, Query, Route, limit_of
from paidup.web.upload import Sent

DAY = Query("day", "such as 2026-11-22, in the channel's own time zone")


class BillOut(msgspec.Struct, frozen=True, kw_only=True):
    """A bill as it was kept. state: kept (not read yet), sound, refused (whole, for `fault` and `why`), or none (the
    channel says there is none). stated: the totals that the file states of itself. sha256: of the file, in hex."""

    id: str
    channel: str
    account: str
    kind: BillKind
    day: date
    version: int
    state: str
    fault: str
    why: str
    source: str
    brought_by: str
    file_name: str
    sha256: str
    size_bytes: int
    lines: int
    stated: dict[str, str]
    kept_at: datetime
    read_at: datetime | None


class Bills(msgspec.Struct, frozen=True, kw_only=True):
    """Bills, the latest day first."""

    items: list[BillOut]


def shown(kept: bills.Kept) -> BillOut:
    """A row for those outside."""
    fields = {name: getattr(kept, name) for name in BillOut.__struct_fields__ if name != "sha256"}
    return BillOut(**fields, sha256=kept.sha256.hex())


async def take(context: Context, key: ApiKey, sent: Sent) -> BillOut:
    """Upload a bill: any file of the channel's own format, or any CSV, Excel or fixed-width one with its mapping. It is
    refused whole, with the reason, where anything in it is wrong, and kept in any case; a sound one is reconciled by
    the next round."""
    claims = fields_as({"file_name": sent.file_name, **sent.fields}, Claims)
    return shown(await receive(context, claims, sent, Actor(f"key:{key.id}", "api"), key.shop))


async def receive(context: Context, claims: Claims, sent: Sent, actor: Actor, shop: str | None) -> bills.Kept:
    """Keep and read a file that was sent. Raises FileRefused, NotFound for another shop's account, and others."""
    party = party_of(context, claims.account, shop)
    settings = context.settings
    return await upload.upload(
        context.db,
        party,
        upload.brought_by(party, claims, actor.who),
        sent.file,
        actor=actor,
        limits=Limits(memory_mb=settings.reconcile_memory_mb),
        spill=settings.reconcile_spill,
        now=context.clock.now(),
    )


def party_of(context: Context, account: str, shop: str | None) -> Party:
    """The account with its rules. Raises NotFound, for another shop's account as well."""
    own = [party for party in parties(context) if shop is None or party.account.shop == shop]
    return named(own, account)


def parties(context: Context) -> list[Party]:
    """Every account whose bills are reconciled."""
    settings = context.settings
    rules = read_rules(settings.reconcile_rules or settings.data / "reconcile.toml")
    return parties_of(context.accounts.current.by_name.values(), rules)


async def kept(context: Context, key: ApiKey, request: Request) -> Bills:
    """Bills that are kept, each version of each, with the reason of those that were refused."""
    limit, (channel, account), day = limit_of(request), account_of(request), day_of(request, DAY.name)
    async with context.db.session() as tx:
        found = await bills.page(tx, key.shop, limit, channel=channel, account=account, day=day)
    return Bills(items=[shown(one) for one in found])


async def one(context: Context, key: ApiKey, request: Request) -> BillOut:
    """One bill, and what reading it said."""
    async with context.db.session() as tx:
        found = await bills.get(tx, request.path_params["id"])
    if found is None or found.shop != key.shop:
        raise NotFound("there is no such bill")
    return shown(found)


async def file(context: Context, key: ApiKey, request: Request) -> Response:
    """The file of a bill as it came; who took it stands in the audit."""
    return await handed_out(context, request.path_params["id"], Actor(f"key:{key.id}", "api"), key.shop)


async def handed_out(context: Context, bill_id: str, actor: Actor, shop: str | None) -> Response:
    """The kept file, to whoever may have it. Raises NotFound."""
    kept, name = await download.hand_out(context.db, bill_id, shop=shop, actor=actor, now=context.clock.now())
    return respond.file(download.content(context.db, kept), name, kept.size_bytes)


ROUTES = (
    Route("POST", "/v1/bills", take, Scope.ADMIN, gives=BillOut, status=201, form=Claims),
    Route("GET", "/v1/bills", kept, Scope.READ, gives=Bills, query=(DAY, ACCOUNT, LIMIT)),
    Route("GET", "/v1/bills/{id}", one, Scope.READ, gives=BillOut),
    Route("GET", "/v1/bills/{id}/file", file, Scope.ADMIN, gives=None),
)
