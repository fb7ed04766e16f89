"""Whose key opens what: every route of the table, with the ids of another shop, and with keys for something else.

The tables here are total: a route that is added later and stands in none of them fails the test.
"""

import io
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec
import pytest

from api_side import ORDER, Api
from paidup.channels.bill import BillKind
from paidup.reconcile import bills
from paidup.shops import store as shops
from paidup.shops.store import Scope
from paidup.web.api import ROUTES
from paidup.web.examples import example_of
from paidup.web.route import Route
from reconcile_side import a_break

# What a path's {id} or {sku} names; the dead letters' page and the trace take others, too.
NAMED = {
    "/v1/orders/{id}": "order",
    "/v1/payments/{id}": "payment",
    "/v1/refunds/{id}": "refund",
    "/v1/cases/{id}": "case",
    "/v1/endpoints/{id}": "endpoint",
    "/v1/trace/{id}": "order",
    "/v1/skus/{sku}": "sku",
    "/v1/transactions/{id}": "transaction",
    "/v1/participants/{id}": "participant",
    "/v1/breaks/{id}": "break",
    "/v1/bills/{id}": "bill",
    "/v1/approvals/{id}": "approval",
    "/v1/callbacks/{id}": "callback",
    "/v1/quarantine/{id}": "refused",
}
# Lists, and what makes something new: they name nothing of anybody's in the path. (A SKU is a shop's own word.)
FREE = {
    "POST /v1/orders", "GET /v1/orders", "POST /v1/payments/register", "GET /v1/events", "GET /v1/cases",
    "POST /v1/endpoints", "GET /v1/endpoints", "GET /v1/skus", "PUT /v1/skus/{sku}", "GET /v1/transactions",
    "POST /v1/participants", "GET /v1/participants", "POST /v1/transaction-tables", "GET /v1/transaction-tables",
    "GET /v1/reconciliations", "GET /v1/balances", "GET /v1/breaks", "GET /v1/books",
    "GET /v1/reports/day", "GET /v1/reports/day/file", "GET /v1/reports/month", "GET /v1/reports/month/file",
    "GET /v1/bills", "POST /v1/bills",
    "POST /v1/accounts/{channel}/{account}/check",  # accounts have a test of their own, below
    "GET /v1/approvals", "GET /v1/quarantine", "GET /v1/audit", "GET /v1/search", "GET /v1/callbacks",
    "GET /v1/accounts", "GET /v1/watched",
    # They belong to no shop; a scope of their own opens them, which no shop's key has by itself.
    "GET /v1/users", "POST /v1/users", "POST /v1/users/{name}/role", "POST /v1/users/{name}/disable",
    "POST /v1/users/{name}/reset", "POST /v1/users/{name}/link", "GET /v1/settings", "GET /v1/whole-audit",
}  # fmt: skip
# What names things in the body: field → kind of thing.
IN_BODY = {"POST /v1/evidence": {"payment_id": "payment"}, "POST /v1/deliveries/redrive": {"endpoint_id": "endpoint"}}
SHOPS_OWN = [scope for scope in Scope if scope is not Scope.OWNER]
"""All that a key may do in its own shop."""
TABLES = (
    "orders", "payments", "refunds", "cases", "endpoints", "events", "deliveries", "due", "decisions",
    "inbox_queue", "channel_calls", "skus", "reservations", "stock_movements", "transactions",
    "transaction_steps", "transaction_journal", "participants",
    "transaction_tables", "breaks", "break_steps", "break_approvals", "bills",
    "approvals", "audit", "case_comments", "quarantine", "inbox", "users",
)  # fmt: skip


def label(route: Route) -> str:
    return f"{route.method} {route.shown_path}"


def at(route: Route, identifier: str) -> str:
    """The route's path with this name in it."""
    return re.sub(r"{\w+}", identifier, route.shown_path)


def body_for(route: Route, ids: Mapping[str, str]) -> Any:
    """What the route takes, as its example, with these ids in it."""
    if route.body is None:
        return None
    body = example_of(route.body)
    return body | {name: ids[kind] for name, kind in IN_BODY.get(label(route), {}).items()}


