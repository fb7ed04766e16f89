"""A walk over the whole API by its own document: whatever is sent, the answer is one that the document promises."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from mutants import NASTY_TEXTS, tries
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.generation import GenerationMode

from api_side import Api
from paidup.web.api import ROUTES
from paidup.web.openapi import document
from paidup.web.problem import MEDIA_TYPE, TYPES, Problem

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance,
]  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(msgspec.to_builtins(document(ROUTES)))
OPERATIONS = {operation.ok().label: operation.ok() for operation in SCHEMA.get_all_operations()}


def must_be_a_problem(answer: Any) -> None:
    """Every error is problem details of a known type, under its own status, and says something."""
    problem = msgspec.json.decode(answer.content, type=Problem)
    kind = problem.type.removeprefix("urn:paidup:problem:")
    assert ([MEDIA_TYPE], answer.status_code) == (answer.headers["content-type"], problem.status)
    assert kind in TYPES
    assert problem.title
    assert 0 < len(problem.detail) <= 1000


async def known_ids(api: Api) -> list[str]:
    """One of each kind of thing there is, so that the walk gets behind the doors."""
    payment = await api.a_paid_payment()
    await api.call("POST", f"/v1/payments/{payment['id']}/refunds", {"amount_minor": 1}, once="r")
    waiting = await api.an_open_payment("A-2")
    await api.a_mismatch()
    endpoint = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
    async with api.paidup.db.session() as tx:
        rows = [await tx.fetch(f"SELECT id FROM {table}") for table in ("refunds", "cases", "events")]
    ids = [str(row["id"]) for some in rows for row in some]
    return [payment["id"], payment["order_id"], waiting["id"], waiting["order_id"], endpoint[1]["id"], *ids, "A-1"]


class Walk:
    """Sends cases and judges the answers."""

    def __init__(self, api: Api, ids: list[str]) -> None:
        self._url = api.url
        self._ids = ids
        self._session = requests.Session()
        self._headers = {"authorization": f"Bearer {api.key}"}

    def close(self) -> None:
        self._session.close()

    def __call__(self, case: Case, data: st.DataObject, *checks: Any) -> None:
        if case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["id"] = data.draw(st.sampled_from(self._ids))
        if isinstance(case.body, dict) and data.draw(st.booleans()):
            case.body.update(self._sensible(case.body, data))
        answer = case.call(self._url, session=self._session, headers=self._headers, timeout=20)
        if answer.status_code >= 400:
            must_be_a_problem(answer)
        case.validate_response(answer, checks=[*CHECKS, *checks])

    def _sensible(self, body: Mapping[str, Any], data: st.DataObject) -> dict[str, Any]:
        """Values that mean something here, for some of the fields: a known channel, a known payment, hostile texts."""
        means = {
            "channel": st.sampled_from(("wechat", "alipay", "stripe")),
            "account": st.just("main"),
            "method": st.sampled_from(("", "native", "jsapi", "page", "checkout", "h5")),
            "currency": st.sampled_from(("CNY", "USD", "JPY", "KWD")),
            "payment_id": st.sampled_from(self._ids),
            "endpoint_id": st.sampled_from(self._ids),
            "description": st.sampled_from(NASTY_TEXTS),
            "shop_order_no": st.sampled_from(NASTY_TEXTS),
            "reason": st.sampled_from(NASTY_TEXTS),
            "amount_minor": st.sampled_from((1, 1250, 10**15)),
        }
        return {name: data.draw(means[name]) for name in means if name in body}


@pytest.mark.fuzz
async def test_every_operation_answers_as_the_document_says(api: Api) -> None:
    """Right and wrong requests: no 5xx, bodies of the promised shapes, and every error is a problem."""
    walk = Walk(api, await known_ids(api))

    def claim() -> None:
        for operation in OPERATIONS.values():
            for mode in GenerationMode:

                @tries(10)
                @given(operation.as_strategy(generation_mode=mode), st.data())
                def holds(case: Case, data: st.DataObject) -> None:
                    walk(case, data)

                holds()

    await asyncio.to_thread(claim)
    walk.close()
