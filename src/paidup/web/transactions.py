"""Transactions across services: who takes part, begin one, see it, decide where it is stuck."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request

from paidup.db.transaction import Tx
from paidup.errors import NotFound
from paidup.hand import listeners
from paidup.people.audit import Actor
from paidup.shops.store import ApiKey, Scope
from paidup.transactions import participants, person, store
from paidup.transactions.begin import begin as begin_transaction
from paidup.transactions.show import Shown, Summary, shown, summary
from paidup.transactions.table import Table
from paidup.transactions.transaction import Transaction
from paidup.web import fields
from paidup.web.context import Context
from paidup.web.orders import the_order
from paidup.web.route import LIMIT, Query, Route, limit_of

AFTER = Query("after", "the `next` of the page before")
STATE = Query("state", "only those in this state, such as MANUAL")


class BeginTransaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin a transaction about this order. The Idempotency-Key names it."""

    table: Annotated[fields.Name, Meta(description="one of the shop's tables of steps")]
    data: Annotated[
        dict[fields.Name, Any], Meta(max_length=10, description="what each step's participant is told, by step")
    ] = {}


class PutParticipant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register a service that takes part, or move it to another URL."""

    name: fields.Name
    url: Annotated[str, Meta(min_length=1, max_length=2048, description="https; one address for all that is asked")]


class Decide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the record, and who decided; the API key stands beside it."""

    reason: fields.Said
    who: Annotated[
        fields.Line, Meta(description="who decided, in your own words; the API key answers for it and stands beside it")
    ] = ""


class Skip(Decide, frozen=True, kw_only=True):
    """Answer for a step that is stuck."""

    step: fields.Name


class Compensate(Decide, frozen=True, kw_only=True):
    """Undo it, also where its pivot stayed silent and you have found out that it was not done."""

    not_done: Annotated[
        str,
        Meta(
            max_length=40,
            description="the pivot that stayed silent, when you know that it was not done and never will be",
        ),
    ] = ""


class ParticipantOut(msgspec.Struct, frozen=True, kw_only=True):
    """A service that takes part. secret is given once, when it is registered or rotated."""

    name: str
    url: str
    created_at: datetime
    secret: str | None = None


class Participants(msgspec.Struct, frozen=True, kw_only=True):
    """All of the shop's services that take part."""

    items: list[ParticipantOut]


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """All of the shop's tables of steps."""

    items: list[Table]


