"""Errors as problem details, and bodies that are refused with a pointer to the field. No server is needed for it."""

import asyncio
import json

import asyncpg
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from paidup.errors import (
    BrokenPromise,
    CallbackRefused,
    ChannelError,
    ConfigError,
    Conflict,
    InvalidRequest,
    NotAllowed,
    NotFound,
    OutOfStock,
    Overloaded,
    TooSoon,
    Verdict,
)
from paidup.web import shapes, told_shapes
from paidup.web.body import decode
from paidup.web.problem import (
    CAUGHT,
    HANDLERS,
    MAX_DETAIL_CHARS,
    TYPES,
    Busy,
    Flawed,
    NotJson,
    TooLarge,
    Unauthorized,
    answer,
    problem_of,
)
from paidup.web.transactions import BeginTransaction

ORDER = {"shop_order_no": "A-1", "amount_minor": 1250, "currency": "CNY"}

STATUS = [
    (Unauthorized("no key"), 401, "unauthorized"),
    (NotAllowed("no scope"), 403, "forbidden"),
    (NotFound("no order"), 404, "not-found"),
    (Busy("still running"), 409, "in-progress"),
    (OutOfStock("TEA-01", 3, 1), 409, "out-of-stock"),
    (Conflict("another amount"), 409, "conflict"),
    (TooLarge("70 KiB"), 413, "too-large"),
    (NotJson("no JSON"), 400, "malformed-json"),
    (InvalidRequest("no number"), 422, "invalid-request"),
    (CallbackRefused(Verdict.MALFORMED, "no body"), 400, "bad-request"),
    (ChannelError("it hung up"), 502, "channel-failed"),
    (Overloaded("4096 wait"), 503, "overloaded"),
    (TooSoon("asked a moment ago"), 429, "too-soon"),
    (ConnectionRefusedError("db:5432"), 503, "database-away"),
    (TimeoutError("30 s"), 503, "database-away"),
    (asyncpg.InterfaceError("the pool is closed"), 503, "database-away"),
    (asyncpg.InternalClientError("cannot switch to state 15"), 503, "database-away"),
    (asyncpg.TargetServerAttributeNotMatched("read-write"), 503, "database-away"),
    (asyncpg.CannotConnectNowError("it starts"), 503, "database-away"),
    (asyncpg.InvalidPasswordError("password authentication failed"), 503, "database-away"),
    (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), 503, "database-away"),
    (asyncpg.TooManyConnectionsError("100"), 503, "database-away"),
    (asyncpg.DeadlockDetectedError("process 4711 waits"), 503, "database-away"),
    (asyncpg.UniqueViolationError("payments_pkey"), 500, "our-error"),
    (BrokenPromise("2 of 3 payments"), 500, "our-error"),
    (ConfigError("a key"), 500, "our-error"),
    (KeyError("a defect"), 500, "our-error"),
]


@pytest.mark.parametrize(("error", "status", "name"), STATUS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_status_and_its_stable_name(error: Exception, status: int, name: str) -> None:
    """Whose fault it is can be told by a machine: by the status, and by a name that stays."""
    problem = problem_of(error)
    assert (status, f"urn:paidup:problem:{name}") == (problem.status, problem.type)


def test_every_name_that_is_given_out_is_listed() -> None:
    """TYPES is what documents and clients may rely on."""
    assert {name for _, _, name in STATUS} | {"no-such-route", "method-not-allowed"} == set(TYPES)


@pytest.mark.parametrize("error", [error for error, status, _ in STATUS if status in (500, 503)])
def test_what_happened_inside_stays_inside(error: Exception) -> None:
    """Names of tables, hosts and keys stand in our log and nowhere else."""
    assert str(error) not in answer(problem_of(error)).body.decode()


@pytest.mark.parametrize("error", [error for error, status, _ in STATUS if status < 500 or status == 502])
def test_the_sender_is_told_what_is_wrong(error: Exception) -> None:
    """Of their own mistakes, and of the channel's, people read the reason."""
    assert str(error) == problem_of(error).detail


def test_a_detail_is_bounded() -> None:
    """Whatever an error says, the answer stays short."""
    assert MAX_DETAIL_CHARS == len(problem_of(Conflict("x" * 70_000)).detail)


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (Unauthorized("no key"), "www-authenticate", "Bearer"),
        (Busy("running"), "retry-after", "2"),
        (Conflict("no"), "retry-after", None),
        (Overloaded("full"), "retry-after", "2"),
        (TooSoon("a moment ago"), "retry-after", "3"),
        (OSError("away"), "retry-after", "2"),
    ],
)
def test_the_answer_carries_the_header_that_clients_act_on(error: Exception, header: str, value: str | None) -> None:
    """Retry-After where trying again helps, WWW-Authenticate where a key is missing."""
    assert value == answer(problem_of(error)).headers.get(header)


def test_an_answer_is_problem_json_that_nobody_caches_or_frames() -> None:
    """The media type of RFC 9457, and headers for the browsers of curious people."""
    response = answer(problem_of(NotFound("no order")))
    assert ("application/problem+json", "no-store", "nosniff") == (
        response.headers["content-type"],
        response.headers["cache-control"],
        response.headers["x-content-type-options"],
    )
    assert {"type", "title", "status", "detail"} == json.loads(response.body).keys()


