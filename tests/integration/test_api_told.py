"""Whom the shop lets us tell, what could not be told, and what people decide."""

import asyncio
import json
from typing import Any

from click.testing import CliRunner

from api_side import ORDER, Api
from paidup.cli import cli
from paidup.delivery import store as deliveries
from paidup.hand import deeds
from paidup.people.audit import Actor
from paidup.shops.store import Scope

URL = "http://127.0.0.1:9/hear"


async def an_endpoint(api: Api, **more: Any) -> dict[str, Any]:
    status, endpoint = await api.call("POST", "/v1/endpoints", {"url": URL} | more)
    assert 201 == status, endpoint
    return endpoint


async def give_out(api: Api) -> int:
    """The delivery worker's first half: events are given to the endpoints that want them."""
    async with api.paidup.db.transaction() as tx:
        return await deliveries.fan_out(tx, api.paidup.clock.now(), 100)


async def test_an_endpoint_is_disabled_and_enabled_again(api: Api) -> None:
    """By the shop, and it says so."""
    endpoint = await an_endpoint(api, types=["order.paid", "order.paid"])
    _, off = await api.call("POST", f"/v1/endpoints/{endpoint['id']}/disable")
    _, on = await api.call("POST", f"/v1/endpoints/{endpoint['id']}/enable")
    assert [(["order.paid"], False, "by the shop"), (["order.paid"], True, "")] == [
        (e["types"], e["enabled"], e["disabled_why"]) for e in (off, on)
    ]


async def command(api: Api, *words: str) -> str:
    ran = await asyncio.to_thread(CliRunner().invoke, cli, words, env=api.env, catch_exceptions=False)
    assert 0 == ran.exit_code, ran.output
    return ran.stdout


async def test_the_command_line_rotates_and_retires_too(api: Api) -> None:
    """Each new secret alone on stdout; the list of endpoints shows none."""
    endpoint = await an_endpoint(api, types=["order.paid", "order.closed"])
    second = (await command(api, "deliveries", "rotate", "acme", endpoint["id"])).strip()
    third = json.loads(await command(api, "deliveries", "rotate", "acme", endpoint["id"], "--json"))["secret"]
    assert 3 == len({endpoint["secret"], second, third})
    assert {"whsec_"} == {secret[:6] for secret in (second, third)}
    retired = json.loads(await command(api, "deliveries", "retire", "acme", endpoint["id"], "--json"))
    assert {"endpoint": endpoint["id"], "url": URL} == retired
    async with api.paidup.db.session() as tx:
        assert [third] == await tx.fetchval("SELECT secrets FROM endpoints")
    assert "whsec_" not in await command(api, "deliveries", "endpoints")


async def test_who_lacks_a_scope_is_told_how_to_get_it(api: Api) -> None:
    """The scope by its name, and the command that makes a key with it."""
    reader = await api.a_key(Scope.READ)
    status, problem = await api.call("GET", "/v1/endpoints", key=reader)
    assert (403, True) == (status, "paidup keys create-api acme --scopes admin" in problem["detail"]), problem


async def test_a_signing_secret_is_rotated_and_the_old_one_retired(api: Api) -> None:
    """Two new secrets beside the first; a fourth has to wait until the old ones are retired."""
    endpoint = await an_endpoint(api)
    path = f"/v1/endpoints/{endpoint['id']}"
    rotated = [await api.call("POST", f"{path}/rotate") for _ in range(3)]
    _, retired = await api.call("POST", f"{path}/retire")
    again, _ = await api.call("POST", f"{path}/rotate")
    secrets = [endpoint["secret"], *(answer.get("secret") for _, answer in rotated[:2])]
    assert ([200, 200, 409], 3, None, 200) == (
        [status for status, _ in rotated], len(set(secrets)), retired["secret"], again,
    )  # fmt: skip


