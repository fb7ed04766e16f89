"""All that the console does by hand, the API does too, under the key's name."""

from datetime import timedelta

from api_side import Api
from paidup import ids
from paidup.intake import quarantine
from paidup.shops.store import Scope


async def test_a_confirmation_waits_for_a_second_key(api: Api) -> None:
    """The channel says that nobody paid: one key asks, another agrees, and neither may do both."""
    payment = await api.an_open_payment()
    word = {"channel_txn_id": "42000019990001", "reason": "seen in the merchant console"}
    path = f"/v1/payments/{payment['id']}/confirm"
    async with api.paidup.db.session() as tx:
        await tx.execute("UPDATE channel_calls SET called_at = called_at - interval '1 minute'")
    status, asked = await api.call("POST", path, word, once="c1")
    assert (200, "waiting") == (status, asked["state"])
    _, listed = await api.call("GET", "/v1/approvals")
    assert [asked["approval_id"]] == [item["id"] for item in listed["items"]]
    agree = f"/v1/approvals/{asked['approval_id']}/approve"
    assert 409 == (await api.call("POST", agree, {"reason": "me again"}))[0]
    other = await api.a_key()
    assert (200, "done") == _state(await api.call("POST", agree, {"reason": "I looked, too"}, key=other))
    assert "paid" == (await api.call("GET", f"/v1/payments/{payment['id']}"))[1]["state"]
    _, audit = await api.call("GET", "/v1/audit")
    done = [deed["action"] for deed in audit["items"]]  # agreeing and what it leads to are of one moment
    assert ({"payment.confirmed", "approval.given"}, ["payment.confirm_asked"]) == (set(done[:2]), done[2:])
    assert {"api"} == {deed["via"] for deed in audit["items"]}


async def test_a_refused_approval_does_nothing(api: Api) -> None:
    """And cannot be agreed to afterwards."""
    payment = await api.an_open_payment()
    word = {"channel_txn_id": "42000019990001", "reason": "seen", "amount_minor": 999_999}
    _, asked = await api.call("POST", f"/v1/payments/{payment['id']}/confirm", word, once="c1")
    other = await api.a_key()
    path = f"/v1/approvals/{asked['approval_id']}"
    assert 200 == (await api.call("POST", f"{path}/refuse", {"reason": "nope"}, key=other))[0]
    assert 409 == (await api.call("POST", f"{path}/approve", {"reason": "after all"}, key=other))[0]
    assert "open" == (await api.call("GET", f"/v1/payments/{payment['id']}"))[1]["state"]


async def test_the_channel_is_asked_on_request(api: Api) -> None:
    """Whatever the state; its answer is applied."""
    payment = await api.an_open_payment()
    await api.buyer_pays(payment)
    async with api.paidup.db.session() as tx:
        await tx.execute("UPDATE channel_calls SET called_at = called_at - interval '1 minute'")
    status, asked = await api.call("POST", f"/v1/payments/{payment['id']}/query")
    assert (200, "paid") == (status, asked["state"])


async def test_search_finds_by_the_end_of_a_number(api: Api) -> None:
    """In the key's own shop only."""
    order_id = await api.an_order("ORDER-778899")
    assert [order_id] == (await api.call("GET", "/v1/search?q=778899"))[1]["order_ids"]
    foreign = await api.a_key(shop="other")
    assert [] == (await api.call("GET", "/v1/search?q=778899", key=foreign))[1]["order_ids"]


async def test_another_shops_things_are_not_there(api: Api) -> None:
    """Approvals, callbacks, quarantine and audit of one shop are nothing to another."""
    payment = await api.an_open_payment()
    word = {"channel_txn_id": "42000019990001", "reason": "seen", "amount_minor": 999_999}
    _, asked = await api.call("POST", f"/v1/payments/{payment['id']}/confirm", word, once="c1")
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"{}") as answer:
        assert answer.status in (400, 401)
    foreign = await api.a_key(*Scope, shop="other")
    agree = f"/v1/approvals/{asked['approval_id']}/approve"
    assert 404 == (await api.call("POST", agree, {"reason": "mine"}, key=foreign))[0]
    for path in ("/v1/approvals", "/v1/quarantine", "/v1/audit"):
        assert [] == (await api.call("GET", path, key=foreign))[1]["items"]
    (kept,) = (await api.call("GET", "/v1/quarantine"))[1]["items"]
    replay = f"/v1/quarantine/{kept['id']}/replay"
    assert 404 == (await api.call("POST", replay, {"reason": "mine"}, key=foreign))[0]
    assert 409 == (await api.call("POST", replay, {"reason": "the key was mended"}))[0]


async def test_a_quarantine_is_not_hidden_by_what_came_for_others(api: Api) -> None:
    """However many callbacks for accounts of others are newer: the shop's own are there, page by page."""
    for _ in range(3):
        async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"{}") as answer:
            assert answer.status in (400, 401)
    _, whole = await api.call("GET", "/v1/quarantine")
    now = api.paidup.clock.now() + timedelta(seconds=1)
    theirs = [
        quarantine.Refused(
            id=ids.new_id("qua", now), received_at=now, channel="wechat", account="others", source="192.0.2.1",
            verdict="invalid_signature", why="x", target="/callbacks/wechat/others", headers="[]", body=b"{}",
        )
        for _ in range(200)
    ]  # fmt: skip
    async with api.paidup.db.transaction() as tx:
        await quarantine.store(tx, theirs)
    own = [item["id"] for item in whole["items"]]
    _, first = await api.call("GET", "/v1/quarantine?limit=2")
    _, rest = await api.call("GET", f"/v1/quarantine?limit=2&before={first['next']}")
    assert (3, own) == (len(own), [item["id"] for item in first["items"] + rest["items"]])
    assert (own[1], None) == (first["next"], rest["next"])


def _state(answer: tuple[int, dict[str, str]]) -> tuple[int, str]:
    return answer[0], answer[1].get("state", str(answer[1]))