@pytest.mark.parametrize(("status", "name"), [(404, "no-such-route"), (405, "method-not-allowed")])
def test_an_unknown_address_is_a_problem_too(status: int, name: str) -> None:
    """The framework's own refusals speak the same language, and say where the addresses stand."""
    request = Request({"type": "http", "method": "GET", "path": "/nowhere", "headers": []})
    response = asyncio.run(HANDLERS[HTTPException](request, HTTPException(status)))
    problem = json.loads(response.body)
    assert (status, f"urn:paidup:problem:{name}", True) == (
        response.status_code, problem["type"], "/openapi.json" in problem["detail"],
    )  # fmt: skip


def test_whoever_opens_the_address_in_a_browser_is_told_where_the_pages_are() -> None:
    """The log names the port alone, and there is nothing at its root."""
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
    response = asyncio.run(HANDLERS[HTTPException](request, HTTPException(404)))
    assert "/console/ and /docs" in json.loads(response.body)["detail"]


def test_all_that_is_answered_for_good_has_a_handler() -> None:
    """And so has everything else: a defect is answered with 500 before it reaches the server's log."""
    assert {*CAUGHT, Exception} <= HANDLERS.keys()


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"amount_minor": 12.5}, "#/amount_minor", "12.50 CNY is 1250"),
        ({"amount_minor": 1250.0}, "#/amount_minor", "12.50 CNY is 1250"),
        ({"amount_minor": "1250"}, "#/amount_minor", "12.50 CNY is 1250"),
        ({"amount_minor": True}, "#/amount_minor", "12.50 CNY is 1250"),
        ({"amount_minor": 0}, "#/amount_minor", ">= 1"),
        ({"amount_minor": 10**15 + 1}, "#/amount_minor", "<= 1000000000000000"),
        ({"currency": "cny"}, "#/currency", "[A-Z]{3}"),
        ({"shop_order_no": ""}, "#/shop_order_no", "length >= 1"),
        ({"shop_order_no": "x" * 65}, "#/shop_order_no", "length <= 64"),
        ({"shop_order_no": "A\x00"}, "#/shop_order_no", "matching regex"),
        ({"description": "tea\x00"}, "#/description", "matching regex"),
        ({"expires_in_s": 59}, "#/expires_in_s", ">= 60"),
        ({"shop_order_nr": "A-1"}, "#/shop_order_nr", "did you mean `shop_order_no`?"),
        ({"a/b~c": 1}, "#/a~1b~0c", "unknown field"),
    ],
)
def test_a_flaw_points_at_its_field(change: dict[str, object], pointer: str, says: str) -> None:
    """A JSON pointer for programs, a sentence for people."""
    body = json.dumps(ORDER | change).encode()
    with pytest.raises(Flawed) as refused:
        decode(body, shapes.PlaceOrder)
    (flaw,) = refused.value.flaws
    assert (pointer, True, True) == (flaw.pointer, says in flaw.detail, says in str(refused.value))


@pytest.mark.parametrize(
    ("shape", "body", "pointer"),
    [
        (shapes.PlaceOrder, {}, "#/shop_order_no"),
        (told_shapes.AddEndpoint, {"url": "https://a.example", "types": ["order.paid", 1]}, "#/types/1"),
        (shapes.OpenPayment, {"channel": "wechat", "extra": {"openid": 1}}, "#/extra"),
        (shapes.OpenPayment, {"channel": "wechat", "extra": {"a\x00": "1"}}, "#/extra"),
        (shapes.OpenPayment, [], "#"),
        (told_shapes.Redrive, {"delivery_ids": [1, 2**63]}, "#/delivery_ids/1"),
    ],
)
def test_a_flaw_within_a_field_points_as_deep_as_is_known(shape: type, body: object, pointer: str) -> None:
    """Missing fields, items of lists, values of maps, and a body that is no object at all."""
    with pytest.raises(Flawed) as refused:
        decode(json.dumps(body).encode(), shape)
    assert [pointer] == [flaw.pointer for flaw in refused.value.flaws]


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"reason": "\xff"}', b'{"reason": "\\ud800"}', b"{}}", b"nil"])
def test_what_is_no_json_is_refused_as_such(raw: bytes) -> None:
    """Broken JSON, broken UTF-8, half of a surrogate pair: the sender's mistake, never our defect."""
    with pytest.raises(NotJson, match="one JSON object in UTF-8"):
        decode(raw, shapes.CloseOrder)


def test_no_body_is_an_empty_object() -> None:
    """Operations that need no field can be called without a body."""
    assert shapes.CloseOrder() == decode(b"", shapes.CloseOrder)


def test_a_body_that_is_nested_without_end_is_refused() -> None:
    """However deep, it is the sender's mistake and not ours."""
    raw = b'{"table": "checkout", "data": {"coupon": ' + b"[" * 100_000
    with pytest.raises(NotJson, match="nested too deeply"):
        decode(raw, BeginTransaction)
