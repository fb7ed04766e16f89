"""What the console's pages show and nothing else gives: callbacks, one case with its notes, accounts, raw texts."""

from datetime import datetime

import msgspec
from starlette.requests import Request

from paidup.cases import store as cases
from paidup.channels.channel import KeyInfo
from paidup.errors import InvalidRequest, NotFound
from paidup.hand import deeds
from paidup.hand import watched as watching
from paidup.hand.accounts import standings
from paidup.hand.detail import Block
from paidup.intake import inbox
from paidup.people.audit import Actor
from paidup.shops.store import ApiKey, Scope
from paidup.web.context import Context
from paidup.web.route import BEFORE, LIMIT, Query, Route, limit_of
from paidup.web.told_shapes import CaseOut

STATES = ("waiting", "parked", "poisoned", "settled")
CHANNEL = Query("channel", "such as wechat")
ACCOUNT = Query("account", "such as main")
AFTER = Query("after", "the `next` of the page before")
STATE = Query("state", f"one of {', '.join(STATES)}")


class ReceivedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that was acknowledged, without its bytes. state: waiting for the door, parked (nobody knows its
    payment yet), poisoned (it could not be applied, see why), or settled."""

    id: str
    received_at: datetime
    channel: str
    account: str
    kind: str
    state: str
    why: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[ReceivedOut]
    next: str | None = None


class NoteOut(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote beside a case."""

    at: datetime
    who: str
    said: str


class CaseLife(msgspec.Struct, frozen=True, kw_only=True):
    """A case, who works on it, who closed it, and what was written beside it."""

    case: CaseOut
    claimed_by: str | None
    resolved_by: str | None
    notes: list[NoteOut]


class AccountOut(msgspec.Struct, frozen=True, kw_only=True):
    """A channel account as it stands. breaker_open: calls to it wait. silent: queries find what no callback told.
    waiting, overdue: payments with a next question; budget: how many questions may be asked at once."""

    channel: str
    account: str
    notify_url: str
    keys: list[KeyInfo]
    breaker_open: bool
    silent: bool
    waiting: int
    overdue: int
    budget: int
    last_callback_at: datetime | None


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """The shop's accounts, by name."""

    items: list[AccountOut]


class WatchedOut(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished payment or refund. kind: payment or refund; due_at: when the channel is asked about it next; asked:
    how often it was; since: when it was started."""

    subject_id: str
    kind: str
    order_id: str
    shop_order_no: str
    channel: str
    account: str
    state: str
    amount_minor: int
    currency: str
    due_at: datetime
    asked: int
    since: datetime


class WatchedPage(msgspec.Struct, frozen=True, kw_only=True):
    """The next question first; `next` goes into `after` (None: that was all)."""

    items: list[WatchedOut]
    next: str | None = None


class DetailOut(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind a scene of an order's life: facts, then the texts as they came or went."""

    title: str
    facts: dict[str, str]
    blocks: list[Block]


async def received(context: Context, key: ApiKey, request: Request) -> Received:
    """Callbacks that were acknowledged, newest first, without their bytes."""
    limit, given = limit_of(request), request.query_params
    state = given.get(STATE.name)
    if state is not None and state not in STATES:
        raise InvalidRequest(f"state is one of {', '.join(STATES)}")
    own = [name for name, account in context.accounts.current.by_name.items() if account.shop == key.shop]
    async with context.db.session() as tx:
        rows = await inbox.page(
            tx, given.get(CHANNEL.name), state, limit, before=given.get("before"), shop=key.shop, accounts=own
        )
    items = [ReceivedOut(**{name: row[name] for name in ReceivedOut.__struct_fields__}) for row in rows]
    return Received(items=items, next=items[-1].id if len(items) == limit else None)


async def case(context: Context, key: ApiKey, request: Request) -> CaseLife:
    """One case, who works on it, and what was written beside it."""
    async with context.db.session() as tx:
        found = await cases.get(tx, request.path_params["id"])
        if found is None or found.shop != key.shop:
            raise NotFound(f"there is no case {request.path_params['id']}")
        notes = await cases.comments(tx, found.id)
    return CaseLife(
        case=CaseOut(**{name: getattr(found, name) for name in CaseOut.__struct_fields__}),
        claimed_by=found.claimed_by,
        resolved_by=found.resolved_by,
        notes=[NoteOut(at=note.at, who=note.who, said=note.said) for note in notes],
    )


async def accounts(context: Context, key: ApiKey, _request: Request) -> Accounts:
    """The shop's channel accounts: keys and their expiry, last callback, breaker, budget of questions."""
    found = await standings(context.desk, shop=key.shop)
    return Accounts(
        items=[
            AccountOut(
                channel=one.account.channel,
                account=one.account.name,
                notify_url=one.account.notify_url,
                keys=list(one.keys),
                breaker_open=one.is_open,
                silent=one.is_silent,
                waiting=one.waiting,
                overdue=one.overdue,
                budget=one.budget,
                last_callback_at=one.last_callback_at,
            )
            for one in found
        ]
    )


async def watched(context: Context, key: ApiKey, request: Request) -> WatchedPage:
    """Payments and refunds that are not settled, the next question to the channel first."""
    limit, given = limit_of(request), request.query_params
    async with context.db.session() as tx:
        rows = await watching.page(
            tx, limit, after=given.get(AFTER.name), channel=given.get(CHANNEL.name), account=given.get(ACCOUNT.name),
            shop=key.shop,
        )  # fmt: skip
    items = [WatchedOut(**{name: getattr(row, name) for name in WatchedOut.__struct_fields__}) for row in rows]
    return WatchedPage(items=items, next=rows[-1].mark if len(rows) == limit else None)


async def detail(context: Context, key: ApiKey, request: Request) -> DetailOut:
    """What stands behind a moment of an order's life, nothing masked. That somebody looked stands in the audit. kind:
    buyer, callback, decision, call (to the channel) or attempt (to tell the shop); thing: its id."""
    path = request.path_params
    found = await deeds.reveal_detail(
        context.desk, Actor(f"key:{key.id}", "api"), path["id"], path["kind"], path["thing"], shop=key.shop
    )
    return DetailOut(title=found.title, facts=dict(found.facts), blocks=list(found.blocks))


ROUTES = (
    Route("GET", "/v1/callbacks", received, Scope.READ, gives=Received, query=(CHANNEL, STATE, BEFORE, LIMIT)),
    Route("GET", "/v1/cases/{id}", case, Scope.READ, gives=CaseLife),
    Route("GET", "/v1/watched", watched, Scope.READ, gives=WatchedPage, query=(CHANNEL, ACCOUNT, AFTER, LIMIT)),
    Route("GET", "/v1/accounts", accounts, Scope.READ, gives=Accounts),
    Route("GET", "/v1/orders/{id}/details/{kind}/{thing}", detail, Scope.ADMIN, gives=DetailOut),
)
