"""What people do by hand, through the API: all that the console can do. The audit names the key that did it."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import TypeVar

import msgspec
from starlette.requests import Request

from paidup.cases import store as cases
from paidup.errors import Conflict, InvalidRequest, NotFound
from paidup.hand import approve as approving
from paidup.hand import confirm as confirming
from paidup.hand import deeds, golive
from paidup.hand import refund as refunding
from paidup.hand.confirm import Confirm
from paidup.hand.desk import the_payment
from paidup.hand.done import Done
from paidup.hand.query import query_now
from paidup.hand.refund import GiveBack
from paidup.intake import quarantine
from paidup.people import approvals, audit
from paidup.people.audit import Actor
from paidup.shops.store import ApiKey, Scope
from paidup.trace import find
from paidup.web import hand_shapes as shapes
from paidup.web.context import Context
from paidup.web.payments import payment_out
from paidup.web.route import BEFORE, LIMIT, Query, Route, limit_of
from paidup.web.shapes import PaymentOut
from paidup.web.told_shapes import CaseOut

SOUGHT = Query(
    "q", "any number of ours, the shop's or the channel's, the last 6 characters or more of one, or amount and time"
)
WHO = Query("who", "one user, key (key:…) or account of the command line (cli:…)")
ACTION = Query("action", "such as payment.confirmed")

OutT = TypeVar("OutT", bound=msgspec.Struct)


async def query(context: Context, key: ApiKey, request: Request) -> PaymentOut:
    """Ask the channel about a payment now, whatever its state, and apply what it answers."""
    asked = await query_now(context.desk, _actor(key), request.path_params["id"], shop=key.shop)
    return payment_out(asked.after)


async def confirm(context: Context, key: ApiKey, request: Request, body: shapes.ConfirmPayment) -> shapes.DoneOut:
    """A person says that a payment was paid. The channel is asked first; above a limit, or when the channel
    contradicts, it waits for a second person."""
    async with context.db.session() as tx:
        payment = await the_payment(tx, request.path_params["id"], key.shop)
    wanted = Confirm(
        payment_id=payment.id,
        channel_txn_id=body.channel_txn_id,
        amount_minor=body.amount_minor or payment.amount_minor,
        currency=body.currency or payment.currency,
        why=body.reason,
    )
    once = f"{key.id}/{request.headers['idempotency-key']}"
    return _done(await confirming.confirm(context.desk, _actor(key), wanted, key=once, shop=key.shop))


async def refund(context: Context, key: ApiKey, request: Request, body: shapes.RefundByHand) -> shapes.DoneOut:
    """A person gives money back; above a limit it waits for a second person. The shop's own systems ask at `refunds`,
    whose scope keys that people use should lack."""
    async with context.db.session() as tx:
        payment = await the_payment(tx, request.path_params["id"], key.shop)
    minor = body.amount_minor or (await refunding.foresee(context.desk, payment.id, None)).left.amount_minor
    wanted = GiveBack(payment_id=payment.id, amount_minor=minor, currency=payment.currency, why=body.reason)
    once = f"{key.id}/{request.headers['idempotency-key']}"
    return _done(await refunding.refund(context.desk, _actor(key), wanted, key=once, shop=key.shop))


async def check_account(context: Context, key: ApiKey, request: Request) -> shapes.CheckOut:
    """Is a channel account ready to go live? Asks the channel about a payment that nobody made; changes nothing.

    Looks at its keys, its callback address and the last callback, too."""
    channel, name = request.path_params["channel"], request.path_params["account"]
    context.asker.account_of(key.shop, channel, name)
    found = await golive.check(context.desk, _actor(key), channel, name)
    items = [shapes.FindingOut(state=one.state, says=one.says.english()) for one in found]
    return shapes.CheckOut(ready=golive.is_ready(found), items=items)


async def list_approvals(context: Context, key: ApiKey, request: Request) -> shapes.Approvals:
    """What waits for a second person, newest first."""
    limit = limit_of(request)
    async with context.db.session() as tx:
        found = await approvals.page(
            tx, key.shop, limit, with_decided=False, before=request.query_params.get("before")
        )  # fmt: skip
    return shapes.Approvals(items=_many(found, shapes.ApprovalOut), next=_next(found, limit))


async def approve(context: Context, key: ApiKey, request: Request, body: shapes.Because) -> shapes.DoneOut:
    """Agree to what another key, or another person, asked for: it is done now. Nobody agrees to their own."""
    done = await approving.approve(
        context.desk, _actor(key), request.path_params["id"], body.reason, shop=key.shop
    )  # fmt: skip
    return _done(done)


async def refuse(context: Context, key: ApiKey, request: Request, body: shapes.Because) -> shapes.DoneOut:
    """Refuse it: nothing is done."""
    await approving.refuse(context.desk, _actor(key), request.path_params["id"], body.reason, shop=key.shop)
    return shapes.DoneOut(state="done", says="refused; nothing is done")


async def search(context: Context, key: ApiKey, request: Request) -> shapes.Found:
    """Find orders by any number, by the end of one, or by amount and time (UTC): `12.50 14:03`, `12.50 2026-11-27`."""
    sought = request.query_params.get("q", "")
    if not sought:
        raise InvalidRequest("?q= is the number to look for")
    async with context.db.session() as tx:
        found = await find.search(tx, sought, context.clock.now(), UTC, key.shop)
    return shapes.Found(order_ids=found.order_ids)


async def callback(context: Context, key: ApiKey, request: Request) -> shapes.CallbackOut:
    """A callback as it came: headers and body, word for word. That somebody read it stands in the audit."""
    row = await deeds.reveal_callback(context.desk, _actor(key), request.path_params["id"], shop=key.shop)
    shown = row | {
        "headers": msgspec.json.decode(str(row["headers"])),
        "body": deeds.text_of(row),
    }
    return msgspec.convert({name: shown[name] for name in shapes.CallbackOut.__struct_fields__}, shapes.CallbackOut)


async def replay_callback(context: Context, key: ApiKey, request: Request, body: shapes.Because) -> shapes.DoneOut:
    """Send a parked or poisoned callback to the door again."""
    waits = await deeds.replay_callback(
        context.desk, _actor(key), request.path_params["id"], body.reason, shop=key.shop
    )  # fmt: skip
    if waits:
        return shapes.DoneOut(state="done", says="it goes to the door again")
    return shapes.DoneOut(state="already", says="it does not wait; nothing to replay")


async def list_quarantine(context: Context, key: ApiKey, request: Request) -> shapes.Quarantine:
    """Callbacks of the shop's accounts that could not be verified, newest first."""
    own, limit = _accounts_of(context, key), limit_of(request)
    async with context.db.session() as tx:
        rows = await quarantine.of_accounts(tx, own, limit, before=request.query_params.get("before"))
    items = [msgspec.convert(_some(row), shapes.RefusedOut) for row in rows]
    return shapes.Quarantine(items=items, next=items[-1].id if len(items) == limit else None)


