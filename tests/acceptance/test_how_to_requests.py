"""The requests of the how-to pages, sent by curl as they stand there: each is answered as the page says.

What a page writes as `ord…` or `$ORDER` is the order that its last request made; days and ids of bills are this run's
own.
"""

import asyncio
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from api_side import Api, an_api
from break_side import Waits, a_match
from paidup.sandbox.keys import Keys

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md", "README.zh-CN.md", "docs/how-to/go-live-wechat-pay.md", "docs/how-to/go-live-alipay.md",
    "docs/how-to/go-live-stripe.md", "docs/how-to/sell-from-stock.md", "docs/how-to/reconcile.md",
    "docs/how-to/report-to-finance.md", "docs/how-to/watch-it.md",
)  # fmt: skip
METRICS_TOKEN = "a-token-of-this-test"
SHELL = "set -o pipefail\n" + 'curl() { command curl --silent --show-error --fail-with-body --max-time 60 "$@"; }\n'
"""Here a refusal ends curl with an error."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BEGINS = ("curl ", "ORDER=$(curl ")


def requests(text: str) -> Iterator[str]:
    """The statements of a page's shell blocks that send a request, with all lines that belong to them."""
    for language, block in BLOCK.findall(text):
        if language not in ("", "sh"):
            continue
        statement = ""
        for line in block.replace("\\\n", " ").splitlines():
            if statement or line.startswith(BEGINS):
                statement += line
                if _is_whole(statement):
                    yield statement
                    statement = ""
                else:
                    statement += "\n"


def _is_whole(statement: str) -> bool:
    try:
        return bool(shlex.split(statement, comments=True))
    except ValueError:  # a quotation goes on in the next line
        return False


async def answer(request: str, ids: Mapping[str, str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of curl, and what it printed or what was made of it. ids: what is written → what it is here."""
    for theirs, ours in ids.items():
        request = request.replace(theirs, ours)
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", f'{SHELL}{request}\nended=$?; echo "$ORDER"; exit $ended', cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await shell.communicate()
    return shell.returncode or 0, said.decode(errors="replace")


async def things(api: Api, folder: Path) -> dict[str, str]:
    """What the pages speak of → what it is here: a bill that was reconciled, an article in stock, a file to upload."""
    matched: Waits = await a_match(api, "matched-1")
    await api.call("PUT", "/v1/skus/TEA-01", {"name": "green tea"})
    await api.call("POST", "/v1/skus/TEA-01/restock", {"quantity": 5}, once="the first")
    async with api.paidup.db.session() as tx:
        bill = await tx.fetchval("SELECT id FROM bills WHERE kind = 'trades'")
    headers = {"authorization": f"Bearer {api.key}"}
    async with api.session.get(f"{api.url}/v1/bills/{bill}/file", headers=headers) as file:
        (folder / "bill.csv.gz").write_bytes(await file.read())
    return {
        "http://127.0.0.1:8400": api.url, "localhost:8400": api.url, "bil…": str(bill),
        "2026-11-22": matched.day.isoformat(), "2026-11": matched.day.isoformat()[:7],
    }  # fmt: skip


async def test_the_requests_of_the_pages_are_answered_as_they_say(
    db_dsn: str, tmp_path: Path, channel_keys: dict[str, Keys]
) -> None:
    """Page after page, each page's requests in its order; the pages do not know each other's orders."""
    wrong, sent = [], 0
    async with an_api(db_dsn, tmp_path, channel_keys, PAIDUP_METRICS_TOKEN=METRICS_TOKEN) as api:
        ids = await things(api, tmp_path)
        env = {"KEY": api.key, "PAIDUP_METRICS_TOKEN": METRICS_TOKEN}
        for number, page in enumerate(PAGES):
            here = ids | {
                "A-1001": f"A-1001-{number}",
                "a-1001": f"a-{number}",
                "live-1": f"live-{number}",
                "A-1002": f"A-1002-{number}",
            }
            for request in requests((ROOT / page).read_text(encoding="utf-8")):
                code, said = await answer(request, here, tmp_path, env)
                sent += 1
                if code:
                    wrong.append(f"{page}: {request}: {said[-300:]}")
                if made := re.search(r"ord0[0-9a-z]+", said):
                    here["ord…"] = env["ORDER"] = made[0]
    assert ([], True) == (wrong, sent >= 15)


async def test_the_requests_of_the_sandbox_page_are_answered_as_it_says(api: Api, tmp_path: Path) -> None:
    """One after the other; of what the page takes for given there is one of each."""
    alipay = await api.an_open_payment("scanned-1", channel="alipay")
    ids = {
        "localhost:8500": api.running.base_url, "sandbox-accounts/": f"{tmp_path}/accounts/",
        "A-2": alipay["merchant_ref"],
    }  # fmt: skip
    wrong = []
    found = [*requests((ROOT / "docs/how-to/use-the-sandbox.md").read_text(encoding="utf-8"))]
    for request in found:
        code, said = await answer(request, ids, tmp_path, {})
        if code or '"error"' in said:
            wrong.append(f"{request}: {said[-300:]}")
        if "/sandbox/pay" in request:
            ids["re_3…"] = await a_refund(api, tmp_path / "accounts", json.loads(said)["number"])
    assert ([], 12) == (wrong, len(found))


async def a_refund(api: Api, accounts: Path, intent: str) -> str:
    """Asked of the sandbox as any merchant of Stripe does; its number."""
    secret = (accounts / "stripe" / "main" / "secret.key").read_text().strip()
    headers, form = {"authorization": f"Bearer {secret}"}, {"payment_intent": intent}
    async with api.session.post(f"{api.running.base_url}/v1/refunds", data=form, headers=headers) as made:
        assert made.status == 200, await made.text()
        return str((await made.json())["id"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\ncurl -s x \\\n  -d '{\"a\":\n  1}'   # why\necho\n```", ["curl -s x    -d '{\"a\":\n  1}'   # why"]),
        ("```\ncurl a\ncurl b\n```\ncurl c\n", ["curl a", "curl b"]),
        ("```toml\nx\n```\ncurl c\n```\nORDER=$(curl d | e)\n```\n", ["ORDER=$(curl d | e)"]),
    ],
)
def test_a_request_is_found_with_all_its_lines(text: str, found: list[str]) -> None:
    """Over continued lines and quotations; not outside of blocks."""
    assert found == [*requests(text)]


async def test_a_refusal_is_noticed(api: Api, tmp_path: Path) -> None:
    """Otherwise the pages could say what they like."""
    code, said = await answer(f"curl {api.url}/v1/orders -H 'Authorization: Bearer nobody'", {}, tmp_path, {})
    assert (True, True) == (code != 0, "401" in said)
