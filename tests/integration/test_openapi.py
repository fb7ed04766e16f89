"""The OpenAPI document and the page beside it: both are made from the table of routes, and true of the server."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from api_side import Api
from paidup.web.api import ROUTES
from paidup.web.docs_page import page
from paidup.web.examples import EXAMPLES, example_of
from paidup.web.openapi import document
from paidup.web.route import Route

SHAPES = list(dict.fromkeys(shape for route in ROUTES for shape in (route.body, route.gives) if shape))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document(ROUTES)["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_it_names_every_operation_once() -> None:
    """As many as there are routes, each under a name of its own that can be a function's name."""
    names = [operation["operationId"] for _, _, operation in operations()]
    assert (len(ROUTES), len(ROUTES), True) == (len(names), len(set(names)), all(map(str.isidentifier, names)))


def test_every_reference_points_at_a_schema() -> None:
    """Nothing is referred to that is not there, and nothing is there that is not referred to."""
    made = document(ROUTES)
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(made)))
    assert made["components"]["schemas"].keys() == referred


def test_the_parameters_of_a_path_are_declared() -> None:
    """What stands in braces is a required path parameter, and nothing else is."""
    for _, path, operation in operations():
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path" and p["required"]}
        assert set(re.findall(r"{(\w+)}", path)) == in_path


def test_only_what_moves_money_requires_an_idempotency_key() -> None:
    """What is done with money, or with what others hold for an order; other POSTs may bring one, but for a
    file, which is itself the second time; GETs never."""
    required, optional = set(), set()
    for method, path, operation in operations():
        for parameter in operation["parameters"]:
            if parameter["name"] == "Idempotency-Key":
                (required if parameter["required"] else optional).add((method, path))
    money = {"/v1/orders/{id}/payments", "/v1/orders/{id}/close", "/v1/payments/{id}/refunds", "/v1/evidence"}
    money |= {"/v1/skus/{sku}/restock", "/v1/skus/{sku}/adjust"}
    money |= {"/v1/orders/{id}/transactions", "/v1/payments/{id}/confirm", "/v1/payments/{id}/refund-by-hand"}
    plain = [route for route in ROUTES if not route.form]
    posts = {("post", route.shown_path) for route in plain if route.method == "POST"}
    assert ({("post", path) for path in money}, posts) == (required, required | optional)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_example_is_what_the_server_takes_and_gives(shape: type[msgspec.Struct]) -> None:
    """Each example can be read as its own shape, so nobody copies one that is refused."""
    assert EXAMPLES[shape] == msgspec.json.decode(json.dumps(example_of(shape)), type=shape)


def test_no_example_is_left_over() -> None:
    """Beside the shapes of the routes there is one of the problem."""
    assert {*SHAPES} == EXAMPLES.keys() - {type(p) for p in EXAMPLES.values() if type(p).__name__ == "Problem"}


def test_the_server_is_where_it_is_mounted() -> None:
    """An application that mounts Paidup elsewhere gets a document whose addresses are right."""
    assert ["/", "/paidup"] == [document(ROUTES, root)["servers"][0]["url"] for root in ("", "/paidup")]


def test_the_page_shows_every_operation_and_loads_nothing() -> None:
    """It can be read behind a wall: no script, no address of somebody else but the examples' own."""
    text = page(ROUTES)
    titles = [re.sub(r"<[^>]*>", "", title) for title in re.findall(r"<h2>(.*?)</h2>", text)]
    shown = [f"{route.method} {route.shown_path}" in titles for route in ROUTES]
    loads = re.findall(r"<script|<link|<img|<iframe|@import|url\(|src=", text)
    assert (True, []) == (all(shown), loads)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.shown_path}")
def test_what_people_read_is_a_whole_sentence(route: Route) -> None:
    """The summary is the beginning of the docstring, and the description says which scope is needed."""
    operation = document([route])["paths"][route.shown_path][route.method.lower()]
    assert 5 < len(operation["summary"]) <= 120
    assert f"{route.says} Needs the scope `{route.scope}`." == operation["description"]


async def test_document_and_page_are_served_to_everybody(api: Api) -> None:
    """Without a key; with headers that let a browser load nothing from anywhere."""
    async with api.session.get(f"{api.url}/openapi.json") as answer:
        served, json_headers = await answer.json(), answer.headers
    async with api.session.get(f"{api.url}/docs") as answer:
        text, html_headers = await answer.text(), answer.headers
    assert (json.loads(msgspec.json.encode(document(ROUTES))), page(ROUTES)) == (served, text)
    for headers in (json_headers, html_headers):
        assert ("nosniff", True) == (
            headers["x-content-type-options"], headers["content-security-policy"].startswith("default-src 'none'"),
        )  # fmt: skip


async def test_every_operation_is_there_and_asks_for_a_key(api: Api) -> None:
    """Each address of the document answers 401 to a stranger: it exists, and it is guarded."""
    for method, path, _ in operations():
        async with api.session.request(method, api.url + path.replace("{id}", "x")) as answer:
            problem = json.loads(await answer.read())
        assert (401, "urn:paidup:problem:unauthorized") == (answer.status, problem["type"]), (method, path)


async def test_every_operation_asks_for_its_scope(api: Api) -> None:
    """A key with all scopes but one is refused exactly where the document names that one."""
    for scope in sorted({route.scope for route in ROUTES}):
        others = await api.a_key(*({route.scope for route in ROUTES} - {scope}))
        for method, path, operation in operations():
            status, _ = await api.call(method.upper(), path.replace("{id}", "x"), key=others)
            assert (f"scope `{scope}`" in operation["description"]) == (status == 403), (scope, method, path, status)
