"""What strangers and mistakes send: refused with problem details, never with an inside view, and never half done."""

import json
from typing import Any

import aiohttp

from api_side import ORDER, Api
from kept import count
from paidup.db.transaction import Tx
from paidup.outbox.store import Written
from paidup.shops import store as shops
from paidup.web.body import MAX_BODY_BYTES

NUL = "tea\x00"


UNHOLDABLE: tuple[tuple[str, Any], ...] = (
    ("/v1/orders", ORDER | {"description": NUL}),
    ("/v1/orders", ORDER | {"shop_order_no": NUL}),
    ("/v1/orders/{order}/payments", {"channel": "wechat", "method": NUL}),
    ("/v1/orders/{order}/payments", {"channel": "wechat", "extra": {"openid": NUL}}),
    ("/v1/orders/{order}/payments", {"channel": "wechat", "extra": {NUL: "1"}}),
    ("/v1/orders/{order}/payments", {"channel": "wechat", "extra": {str(n): "" for n in range(21)}}),
    ("/v1/orders/{order}/payments", {"channel": NUL}),
    ("/v1/orders/{order}/payments/register", {"channel": "wechat", "merchant_ref": NUL}),
    ("/v1/orders/{order}/payments/register", {"channel": "wechat", "merchant_ref": "1", "channel_txn_id": NUL}),
    ("/v1/orders/{order}/close", {"reason": NUL}),
    ("/v1/cases/cas1/resolve", {"resolution": f"done {NUL}"}),
    ("/v1/endpoints", {"url": "https://a.example/\x00"}),
    ("/v1/endpoints", {"url": "https://a.example/", "types": [NUL]}),
    ("/v1/endpoints", {"url": "https://a.example/", "types": []}),
    ("/v1/deliveries/redrive", {"delivery_ids": [0]}),
    ("/v1/deliveries/redrive", {"delivery_ids": [2**64]}),
    ("/v1/deliveries/redrive", {"delivery_ids": [1], "endpoint_id": "ept1"}),
    ("/v1/deliveries/redrive", {}),
    ("/v1/endpoints/ept1/enable", {"now": True}),
    ("/v1/evidence", {"payment_id": NUL}),
)


async def test_what_the_database_cannot_hold_never_gets_there(api: Api) -> None:
    """NULs, huge numbers, too many fields: 422 that names the field, not a failure of the database."""
    order_id = await api.an_order()
    for n, (path, body) in enumerate(UNHOLDABLE):
        status, problem = await api.call("POST", path.replace("{order}", order_id), body, once=f"k{n}")
        assert (422, "urn:paidup:problem:invalid-request") == (status, problem["type"]), (path, body, problem)


STRANGE_IDS = ("%00", "a%00b", "x" * 256, "%0a", "%F0%9F%92%B0", "'%20OR%201=1--", "..%2F..%2F")
PATHS = ("orders/{}", "payments/{}", "payments/{}/status", "refunds/{}", "trace/{}", "endpoints/{}/dead-letters")


async def test_a_strange_id_is_not_found(api: Api) -> None:
    """Whatever stands in the path, nobody has such an id: 404, also where a slash makes it another path."""
    for path in (path.format(identifier) for identifier in STRANGE_IDS for path in PATHS):
        url = aiohttp.client.URL(f"{api.url}/v1/{path}", encoded=True)
        async with api.session.get(url, headers={"authorization": f"Bearer {api.key}"}) as answer:
            assert (404, "application/problem+json") == (answer.status, answer.content_type), path


QUERIES = (
    ("limt=5", "unknown query parameter 'limt'"),
    ("limit=5&limit=6", "given twice"),
    ("limit=0", "from 1 to 200"),
    ("limit=201", "from 1 to 200"),
    ("limit=-1", "from 1 to 200"),
    ("limit=5.0", "from 1 to 200"),
    ("limit=%D9%A3", "from 1 to 200"),
    ("limit=1000000000000000000000", "from 1 to 200"),
    ("limit=0000019999", "from 1 to 200"),
    ("limit=000001" + "9" * 30, "from 1 to 200"),
    ("before=%00", "printable"),
    ("before=" + "x" * 256, "at most 255"),
)


async def test_a_query_is_bounded_and_known(api: Api) -> None:
    """A misspelt parameter would be silently without effect, so it is refused."""
    for query, says in QUERIES:
        status, problem = await api.call("GET", f"/v1/orders?{query}")
        assert (422, True) == (status, says in problem["detail"]), (query, problem)


