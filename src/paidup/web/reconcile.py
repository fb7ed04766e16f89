"""Reconciliation: days, breaks with both sides, balances, and what people decide about breaks."""

import re
from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request

from paidup.errors import InvalidRequest, NotFound
from paidup.hand import breaks as hand
from paidup.people.audit import Actor
from paidup.reconcile import break_repairs, break_steps, runs, store
from paidup.reconcile.breaks import Break, Kind
from paidup.reconcile.states import UNSETTLED, State
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.fields import Id, Said
from paidup.web.route import LIMIT, Query, Route, limit_of

SINCE = Query("since", "the first day, such as 2026-11-22, in the channel's own time zone")
UNTIL = Query("until", "the last day")
ACCOUNT = Query("account", "channel/account, such as wechat/main")
KIND = Query("kind", f"one of {', '.join(Kind)}")
STATE = Query("state", f"one of {', '.join(State)}; those that are not settled unless given, `all` for all")
BEFORE = Query("before", "the `next` of the page before")
_CURSOR = re.compile(r"\d{4}-\d{2}-\d{2}_[0-9a-z]{1,40}")


class ApproveBreak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agree to the repair of a break as it is now. payment_id: to which payment the money of an unknown number
    belongs."""

    reason: Said
    payment_id: Annotated[Id, Meta(description="only for money of an unknown number")] | None = None


class ResolveBreak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how a break was settled outside of our books."""

    reason: Said


class Reconciliations(msgspec.Struct, frozen=True, kw_only=True):
    """The run that holds of each account and day, the latest day first."""

    items: list[runs.Run]


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """What lay at the channels, day by day, the latest day first."""

    items: list[runs.Balance]


class Breaks(msgspec.Struct, frozen=True, kw_only=True):
    """The latest day first; `next` goes into `before` (None: that was all)."""

    items: list[Break]
    next: str | None = None


class BreakLife(msgspec.Struct, frozen=True, kw_only=True):
    """A break, what happened to it, and who agreed to its repair as it is now."""

    broken: Break
    steps: list[break_steps.Step]
    approved_by: list[str]


async def reconciliations(context: Context, key: ApiKey, request: Request) -> Reconciliations:
    """Days that were reconciled: both sides added up, what matched, and how much it changed."""
    limit, (channel, account), (since, until) = limit_of(request), account_of(request), days_of(request)
    async with context.db.session() as tx:
        found = await runs.page(tx, key.shop, limit, since=since, until=until, channel=channel, account=account)
    return Reconciliations(items=found)


async def balances(context: Context, key: ApiKey, request: Request) -> Balances:
    """Balances: opening + in - out - fees - payouts = closing, per account, day and currency."""
    limit, (channel, account), (since, until) = limit_of(request), account_of(request), days_of(request)
    async with context.db.session() as tx:
        found = await runs.page_of_balances(
            tx, key.shop, limit, since=since, until=until, channel=channel, account=account
        )
    return Balances(items=found)


async def breaks(context: Context, key: ApiKey, request: Request) -> Breaks:
    """Differences between the channels' bills and our books, with both sides, their money and the next step."""
    limit, (channel, account), (since, until) = limit_of(request), account_of(request), days_of(request)
    wanted = store.Filter(
        shop=key.shop,
        channel=channel,
        account=account,
        since=since,
        until=until,
        kinds=_one_of(request, KIND.name, Kind),
        states=None
        if request.query_params.get("state") == "all"
        else _one_of(request, STATE.name, State) or tuple(state.value for state in UNSETTLED),
        after=cursor(request.query_params.get(BEFORE.name)),
    )
    async with context.db.session() as tx:
        found = await store.page(tx, wanted, limit)
    following = f"{found[-1].day}_{found[-1].id}" if len(found) == limit else None
    return Breaks(items=found, next=following)


async def show(context: Context, key: ApiKey, request: Request) -> BreakLife:
    """One break: both sides, everything that happened to it, and who agreed to its repair."""
    return await _life(context, key, request.path_params["id"])


async def approve(context: Context, key: ApiKey, request: Request, body: ApproveBreak) -> BreakLife:
    """Agree to a repair. Whoever holds the key is one person: as many different keys as the rules say must agree."""
    break_id = request.path_params["id"]
    await hand.agree(
        context.desk, Actor(f"key:{key.id}", "api"), break_id, body.reason, payment_id=body.payment_id, shop=key.shop
    )
    return await _life(context, key, break_id)


async def resolve(context: Context, key: ApiKey, request: Request, body: ResolveBreak) -> BreakLife:
    """Say how a break was settled outside of our books."""
    break_id = request.path_params["id"]
    await hand.resolve(context.desk, Actor(f"key:{key.id}", "api"), break_id, body.reason, shop=key.shop)
    return await _life(context, key, break_id)


async def _life(context: Context, key: ApiKey, break_id: str) -> BreakLife:
    async with context.db.session() as tx:
        found = await store.get(tx, [break_id])
        if not found or found[0].shop != key.shop:
            raise NotFound(f"there is no break {break_id}")
        return BreakLife(
            broken=found[0],
            steps=await break_steps.of_break(tx, break_id),
            approved_by=await break_repairs.approvals(tx, found[0]),
        )


def account_of(request: Request) -> tuple[str | None, str | None]:
    """?account= as channel and name. Raises InvalidRequest."""
    text = request.query_params.get(ACCOUNT.name)
    if text is None:
        return None, None
    channel, slash, name = text.partition("/")
    if not slash:
        raise InvalidRequest("account is written channel/account, such as wechat/main")
    return channel, name


def days_of(request: Request) -> tuple[date | None, date | None]:
    """?since= and ?until=. Raises InvalidRequest."""
    return day_of(request, SINCE.name), day_of(request, UNTIL.name)


def day_of(request: Request, name: str) -> date | None:
    """A parameter that is a day. Raises InvalidRequest."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"?{name}= is a day such as 2026-11-22") from None


def _one_of(request: Request, name: str, words: type[Kind] | type[State]) -> tuple[str, ...] | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if text not in set(words):
        raise InvalidRequest(f"?{name}= is one of {', '.join(words)}")
    return (text,)


def cursor(text: str | None) -> str | None:
    """Where a page of breaks ended; None for the first page. Raises InvalidRequest for anything else."""
    if text is None:
        return None
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        text = ""
    if not _CURSOR.fullmatch(text):
        raise InvalidRequest("before must be the `next` of an earlier page")
    return text


_BY_DAY = (SINCE, UNTIL, ACCOUNT, LIMIT)

ROUTES = (
    Route("GET", "/v1/reconciliations", reconciliations, Scope.READ, gives=Reconciliations, query=_BY_DAY),
    Route("GET", "/v1/balances", balances, Scope.READ, gives=Balances, query=_BY_DAY),
    Route("GET", "/v1/breaks", breaks, Scope.READ, gives=Breaks, query=(KIND, STATE, BEFORE, *_BY_DAY)),
    Route("GET", "/v1/breaks/{id}", show, Scope.READ, gives=BreakLife),
    Route("POST", "/v1/breaks/{id}/approve", approve, Scope.ADMIN, body=ApproveBreak, gives=BreakLife),
    Route("POST", "/v1/breaks/{id}/resolve", resolve, Scope.ADMIN, body=ResolveBreak, gives=BreakLife),
)
