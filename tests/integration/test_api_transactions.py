"""Claims about transactions through the API: begun once per key, seen with all that happened, decided by people."""

from typing import Any

from api_side import Api
from paidup.transactions.worker import BATCH, run_once

STEPS = [{"name": "coupon", "participant": "coupons"}]


async def a_transaction(api: Api, key: str = "t1", **table: Any) -> dict[str, Any]:
    """About order A-1; nobody answers where the participant should be."""
    order_id = await api.an_order()
    await api.call("POST", "/v1/participants", {"name": "coupons", "url": "http://127.0.0.1:9/take"})
    await api.call("POST", "/v1/transaction-tables", {"name": "checkout", "step": STEPS} | table)
    body = {"table": "checkout", "data": {"coupon": {"code": "TEA10"}}}
    status, begun = await api.call("POST", f"/v1/orders/{order_id}/transactions", body, once=key)
    assert 201 == status, begun
    return begun


async def test_one_key_begins_one_transaction(api: Api) -> None:
    """The same request again gives the same one; other data under the key is a conflict; another key is another."""
    first, again, other = [(await a_transaction(api, key))["id"] for key in ("t1", "t1", "t2")]
    assert (True, True) == (first == again, first != other)
    path = f"/v1/orders/{(await api.call('GET', f'/v1/transactions/{first}'))[1]['order_id']}/transactions"
    status, problem = await api.call("POST", path, {"table": "checkout", "data": {}}, once="t1")
    assert (409, True) == (status, "fresh key" in problem["detail"])
    _, listed = await api.call("GET", path)
    assert {first, other} == {item["id"] for item in listed["items"]}


async def test_a_participants_secret_is_shown_once(api: Api) -> None:
    """When it is registered, and when it is rotated; never in a list, nor when it moves."""
    body = {"name": "coupons", "url": "http://127.0.0.1:9/take"}
    _, made = await api.call("POST", "/v1/participants", body)
    _, moved = await api.call("POST", "/v1/participants", body | {"url": "http://127.0.0.1:9/other"})
    _, rotated = await api.call("POST", "/v1/participants/coupons/rotate")
    _, retired = await api.call("POST", "/v1/participants/coupons/retire")
    _, listed = await api.call("GET", "/v1/participants")
    shown = [made["secret"], moved["secret"], rotated["secret"], retired["secret"], listed["items"][0]["secret"]]
    assert [True, False, True, False, False] == [secret is not None for secret in shown]
    assert "http://127.0.0.1:9/other" == listed["items"][0]["url"]


async def test_what_makes_no_sense_is_refused_with_what_would_do(api: Api) -> None:
    """A URL on the inside, eleven steps, two pivots, an unknown participant, data for no step."""
    inside, _ = await api.call("POST", "/v1/participants", {"name": "x", "url": "https://10.0.0.7/"})
    many = [{"name": f"s{n}", "participant": "coupons"} for n in range(11)]
    pivots = [{"name": n, "participant": "coupons", "pivot": True} for n in ("a", "b")]
    told = [
        (await api.call("POST", "/v1/transaction-tables", {"name": "t", "step": step}))
        for step in (many, pivots, [{"name": "a", "participant": "nobody"}], [{"name": "a"}])
    ]
    begun = await a_transaction(api)
    path = f"/v1/orders/{begun['order_id']}/transactions"
    unknown = await api.call("POST", path, {"table": "checkout", "data": {"parcel": 1}}, once="t9")
    assert [422] * 6 == [inside, *(status for status, _ in told), unknown[0]]
    assert [True] * 4 == [
        words in problem["detail"]
        for (_, problem), words in zip(
            told, ("10 steps", "one pivot at most", "no participant 'nobody'", "name either"), strict=True
        )
    ]


async def test_a_person_hurries_gives_up_and_cannot_skip_what_is_not_stuck(api: Api) -> None:
    """Each deed is in the record with who and why, and with the key that was used."""
    begun = await a_transaction(api)
    path = f"/v1/transactions/{begun['id']}"
    _, listed = await api.call("GET", "/v1/transactions?state=RUNNING")
    word = {"reason": "the customer called", "who": "lin"}
    retried, _ = await api.call("POST", f"{path}/retry", word)
    skipped, problem = await api.call("POST", f"{path}/skip", word | {"step": "coupon"})
    denied, _ = await api.call("POST", f"{path}/compensate", word | {"not_done": "coupon"})
    undone, after = await api.call("POST", f"{path}/compensate", word)
    assert 409 == denied
    assert ([begun["id"]], 200, 409, 200) == ([t["id"] for t in listed["items"]], retried, skipped, undone)
    assert ("COMPENSATING", True) == (after["state"], "waits for a person" in problem["detail"])
    deeds = [(line["what"].partition(" by ")[0], line["why"]) for line in after["record"] if line["kind"] == "operator"]
    assert [("retry", word["reason"]), ("compensate", word["reason"])] == deeds
    assert {True} == {line["who"].startswith("lin (API key ") for line in after["record"] if line["kind"] == "operator"}


async def test_the_trace_of_an_order_shows_its_transactions(api: Api) -> None:
    """Found by the transaction's id, too; nothing reaches a port where nobody listens, and it says so."""
    begun = await a_transaction(api)
    now = api.paidup.clock.now()
    while await run_once(api.paidup.db, now=now, limit=BATCH, coordinator=api.paidup.coordinator):
        pass
    _, life = await api.call("GET", f"/v1/trace/{begun['id']}")
    said = [moment["what"] for moment in life["moments"] if moment["kind"] == "transaction"]
    assert (begun["order_id"], "checkout RUNNING, begun") == (life["order"]["id"], said[0])
    assert [True] == [
        line.startswith("checkout coupon action: retryable, not sent") for line in said if "action:" in line
    ]