class Transactions(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; `next` goes into `after` (None: that was all)."""

    items: list[Summary]
    next: str | None = None


async def begin(context: Context, key: ApiKey, request: Request, body: BeginTransaction) -> Shown:
    """Begin a transaction about an order: workers ask its participants, and take it to its end whatever dies."""
    order = await the_order(context, key, request.path_params["id"])
    async with context.db.transaction() as tx:
        begun = await begin_transaction(
            tx,
            shop=key.shop,
            order_id=order.id,
            table=await participants.the_table(tx, key.shop, body.table),
            data=body.data,
            key=request.headers["idempotency-key"],
            now=context.clock.now(),
        )
        return shown(begun, await store.lines(tx, begun.id))


async def of_order(context: Context, key: ApiKey, request: Request) -> Transactions:
    """The transactions of an order, oldest first."""
    order = await the_order(context, key, request.path_params["id"])
    now = context.clock.now()
    async with context.db.session() as tx:
        return Transactions(items=[summary(t, now) for t in await store.of_order(tx, order.id)])


async def list_(context: Context, key: ApiKey, request: Request) -> Transactions:
    """Unfinished transactions, the oldest first."""
    limit, given, now = limit_of(request), request.query_params, context.clock.now()
    async with context.db.session() as tx:
        found = await store.unfinished(tx, key.shop, given.get("state"), given.get("after"), limit)
    following = found[-1].id if len(found) == limit else None
    return Transactions(items=[summary(t, now) for t in found], next=following)


async def show(context: Context, key: ApiKey, request: Request) -> Shown:
    """A transaction: its state, every step with its tries and errors, when it is asked again, and its whole record."""
    xid = request.path_params["id"]
    async with context.db.session() as tx:
        found = await store.get(tx, xid, key.shop)
        if found is None:
            raise NotFound(f"there is no transaction {xid}")
        return shown(found, await store.lines(tx, xid))


async def retry(context: Context, key: ApiKey, request: Request, body: Decide) -> Shown:
    """Go on from where it got stuck, with all its tries; one that only waits is asked about at once."""
    who, xid, now = _who(key, body), request.path_params["id"], context.clock.now()
    async with context.db.transaction() as tx:
        after = await person.retry(tx, xid, shop=key.shop, who=who, why=body.reason, now=now)
        return await _shown(tx, after)


async def skip(context: Context, key: ApiKey, request: Request, body: Skip) -> Shown:
    """Answer for a step that is stuck, and let the rest go on."""
    who, xid, now = _who(key, body), request.path_params["id"], context.clock.now()
    async with context.db.transaction() as tx:
        after = await person.skip_step(tx, xid, body.step, shop=key.shop, who=who, why=body.reason, now=now)
        return await _shown(tx, after)


async def compensate(context: Context, key: ApiKey, request: Request, body: Compensate) -> Shown:
    """Undo it. Only before its pivot is passed: afterwards refund the order. Where the pivot never said what it did,
    find out; if it was not done, say so in `not_done`."""
    who, xid, now = _who(key, body), request.path_params["id"], context.clock.now()
    async with context.db.transaction() as tx:
        after = await person.compensate(
            tx, xid, shop=key.shop, who=who, why=body.reason, now=now, not_done=body.not_done
        )
        return await _shown(tx, after)


async def put_participant(context: Context, key: ApiKey, _request: Request, body: PutParticipant) -> ParticipantOut:
    """Register a service that takes part, or move it to another URL; the signing secret of a new one is shown only
    now."""
    loopback, actor = context.settings.allow_loopback_endpoints, Actor(f"key:{key.id}", "api")
    async with context.db.transaction() as tx:
        return _participant_out(
            await listeners.put_participant(
                tx, actor, key.shop, body.name, body.url, context.clock.now(), allow_loopback=loopback
            )
        )


async def list_participants(context: Context, key: ApiKey, _request: Request) -> Participants:
    """The services that take part."""
    async with context.db.session() as tx:
        found = await participants.list_participants(tx, key.shop)
    return Participants(items=[_participant_out(one) for one in found])


async def rotate(context: Context, key: ApiKey, request: Request) -> ParticipantOut:
    """A new signing secret; requests are signed with the old one, too, until it is retired."""
    async with context.db.transaction() as tx:
        changed = await participants.rotate_secret(tx, key.shop, request.path_params["id"])
        return await _changed(tx, context, key, "participant.rotated", changed)


async def retire(context: Context, key: ApiKey, request: Request) -> ParticipantOut:
    """Sign with the newest secret only."""
    async with context.db.transaction() as tx:
        changed = await participants.retire_secrets(tx, key.shop, request.path_params["id"])
        return await _changed(tx, context, key, "participant.retired", changed)


async def _changed(
    tx: Tx, context: Context, key: ApiKey, action: str, one: participants.Participant
) -> ParticipantOut:  # fmt: skip
    actor = Actor(f"key:{key.id}", "api")
    return _participant_out(await listeners.participant_changed(tx, actor, action, one, context.clock.now()))


async def define(context: Context, key: ApiKey, _request: Request, body: Table) -> Table:
    """Keep a table of steps under its name; transactions that have begun keep theirs."""
    async with context.db.transaction() as tx:
        return await participants.define(tx, key.shop, body, context.clock.now())


async def list_tables(context: Context, key: ApiKey, _request: Request) -> Tables:
    """The shop's tables of steps."""
    async with context.db.session() as tx:
        return Tables(items=await participants.list_tables(tx, key.shop))


def _who(key: ApiKey, body: Decide) -> str:
    return f"{body.who} (API key {key.id})" if body.who else f"API key {key.id}"


async def _shown(tx: Any, t: Transaction) -> Shown:
    return shown(t, await store.lines(tx, t.id))


def _participant_out(one: participants.Participant) -> ParticipantOut:
    return ParticipantOut(name=one.name, url=one.url, created_at=one.created_at, secret=one.secret)


ROUTES = (
    Route(
        "POST", "/v1/orders/{id}/transactions", begin, Scope.WRITE,
        body=BeginTransaction, gives=Shown, status=201, keyed=True,
    ),
    Route("GET", "/v1/orders/{id}/transactions", of_order, Scope.READ, gives=Transactions),
    Route("GET", "/v1/transactions", list_, Scope.READ, gives=Transactions, query=(STATE, AFTER, LIMIT)),
    Route("GET", "/v1/transactions/{id}", show, Scope.READ, gives=Shown),
    Route("POST", "/v1/transactions/{id}/retry", retry, Scope.ADMIN, body=Decide, gives=Shown),
    Route("POST", "/v1/transactions/{id}/skip", skip, Scope.ADMIN, body=Skip, gives=Shown),
    Route("POST", "/v1/transactions/{id}/compensate", compensate, Scope.ADMIN, body=Compensate, gives=Shown),
    Route(
        "POST", "/v1/participants", put_participant, Scope.ADMIN,
        body=PutParticipant, gives=ParticipantOut, status=201, secret=True,
    ),
    Route("GET", "/v1/participants", list_participants, Scope.ADMIN, gives=Participants),
    Route("POST", "/v1/participants/{id}/rotate", rotate, Scope.ADMIN, gives=ParticipantOut, secret=True),
    Route("POST", "/v1/participants/{id}/retire", retire, Scope.ADMIN, gives=ParticipantOut, secret=True),
    Route("POST", "/v1/transaction-tables", define, Scope.ADMIN, body=Table, gives=Table),
    Route("GET", "/v1/transaction-tables", list_tables, Scope.READ, gives=Tables),
)  # fmt: skip