async def replay_quarantined(context: Context, key: ApiKey, request: Request, body: shapes.Because) -> shapes.DoneOut:
    """Verify a quarantined callback again, with today's keys; a valid one goes to the door."""
    quarantine_id, own = request.path_params["id"], _accounts_of(context, key)
    async with context.db.session() as tx:
        kept = await quarantine.get(tx, quarantine_id)
    if kept is None or (kept.channel, kept.account) not in own:
        raise NotFound(f"{quarantine_id} is not in quarantine")
    verdict = await deeds.replay_quarantined(context.desk, _actor(key), quarantine_id, body.reason)
    if verdict != "valid":
        raise Conflict(f"still refused: {verdict}")
    return shapes.DoneOut(state="done", says="accepted; it goes to the door")


async def claim(context: Context, key: ApiKey, request: Request) -> CaseOut:
    """Say that somebody works on a case."""
    return _case(await deeds.claim(context.desk, _actor(key), request.path_params["id"], shop=key.shop))


async def comment(context: Context, key: ApiKey, request: Request, body: shapes.Because) -> shapes.DoneOut:
    """Write something beside a case."""
    await deeds.comment(context.desk, _actor(key), request.path_params["id"], body.reason, shop=key.shop)
    return shapes.DoneOut(state="done", says="written")