async def test_an_address_that_may_not_be_called_is_refused(api: Api) -> None:
    """The cloud's own address, a file, no scheme: 422, and no endpoint is made."""
    for url in (
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "shop.example/hooks",
        "https://u:p@shop.example/",
    ):
        status, problem = await api.call("POST", "/v1/endpoints", {"url": url})
        assert 422 == status, (url, problem)
    assert [] == (await api.call("GET", "/v1/endpoints"))[1]["items"]


async def test_what_a_disabled_endpoint_missed_is_listed_and_sent_again(api: Api) -> None:
    """Page by page, oldest first; a redrive of the endpoint takes all, and then nothing is left."""
    endpoint = await an_endpoint(api)
    path = f"/v1/endpoints/{endpoint['id']}"
    await api.call("POST", f"{path}/disable")
    payment = await api.a_paid_payment()
    assert 2 == await give_out(api)
    _, first = await api.call("GET", f"{path}/dead-letters?limit=1")
    _, rest = await api.call("GET", f"{path}/dead-letters?limit=5&after={first['next']}")
    missed = first["items"] + rest["items"]
    assert ([payment["order_id"]] * 2, [1, 2], ["skipped"] * 2, None) == (
        [m["order_id"] for m in missed], [m["seq"] for m in missed], [m["state"] for m in missed], rest["next"],
    )  # fmt: skip
    await api.call("POST", f"{path}/enable")
    _, one = await api.call("POST", "/v1/deliveries/redrive", {"delivery_ids": [missed[0]["id"]]})
    _, others = await api.call("POST", "/v1/deliveries/redrive", {"endpoint_id": endpoint["id"]})
    _, left = await api.call("GET", f"{path}/dead-letters")
    assert (1, 1, []) == (one["deliveries"], others["deliveries"], left["items"])


async def test_dead_letters_are_paged_by_what_an_earlier_page_gave(api: Api) -> None:
    """Anything else is refused."""
    endpoint = await an_endpoint(api)
    for after in ("x", "-1", "1" * 19):
        status, _ = await api.call("GET", f"/v1/endpoints/{endpoint['id']}/dead-letters?after={after}")
        assert 422 == status, after


async def test_a_case_is_resolved_once_with_what_was_decided(api: Api) -> None:
    """It leaves the list of open cases and stays in the list of all; a second decision finds no open case."""
    await api.a_mismatch()
    (case,) = (await api.call("GET", "/v1/cases"))[1]["items"]
    path, decided = f"/v1/cases/{case['id']}/resolve", {"resolution": "a typing error\nof ours"}
    _, resolved = await api.call("POST", path, decided)
    again, _ = await api.call("POST", path, decided)
    lists = [(await api.call("GET", f"/v1/cases?all={which}"))[1]["items"] for which in ("false", "true")]
    assert (decided["resolution"], 404, [[], [resolved]]) == (resolved["resolution"], again, lists)


async def test_cases_are_paged_newest_first(api: Api) -> None:
    """Each comes once, and the last page says that it is the last."""
    for n in range(3):
        await api.a_mismatch(f"M-{n}")
    _, first = await api.call("GET", "/v1/cases?limit=2")
    _, rest = await api.call("GET", f"/v1/cases?limit=2&before={first['next']}")
    ids = [case["id"] for case in first["items"] + rest["items"]]
    assert (sorted(ids, reverse=True), 3, None) == (ids, len(set(ids)), rest["next"])
    refused, _ = await api.call("GET", "/v1/cases?all=yes")
    assert 422 == refused


async def test_a_number_with_slashes_can_be_traced(api: Api) -> None:
    """Shops number their orders as they like."""
    _, order = await api.call("POST", "/v1/orders", ORDER | {"shop_order_no": "2026/11/23-7"})
    for path in ("/v1/trace/2026/11/23-7", "/v1/trace/2026%2F11%2F23-7"):
        _, life = await api.call("GET", path)
        assert order["id"] == life["order"]["id"]


async def audit_of(api: Api) -> list[tuple[str, str, str]]:
    """Who did what to which address, in the shop's own audit, oldest first."""
    items = (await api.call("GET", "/v1/audit"))[1]["items"]
    return [(deed["action"], deed["before"], deed["after"]) for deed in reversed(items)]