def requests_with(ids: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """(method, path, body) of every route that names somebody's thing: one of the kind it wants, and all the others."""
    for route in ROUTES:
        if label(route) in FREE:
            continue
        if label(route) in IN_BODY:
            yield route.method, route.path, body_for(route, ids)
            continue
        kind = next(kind for prefix, kind in NAMED.items() if route.shown_path.startswith(prefix))
        for identifier in (ids[kind], *(other for name, other in ids.items() if name != kind)):
            yield route.method, at(route, identifier), body_for(route, ids)


def test_every_route_is_accounted_for() -> None:
    """Each is known to name something in its path, in its body, or nothing at all."""
    homeless = [
        label(route)
        for route in ROUTES
        if label(route) not in FREE and label(route) not in IN_BODY and not route.shown_path.startswith(tuple(NAMED))
    ]
    unnamed = {
        name
        for route in ROUTES
        if route.body
        for name in route.body.__struct_fields__
        if name.endswith(("_id", "_ids"))
    }
    assert ([], {"payment_id", "endpoint_id", "order_id", "delivery_ids", "channel_txn_id"}) == (homeless, unnamed)


@pytest.fixture(scope="module")
async def ids(api: Api) -> dict[str, str]:
    """One of each kind of thing that a shop can have."""
    payment = await api.a_paid_payment()
    _, refund = await api.call("POST", f"/v1/payments/{payment['id']}/refunds", {"amount_minor": 1}, once="r")
    _, endpoint = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
    await api.a_mismatch()
    (case,) = (await api.call("GET", "/v1/cases"))[1]["items"]
    await api.call("PUT", "/v1/skus/TEA-01-of-ours", {})
    await api.call("POST", "/v1/skus/TEA-01-of-ours/restock", {"quantity": 5}, once="units")
    await api.call("POST", "/v1/participants", {"name": "coupons-of-acm-e", "url": "http://127.0.0.1:9/take"})
    steps = [{"name": "coupon", "participant": "coupons-of-acm-e"}]
    await api.call("POST", "/v1/transaction-tables", {"name": "coupons", "step": steps})
    begin = f"/v1/orders/{payment['order_id']}/transactions"
    _, begun = await api.call("POST", begin, {"table": "coupons"}, once="t")
    broken = await a_break(api.paidup.db, "acme", payment["id"], payment["order_id"])
    waiting = await api.an_open_payment("A-2")
    word = {"channel_txn_id": "4200009999", "reason": "seen there", "amount_minor": 10**9}
    _, asked = await api.call("POST", f"/v1/payments/{waiting['id']}/confirm", word, once="c")
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"nobody's") as answer:
        assert answer.status in (400, 401)
    async with api.paidup.db.session() as tx:
        event = await tx.fetchval("SELECT id FROM events LIMIT 1")
        refused = await tx.fetchval("SELECT id FROM quarantine LIMIT 1")
        brought = bills.Brought(
            shop="acme",
            channel="wechat",
            account="main",
            kind=BillKind.TRADES,
            day=date(2026, 11, 22),
            source="uploaded",
        )
        bill = await bills.keep(tx, brought, io.BytesIO(b"x"), api.paidup.clock.now())
        await tx.execute(
            "INSERT INTO inbox (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body) "
            "VALUES ('cbk001theirs0001', now(), 'acme', 'wechat', 'main', 'k', 'K', '/', '[]', '')"
        )
    return {
        "order": payment["order_id"], "payment": payment["id"], "refund": refund["id"], "case": case["id"],
        "endpoint": endpoint["id"], "break": broken.id, "bill": bill.id, "sku": "TEA-01-of-ours", "event": event,
        "transaction": begun["id"], "participant": "coupons-of-acm-e",
        "approval": asked["approval_id"], "callback": "cbk001theirs0001",
        "refused": refused, "txn": "42-A-1", "number": "A-1",
    }  # fmt: skip


async def whole(api: Api) -> list[list[str]]:
    """Everything that a stranger might want to change."""
    async with api.paidup.db.session() as tx:
        return [sorted(str(tuple(row)) for row in await tx.fetch(f"SELECT * FROM {table}")) for table in TABLES]


async def test_no_route_opens_to_another_shops_key(api: Api, ids: dict[str, str]) -> None:
    """Every route, with every id of the first shop, under a key of the second that may do everything: 404, and no row
    has changed."""
    stranger = await api.a_key(*SHOPS_OWN, shop="other1")
    before = await whole(api)
    for n, (method, path, body) in enumerate(requests_with(ids)):
        status, problem = await api.call(method, path, body, key=stranger, once=f"s{n}" if method == "POST" else None)
        assert (404, "urn:paidup:problem:not-found") == (status, problem["type"]), (method, path, problem)
        assert "acme" not in str(problem), problem
    assert before == await whole(api)