async def list_deeds(context: Context, key: ApiKey, request: Request) -> shapes.Deeds:
    """What people did by hand in this shop, newest first."""
    return await deeds_of(context, request, key.shop)


async def deeds_of(context: Context, request: Request, shop: str | None) -> shapes.Deeds:
    """The asked-for page of the audit; shop None: of all shops and of none."""
    limit, given = limit_of(request), request.query_params
    who, action, before = (given.get(query.name) for query in (WHO, ACTION, BEFORE))
    async with context.db.session() as tx:
        found = await audit.page(tx, who=who, action=action, before=before, limit=limit, shop=shop)
    return shapes.Deeds(items=_many(found, shapes.DeedOut), next=_next(found, limit))


def _accounts_of(context: Context, key: ApiKey) -> set[tuple[str, str]]:
    return {(account.channel, account.name) for account in context.accounts.current.of_shop(key.shop)}


def _actor(key: ApiKey) -> Actor:
    return Actor(f"key:{key.id}", "api")


def _done(done: Done) -> shapes.DoneOut:
    return shapes.DoneOut(state=done.state, says=done.says, approval_id=done.approval_id)


def _case(case: cases.Case) -> CaseOut:
    return _many([case], CaseOut)[0]


def _many(rows: Sequence[msgspec.Struct], shape: type[OutT]) -> list[OutT]:
    return [
        msgspec.convert({name: getattr(row, name) for name in shape.__struct_fields__}, shape) for row in rows
    ]  # fmt: skip


def _some(row: Mapping[str, object]) -> dict[str, object]:
    return {name: row[name] for name in shapes.RefusedOut.__struct_fields__}


def _next(rows: Sequence[approvals.Approval] | Sequence[audit.Deed], limit: int) -> str | None:
    return rows[-1].id if len(rows) == limit else None


ROUTES = (
    Route("POST", "/v1/payments/{id}/query", query, Scope.WRITE, gives=PaymentOut),
    Route(
        "POST", "/v1/payments/{id}/confirm", confirm, Scope.ADMIN,
        body=shapes.ConfirmPayment, gives=shapes.DoneOut, keyed=True,
    ),
    Route(
        "POST", "/v1/payments/{id}/refund-by-hand", refund, Scope.ADMIN,
        body=shapes.RefundByHand, gives=shapes.DoneOut, keyed=True,
    ),
    Route("POST", "/v1/accounts/{channel}/{account}/check", check_account, Scope.ADMIN, gives=shapes.CheckOut),
    Route("GET", "/v1/approvals", list_approvals, Scope.READ, gives=shapes.Approvals, query=(BEFORE, LIMIT)),
    Route("POST", "/v1/approvals/{id}/approve", approve, Scope.ADMIN, body=shapes.Because, gives=shapes.DoneOut),
    Route("POST", "/v1/approvals/{id}/refuse", refuse, Scope.ADMIN, body=shapes.Because, gives=shapes.DoneOut),
    Route("GET", "/v1/search", search, Scope.READ, gives=shapes.Found, query=(SOUGHT,)),
    Route("GET", "/v1/callbacks/{id}", callback, Scope.ADMIN, gives=shapes.CallbackOut),
    Route("POST", "/v1/callbacks/{id}/replay", replay_callback, Scope.ADMIN, body=shapes.Because, gives=shapes.DoneOut),
    Route("GET", "/v1/quarantine", list_quarantine, Scope.ADMIN, gives=shapes.Quarantine, query=(BEFORE, LIMIT)),
    Route(
        "POST", "/v1/quarantine/{id}/replay", replay_quarantined, Scope.ADMIN,
        body=shapes.Because, gives=shapes.DoneOut,
    ),
    Route("POST", "/v1/cases/{id}/claim", claim, Scope.ADMIN, gives=CaseOut),
    Route("POST", "/v1/cases/{id}/comment", comment, Scope.ADMIN, body=shapes.Because, gives=shapes.DoneOut),
    Route("GET", "/v1/audit", list_deeds, Scope.ADMIN, gives=shapes.Deeds, query=(WHO, ACTION, BEFORE, LIMIT)),
)  # fmt: skip