async def test_a_number_that_no_table_holds_is_no_cursor(api: Api) -> None:
    """Of movements and of dead letters, however many noughts stand before it."""
    await api.call("PUT", "/v1/skus/tea", {"name": "tea"})
    _, endpoint = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
    for path in ("skus/tea/movements?before=", f"endpoints/{endpoint['id']}/dead-letters?after="):
        for number in ("0" * 20 + "9" * 40, "9" * 19, "-1", "%D9%A3", ""):
            status, problem = await api.call("GET", f"/v1/{path}{number}")
            assert (422, True) == (status, "`next` of an earlier page" in problem["detail"]), (path, number, problem)


CURSORS = ("x", "2026-11-23", "2026-11-23T08:00:00_evt1", "_", "9999999999_evt1", "_evt1")


async def test_an_invented_cursor_is_refused(api: Api) -> None:
    """`after` takes what an earlier page gave, and nothing that looks a bit like it."""
    for cursor in CURSORS:
        status, problem = await api.call("GET", f"/v1/events?after={cursor}")
        assert (422, True) == (status, "`next` of an earlier page" in problem["detail"]), (cursor, problem)


async def test_a_body_is_bounded_before_it_is_read_whole(api: Api) -> None:
    """Also one that does not say how long it is; and no stranger gets that far."""

    async def endless() -> Any:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    got = []
    for key in (api.key, "pk_stranger"):
        headers = {"authorization": f"Bearer {key}"}
        async with api.session.post(f"{api.url}/v1/orders", data=endless(), headers=headers) as answer:
            got.append(answer.status)
    assert [413, 401] == got


ADDRESSES = (
    ("GET", "/", 404, "no-such-route"),
    ("GET", "/v1/nothing", 404, "no-such-route"),
    ("GET", "/v2/orders", 404, "no-such-route"),
    ("DELETE", "/v1/orders", 405, "method-not-allowed"),
    ("PUT", "/v1/payments/pay1", 405, "method-not-allowed"),
)


async def test_an_unknown_address_is_answered_like_every_error(api: Api) -> None:
    """Problem details, too, for paths and methods that do not exist."""
    for method, path, status, name in ADDRESSES:
        got, problem = await api.call(method, path)
        assert (status, f"urn:paidup:problem:{name}") == (got, problem["type"]), path


NO_KEYS = ("", "Bearer", "Bearer ", "Basic cGs6", "pk_x", "Bearer " + "x" * 201, "Bearer pk_x pk_y", "Bearer \u00e9")


async def test_whoever_has_no_key_is_told_how_to_send_one(api: Api) -> None:
    """401 with WWW-Authenticate, whatever the header holds."""
    for header in NO_KEYS:
        async with api.session.get(f"{api.url}/v1/orders", headers={"authorization": header}) as answer:
            problem = await answer.json(content_type=None)
        challenge = answer.headers.get("www-authenticate")
        assert (401, "Bearer", "urn:paidup:problem:unauthorized") == (answer.status, challenge, problem["type"]), header


async def test_no_origin_is_allowed(api: Api) -> None:
    """Keys belong on servers: a browser on another site gets no permission to read an answer."""
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with api.session.options(f"{api.url}/v1/orders", headers=headers) as answer:
        assert (405, None) == (answer.status, answer.headers.get("access-control-allow-origin"))


async def test_nothing_of_another_shop_can_be_touched(api: Api) -> None:
    """A foreign id is 404 on every path, and nothing has moved afterwards."""
    payment = await api.a_paid_payment()
    _, refund = await api.call("POST", f"/v1/payments/{payment['id']}/refunds", {"amount_minor": 1}, once="r")
    _, endpoint = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
    await api.a_mismatch()
    (case,) = (await api.call("GET", "/v1/cases"))[1]["items"]
    before = await whole(api)
    stranger = await api.a_key(shop="other")
    order, pay, end = f"/v1/orders/{payment['order_id']}", f"/v1/payments/{payment['id']}", endpoint["id"]
    word = {"payment_id": payment["id"], "channel_txn_id": "471100", "currency": "CNY", "reason": "mine now"}
    requests: list[tuple[str, str, Any]] = [
        ("GET", order, None),
        ("POST", f"{order}/close", {}),
        ("POST", f"{order}/payments/register", {"channel": "wechat", "merchant_ref": "X-1"}),
        ("POST", f"{order}/payments", {"channel": "wechat"}),
        ("GET", pay, None),
        ("GET", f"{pay}/status", None),
        ("POST", f"{pay}/refunds", {}),
        ("GET", f"/v1/refunds/{refund['id']}", None),
        ("POST", "/v1/evidence", word | {"amount_minor": 1250}),
        ("POST", f"/v1/cases/{case['id']}/resolve", {"resolution": "mine now"}),
        *(("POST", f"/v1/endpoints/{end}/{deed}", None) for deed in ("enable", "disable", "rotate", "retire")),
        ("GET", f"/v1/endpoints/{end}/dead-letters", None),
        ("POST", "/v1/deliveries/redrive", {"endpoint_id": end}),
        *(("GET", f"/v1/trace/{one}", None) for one in (payment["id"], "A-1", case["id"], refund["id"])),
    ]
    for n, (method, path, body) in enumerate(requests):
        status, problem = await api.call(method, path, body, key=stranger, once=f"s{n}" if method == "POST" else None)
        assert (404, "urn:paidup:problem:not-found") == (status, problem["type"]), (path, problem)
    lists = [
        (await api.call("GET", path, key=stranger))[1]["items"] for path in ("/v1/orders", "/v1/cases", "/v1/endpoints")
    ]
    assert ([[], [], []], before) == (lists, await whole(api))