async def test_what_is_not_there_and_what_is_not_yours_look_alike(api: Api, ids: dict[str, str]) -> None:
    """The answer about a foreign thing differs from that about nothing in the id alone: nobody learns what exists."""
    stranger = await api.a_key(*SHOPS_OWN, shop="other2")
    nothing = {name: identifier[:-3] + "zzz" for name, identifier in ids.items()}
    pairs = zip(requests_with(ids), requests_with(nothing), strict=True)
    for n, ((method, theirs, body), (_, absent, no_body)) in enumerate(pairs):
        shown = []
        for path, sent in ((theirs, body), (absent, no_body)):
            told = await api.call(method, path, sent, key=stranger, once=f"{path}{n}" if method == "POST" else None)
            shown.append(without(str(told), [*ids.values(), *nothing.values()]))
        assert shown[0] == shown[1], (theirs, absent)


def without(text: str, words: list[str]) -> str:
    for word in words:
        text = text.replace(word, "…")
    return text


async def test_lists_show_a_shop_its_own(api: Api, ids: dict[str, str]) -> None:
    """Whatever a list is asked for: nothing of the other shop is in it."""
    stranger = await api.a_key(*SHOPS_OWN, shop="other3")
    await api.call("POST", "/v1/orders", ORDER, key=stranger)
    asked = {"string": "A-1", "boolean": "true", "integer": "200"}
    for route in (route for route in ROUTES if label(route) in FREE and route.method == "GET"):
        for query in ["", *(f"?{query.name}={asked[query.kind]}" for query in route.query)]:
            status, got = await api.call("GET", route.path + query, key=stranger)
            seen = [identifier for identifier in ids.values() if identifier in str(got) and identifier != "A-1"]
            allowed = (403,) if route.scope is Scope.OWNER else (200, 422)
            assert (True, []) == (status in allowed, seen), (route.path, query)


async def test_another_shops_channel_account_does_not_exist(api: Api) -> None:
    """To a shop's key, the accounts of others are nowhere: not to be used, not to be named, not to be guessed."""
    stranger = await api.a_key(*SHOPS_OWN, shop="other4")
    _, order = await api.call("POST", "/v1/orders", ORDER, key=stranger)
    told = []
    for account in ("main", "nobody"):
        offer = {"channel": "wechat", "account": account}
        registered = ORDER | offer | {"merchant_ref": "X-1"}
        for path, body in (
            (f"/v1/orders/{order['id']}/payments", offer), ("/v1/payments/register", registered),
            (f"/v1/accounts/wechat/{account}/check", None),
        ):  # fmt: skip
            status, problem = await api.call("POST", path, body, key=stranger, once=f"{account}{len(path)}")
            told.append((status, problem["detail"].replace(account, "…")))
    assert {(404, "shop other4 has no channel account wechat/…; it has: none")} == set(told)


async def test_a_key_does_what_its_scope_says_and_nothing_else(api: Api, ids: dict[str, str]) -> None:
    """A key of one scope is refused with 403 on every route of another, and on none of its own."""
    for scope in Scope:
        key = await api.a_key(scope)
        for n, route in enumerate(ROUTES):
            path = at(route, "nothing")
            status, _ = await api.call(route.method, path, body_for(route, ids), key=key, once=f"{scope}{n}")
            assert (route.scope != scope) == (status == 403), (scope, label(route), status)


async def test_a_revoked_key_is_refused_on_every_route(api: Api, ids: dict[str, str]) -> None:
    """Though it was in use a moment ago."""
    key = await api.a_key()
    assert 200 == (await api.call("GET", "/v1/orders", key=key))[0]
    async with api.paidup.db.transaction() as tx:
        row = await tx.fetchrow("SELECT id FROM api_keys WHERE key_hash = $1", shops.key_hash(key))
        assert row is not None
        await shops.revoke_key(tx, row["id"], api.paidup.clock.now())
    before = await whole(api)
    got = {
        (await api.call(route.method, at(route, ids["order"]), body_for(route, ids), key=key))[0] for route in ROUTES
    }
    assert ({401}, before) == (got, await whole(api))


async def test_nearly_the_key_is_not_the_key(api: Api) -> None:
    """One character less, more or other, another case, or the hash instead of the key: 401."""
    key = api.key
    others = [
        key[:-1],
        f"{key}A",
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key.upper(),
        key[3:],
        f"pk_{shops.key_hash(key).hex()}",
    ]
    assert [401] * len(others) == [(await api.call("GET", "/v1/orders", key=other))[0] for other in others]


def test_examples_can_be_read() -> None:
    """The bodies sent above are ones that the server takes, or the claims would hold for the wrong reason."""
    for route in (route for route in ROUTES if route.body):
        assert msgspec.convert(example_of(route.body), route.body)