async def test_who_redirects_events_stands_in_the_audit(api: Api) -> None:
    """Each change of where the shop is told, and with which secret, by the key that did it."""
    endpoint = await an_endpoint(api)
    for deed in ("rotate", "retire", "disable", "enable"):
        assert 200 == (await api.call("POST", f"/v1/endpoints/{endpoint['id']}/{deed}"))[0]
    hears = f"{URL} hears *"
    actions = ("added", "rotated", "retired", "disabled", "enabled")
    assert [(f"endpoint.{action}", "", hears) for action in actions] == await audit_of(api)
    assert endpoint["secret"] not in str((await api.call("GET", "/v1/audit"))[1])


async def test_who_redirects_a_participant_stands_in_the_audit(api: Api) -> None:
    """With where it was before."""
    for url in (URL, f"{URL}/elsewhere"):
        await api.call("POST", "/v1/participants", {"name": "coupons", "url": url})
    for deed in ("rotate", "retire"):
        assert 200 == (await api.call("POST", f"/v1/participants/coupons/{deed}"))[0]
    moved = f"{URL}/elsewhere"
    assert [
        ("participant.registered", "", URL), ("participant.moved", URL, moved),
        ("participant.rotated", "", moved), ("participant.retired", "", moved),
    ] == await audit_of(api)  # fmt: skip


async def test_the_command_line_redirects_under_its_own_name(api: Api) -> None:
    """Endpoints, participants and API keys: each change stands in the audit of the shop."""

    async def run(*words: str) -> Any:
        done = await asyncio.to_thread(CliRunner().invoke, cli, [*words, "--json"], env=api.env)
        assert 0 == done.exit_code, done.output
        return json.loads(done.stdout)

    made = await run("deliveries", "endpoint", "acme", "https://shop.example.com/hear")
    await run("deliveries", "rotate", "acme", made["endpoint"])
    await run("tx", "participant", "acme", "coupons", "https://coupons.example.com/take")
    await run("tx", "rotate", "acme", "coupons")
    await run("keys", "create-api", "acme", "--scopes", "read")
    key = next(one["id"] for one in await run("keys", "list-api", "acme") if one["scopes"] == ["read"])
    await run("keys", "revoke-api", key)
    items = (await api.call("GET", "/v1/audit"))[1]["items"]
    assert [
        "endpoint.added", "endpoint.rotated", "participant.registered", "participant.rotated", "key.made",
        "key.revoked",
    ] == [deed["action"] for deed in reversed(items)]  # fmt: skip
    assert ({"cli"}, [key, key]) == ({deed["via"] for deed in items}, [deed["subject_id"] for deed in items[:2]])


async def test_what_is_re_sent_stands_in_the_audit_of_its_shop(api: Api) -> None:
    """Also when the console or the command line does it, which belong to no shop."""
    endpoint = await an_endpoint(api)
    await api.a_paid_payment()
    assert 0 < await give_out(api)
    async with api.paidup.db.transaction() as tx:
        await tx.execute("UPDATE deliveries SET state = 'dead', head = false")
        found = [row["id"] for row in await tx.fetch("SELECT id FROM deliveries")]
    assert len(found) == await deeds.resend(api.desk, Actor("alice", "console"), found, "mended")
    await deeds.resend_endpoint(api.desk, Actor("alice", "console"), endpoint["id"], "mended")
    assert ["delivery.resent", "delivery.resent"] == [line[0] for line in (await audit_of(api))[-2:]]


async def test_a_replay_from_quarantine_stands_in_the_shops_audit(api: Api) -> None:
    """The account that the callback came to says whose it is."""
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"{}") as answer:
        assert answer.status in (400, 401)
    (kept,) = (await api.call("GET", "/v1/quarantine"))[1]["items"]
    await api.call("POST", f"/v1/quarantine/{kept['id']}/replay", {"reason": "the key was mended"})
    assert ["quarantine.replayed"] == [line[0] for line in await audit_of(api)]
