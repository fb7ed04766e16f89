"""Bills over the API: streamed to disk within a limit, read at once, refused whole with the reason, and kept."""

import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from api_side import Api, an_api
from bill_mappings import OTHERS
from break_side import next_round
from paidup.cli.serve import server_options
from paidup.reconcile import bills, runs
from paidup.sandbox.keys import Keys
from paidup.shops.store import Scope
from paidup.web.upload import MAX_FIELDS_BYTES
from served import served
from upload_side import BANK, BANK_CSV, DAY, sha1_of, wechat_bill

MAIN = {"account": "wechat/main", "day": str(DAY)}


def mchid_of(api: Api) -> str:
    (party,) = [one for one in api.paidup.parties() if one.name == "wechat/main"]
    return str(party.account.mchid)


async def send(
    api: Api,
    content: bytes,
    *,
    key: str | None = None,
    url: str | None = None,
    name: str = "bill.csv.gz",
    **fields: str,
) -> tuple[int, Any]:
    """As curl -F does; the file stands between the fields."""
    form = aiohttp.FormData()
    given = list((MAIN | fields).items())
    for field, value in given[:1]:
        form.add_field(field, value)
    form.add_field("file", io.BytesIO(content), filename=name)
    for field, value in given[1:]:
        form.add_field(field, value)
    headers = {"authorization": f"Bearer {key or api.key}"}
    async with api.session.post(f"{url or api.url}/v1/bills", data=form, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def raw(api: Api, bill_id: str) -> bytes:
    """What is kept of it."""
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT content FROM bill_parts WHERE bill_id = $1 ORDER BY n", bill_id)
    return b"".join(row["content"] for row in rows)


async def audited(api: Api) -> list[tuple[str, str]]:
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT via, after FROM audit WHERE action = 'bill.uploaded' ORDER BY id")
    return [tuple(row) for row in rows]


async def test_a_sound_bill_is_kept_and_reconciled_by_the_next_round(api: Api) -> None:
    """It says what it holds; the worker lays it beside the books without asking the channel; again it is the same."""
    content = wechat_bill(mchid_of(api), "A-1", "A-2")
    status, bill = await send(api, content, sha1=sha1_of(content))
    assert (201, "sound", 2, "2") == (status, bill["state"], bill["lines"], bill["stated"]["总交易单数"])
    assert (content, [("api", "sound")]) == (await raw(api, bill["id"]), await audited(api))
    await next_round(api)
    async with api.paidup.db.session() as tx:
        run = await runs.latest_of(tx, "wechat", "main", DAY)
        left = await bills.claim_work(tx, api.paidup.clock.now(), api.paidup.clock.now(), 10)
    assert run is not None
    assert (bill["id"], 2, {}) == (run.bill_id, run.opened, left)
    again = await send(api, content, sha1=sha1_of(content))
    listed = await api.call("GET", f"/v1/bills?account=wechat/main&day={DAY}")
    assert (bill["id"], [bill["id"]]) == (again[1]["id"], [one["id"] for one in listed[1]["items"]])
    assert (200, bill["sha256"]) == ((await api.call("GET", f"/v1/bills/{bill['id']}"))[0], again[1]["sha256"])


@pytest.mark.parametrize("fault", ["wrong_hash", "wrong_total", "other_day", "other_merchant", "broken_file", "empty"])
async def test_a_wrong_bill_is_refused_whole_and_kept(api: Api, fault: str) -> None:
    """The answer says why; the file stays as it came; no day is reconciled by it."""
    mchid = mchid_of(api)
    good = wechat_bill(mchid, "A-1", "A-2")
    content, fields = {
        "wrong_hash": (good, {"sha1": "0" * 40}),
        "wrong_total": (wechat_bill(mchid, "A-1", "A-2", stated=3), {}),
        "other_day": (wechat_bill(mchid, "A-1", day=DAY.replace(day=21)), {}),
        "other_merchant": (wechat_bill("1999999999", "A-1"), {}),
        "broken_file": (good[:-20], {}),
        "empty": (b"", {}),
    }[fault]
    status, problem = await send(api, content, **fields)
    assert (422, True) == (status, f"refused whole, {fault}:" in problem["detail"]), problem
    (kept,) = (await api.call("GET", "/v1/bills"))[1]["items"]
    assert ("refused", fault, kept["id"] in problem["detail"]) == (kept["state"], kept["fault"], True)
    assert (content, [("api", f"refused {fault}")]) == (await raw(api, kept["id"]), await audited(api))
    await next_round(api)
    async with api.paidup.db.session() as tx:
        assert await runs.latest_of(tx, "wechat", "main", DAY) is None
    assert 201 == (await send(api, good))[0]


async def test_any_other_file_comes_with_its_mapping(api: Api) -> None:
    """A bank's CSV, read by its description; without it, or with a broken one, it is none."""
    status, bill = await send(api, BANK_CSV.encode(), name="bank.csv", mapping=BANK)
    assert (201, 2, "bank.csv") == (status, bill["lines"], bill["file_name"])
    broken = await send(api, BANK_CSV.encode(), mapping=BANK.replace("amount =", "amuont ="))
    assert (422, True) == (broken[0], "amuont" in broken[1]["detail"])
    assert 422 == (await send(api, BANK_CSV.encode(), day="2026-11-23"))[0]


@pytest.mark.parametrize("form", OTHERS)
async def test_fixed_width_and_excel_come_with_their_mapping(api: Api, form: str) -> None:
    """Each is sent, read, reconciled by the next round with every line of it, and given back as it came."""
    name, mapping, content, lines = OTHERS[form]
    status, bill = await send(api, content, name=name, mapping=mapping)
    assert (201, "sound", lines) == (status, bill["state"], bill["lines"]), bill
    await next_round(api)
    days = (await api.call("GET", "/v1/reconciliations"))[1]["items"]  # the channel may have had a bill of yesterday
    assert [(bill["id"], lines)] == [(one["bill_id"], one["lines"]) for one in days if one["day"] == str(DAY)]
    status, body, headers = await taken(api, bill["id"])
    assert (200, content, True) == (status, body, headers["content-disposition"].endswith(f'{name[4:]}"'))


@pytest.mark.parametrize("form", OTHERS)
async def test_of_fixed_width_and_excel_half_a_file_is_none(api: Api, form: str) -> None:
    """Cut off in the middle: refused whole with the reason, and kept."""
    name, mapping, content, _ = OTHERS[form]
    status, problem = await send(api, content[: len(content) // 2 - 5], name=name, mapping=mapping)
    (kept,) = (await api.call("GET", "/v1/bills"))[1]["items"]
    assert (422, True, "refused") == (status, "refused whole" in problem["detail"], kept["state"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"day": "yesterday"}, "2026-11-22"),
        ({"kind": "payouts"}, "trades, funds"),
        ({"sha1": "xyz"}, "40 hexadecimal"),
        ({"colour": "red"}, "colour"),
        ({"account": "wechat"}, "channel/account"),
    ],
)
async def test_claims_that_are_none_are_named(api: Api, fields: dict[str, str], said: str) -> None:
    """Each with what to write instead; nothing is kept."""
    status, problem = await send(api, wechat_bill(mchid_of(api), "A-1"), **fields)
    assert (422, True) == (status, said in problem["detail"]), problem
    assert [] == (await api.call("GET", "/v1/bills"))[1]["items"]


async def test_another_shops_account_does_not_exist(api: Api) -> None:
    """Neither to bring a bill of, nor to see those that were brought."""
    content = wechat_bill(mchid_of(api), "A-1")
    assert 201 == (await send(api, content))[0]
    stranger = await api.a_key(shop="other")
    status, problem = await send(api, content, key=stranger)
    listed = await api.call("GET", "/v1/bills", key=stranger)
    assert (404, True, []) == (status, "there are: none" in problem["detail"], listed[1]["items"])


@pytest.fixture
async def small(db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]) -> AsyncIterator[Api]:
    """Takes one megabyte."""
    async with an_api(db_dsn, tmp_path, channel_keys, PAIDUP_UPLOAD_MAX_MB="1") as running:
        yield running