async def whole(api: Api) -> list[list[tuple[Any, ...]]]:
    """Everything that a stranger might want to change."""
    tables = ("orders", "payments", "refunds", "cases", "endpoints", "events")
    async with api.paidup.db.session() as tx:
        return [[tuple(row) for row in await tx.fetch(f"SELECT * FROM {table} ORDER BY id")] for table in tables]


async def test_two_shops_may_number_their_orders_alike(api: Api) -> None:
    """Each finds its own by the number, also in the trace."""
    stranger = await api.a_key(shop="other")
    mine, theirs = [(await api.call("POST", "/v1/orders", ORDER, key=key))[1]["id"] for key in (api.key, stranger)]
    found = [(await api.call("GET", "/v1/trace/A-1", key=key))[1]["order"]["id"] for key in (api.key, stranger)]
    listed = [
        (await api.call("GET", "/v1/orders?shop_order_no=A-1", key=key))[1]["items"][0]["id"]
        for key in (api.key, stranger)
    ]
    assert ([mine, theirs], [mine, theirs]) == (found, listed)


async def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    """Also by a process that has just seen it in use."""
    fresh = await api.a_key()
    before, _ = await api.call("GET", "/v1/orders", key=fresh)
    async with api.paidup.db.transaction() as tx:
        row = await tx.fetchrow("SELECT id FROM api_keys WHERE key_hash = $1", shops.key_hash(fresh))
        assert row is not None
        assert await shops.revoke_key(tx, row["id"], api.paidup.clock.now())
    after, _ = await api.call("GET", "/v1/orders", key=fresh)
    assert (200, 401) == (before, after)


async def test_the_channels_number_proves_one_payment_only(api: Api) -> None:
    """The same transaction id for a second order is a conflict, and the second order stays unpaid."""
    first, second = await api.an_open_payment("A-1"), await api.an_open_payment("A-2")
    paid, _ = await api.testify(first, "42000001")
    status, problem = await api.testify(second, "42000001")
    _, order = await api.call("GET", f"/v1/orders/{second['order_id']}")
    assert (200, 409, True, "unpaid") == (
        paid, status, "proves another payment already" in problem["detail"], order["state"],
    )  # fmt: skip


async def test_a_handler_that_fails_undoes_the_payment_with_it(api: Api) -> None:
    """500 without a word of what went wrong inside; nothing is half done, and the repeat is done whole."""
    failing = [True]

    @api.paidup.on("order.paid")
    async def ship(tx: Tx, event: Written) -> None:
        await tx.execute("CREATE TABLE IF NOT EXISTS shipments (order_id text PRIMARY KEY)")
        await tx.execute("INSERT INTO shipments VALUES ($1)", event.order_id)
        if failing:
            raise ValueError("secret of the shop")

    payment = await api.an_open_payment()
    status, problem = await api.testify(payment)
    _, meanwhile = await api.call("GET", f"/v1/payments/{payment['id']}")
    failing.clear()
    again, _ = await api.testify(payment)
    assert (500, "urn:paidup:problem:our-error", "open", 200) == (status, problem["type"], meanwhile["state"], again)
    assert ("secret" in json.dumps(problem), 1) == (False, await count(api.paidup.db, "shipments"))


async def test_without_its_database_it_lives_and_is_not_ready(api: Api) -> None:
    """/healthz says alive, so nobody restarts it for that; /readyz and the API say 503 and when to come back."""
    await api.paidup.db.close()
    got = {}
    for path in ("/healthz", "/readyz", "/v1/orders"):
        async with api.session.get(api.url + path, headers={"authorization": f"Bearer {api.key}"}) as answer:
            got[path] = (answer.status, answer.headers.get("retry-after"))
    assert {"/healthz": (200, None), "/readyz": (503, "2"), "/v1/orders": (503, "2")} == got


async def test_an_older_schema_is_not_ready(api: Api) -> None:
    """A process that was started before a migration of its own does not take traffic."""
    async with api.paidup.db.transaction() as tx:
        await tx.execute("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
    async with api.session.get(f"{api.url}/readyz") as answer:
        told = await answer.json()
    assert (503, False, True) == (answer.status, told["ready"], "paidup db migrate" in told["reasons"][0])