async def test_a_file_beyond_the_limit_is_refused(small: Api) -> None:
    """With the setting's name, be its size announced or not; other fields have a limit of their own."""
    status, problem = await send(small, b"x" * ((1 << 20) + MAX_FIELDS_BYTES + 1))
    assert (413, True) == (status, "PAIDUP_UPLOAD_MAX_MB" in problem["detail"])
    assert 413 == (await send(small, b"x" * ((1 << 20) + 1)))[0]
    assert 413 == (await send(small, b"x", mapping="#" * (MAX_FIELDS_BYTES + 1)))[0]
    assert [] == (await small.call("GET", "/v1/bills"))[1]["items"]


@pytest.mark.parametrize("where", ["before", "behind"])
async def test_what_stands_around_the_file_is_bounded_too(small: Api, where: str) -> None:
    """Nobody keeps us receiving with what belongs to no field, its size not announced."""
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n--x--\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield head if where == "behind" else b""
        for _ in range(40):
            yield b"z" * (64 << 10)

    headers = {"authorization": f"Bearer {small.key}", "content-type": "multipart/form-data; boundary=x"}
    try:
        async with small.session.post(f"{small.url}/v1/bills", data=body(), headers=headers) as answer:
            status = answer.status
    except aiohttp.ClientError:  # cut off while it was still sending
        status = 413
    assert 413 == status


async def test_what_serve_runs_lets_a_file_pass_where_files_go(api: Api) -> None:
    """A bill of many times a body's limit over the server's own protocol; elsewhere such a body is refused."""
    refs = [f"A-{n}-{'x' * 20}" for n in range(2000)]
    content = gzip.decompress(wechat_bill(mchid_of(api), *refs))
    settings = api.paidup.settings
    async with served(api.paidup, **server_options(settings)) as url:
        assert len(content) > 300_000
        status, bill = await send(api, content, url=url)
        headers = {"authorization": f"Bearer {api.key}"}
        try:
            async with api.session.post(f"{url}/v1/orders", data=content, headers=headers) as answer:
                elsewhere = answer.status
        except aiohttp.ClientError:  # cut off while it was still sending
            elsewhere = 413
    assert (201, 2000, 413) == (status, bill.get("lines"), elsewhere), bill


async def test_a_stranger_sends_no_file(api: Api) -> None:
    """Refused before anything of it is looked at."""
    assert 401 == (await send(api, b"x", key="pk_nobody"))[0]


async def taken(api: Api, bill_id: str, key: str | None = None) -> tuple[int, bytes, Any]:
    headers = {"authorization": f"Bearer {key or api.key}"}
    async with api.session.get(f"{api.url}/v1/bills/{bill_id}/file", headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_the_file_is_given_back_as_it_came(api: Api) -> None:
    """Several parts of it, byte by byte, under a name of our own whatever it was called, as something that no browser
    shows; who took it stands in the audit. A refused one is given, too."""
    content = BANK_CSV.encode() + b"#" * (2 * bills.PART_BYTES)
    status, refused = await send(api, content, name='x"; a=b.html', mapping=BANK)
    assert 422 == status
    (bill,) = (await api.call("GET", "/v1/bills"))[1]["items"]
    assert bill["id"] in refused["detail"]
    got, body, headers = await taken(api, bill["id"])
    assert (200, content, str(len(content))) == (got, body, headers["content-length"])
    assert 'attachment; filename="wechat-main-trades-2026-11-22-v1.csv"' == headers["content-disposition"]
    assert ("application/octet-stream", "nosniff") == (headers["content-type"], headers["x-content-type-options"])
    assert ("set-cookie" in headers, "sandbox" in headers["content-security-policy"]) == (False, True)
    async with api.paidup.db.session() as tx:
        rows = await tx.fetch("SELECT via, subject_id, why FROM audit WHERE action = 'bill.downloaded'")
    assert [("api", bill["id"], "wechat/main trades 2026-11-22, version 1")] == [tuple(row) for row in rows]


async def test_who_may_not_has_no_file(api: Api) -> None:
    """Not with a key that only reads, nor of another shop, nor without one; nor a file that is kept no longer."""
    _, bill = await send(api, wechat_bill(mchid_of(api), "A-1"))
    reader, stranger = await api.a_key(Scope.READ), await api.a_key(shop="other")
    assert [403, 404, 401] == [(await taken(api, bill["id"], key))[0] for key in (reader, stranger, "pk_nobody")]
    assert 404 == (await taken(api, "bil_nobody"))[0]
    async with api.paidup.db.transaction() as tx:
        await tx.execute("DELETE FROM bill_parts")
    status, problem, _ = await taken(api, bill["id"])
    assert (404, True) == (status, b"files are kept for" in problem)
    async with api.paidup.db.session() as tx:
        assert 0 == await tx.fetchval("SELECT count(*) FROM audit WHERE action = 'bill.downloaded'")
