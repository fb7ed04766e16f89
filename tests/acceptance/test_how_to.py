"""The how-to pages, command by command as they stand there: each does what the page says, on things that are there.

What a page writes as `pay…` is an id of that kind; dates and numbers of the channel's bill are this run's own. Commands
that rightly say no where they stand (a page shows alternatives one below the other) are listed with what they say.
"""

import asyncio
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
import xlsxwriter
from click.testing import CliRunner

from api_side import Api
from break_side import a_break
from paidup.cli import cli
from paidup.people import store
from paidup.people.user import Role
from test_docs import commands
from upload_side import BANK

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = (
    "rotate-a-key", "replay-a-quarantine", "go-live-wechat-pay", "go-live-alipay", "go-live-stripe", "read-a-trace",
    "sell-from-stock", "operate-the-console", "report-to-finance", "reconcile", "prepare-a-server",
    "keep-services-in-agreement", "hear-of-it",
)  # fmt: skip
SAYS_NO = {
    "paidup doctor": "fsync is off",  # databases of tests may forget
    "paidup verify": "BROKEN  seals",  # the break's payment was moved into the past by hand
    "paidup reconcile run": "账单正在生成中",  # yesterday's, before ten o'clock
    "paidup tx skip": "only when it waits for a person",  # that of the page does
    "paidup tx compensate txn… --not-done": "there is no step 'payout'",  # the page's own table has none
    "paidup reconcile find": "a bill has it: `paidup reconcile explain brk",
}
"""Beginnings of commands that end with an error where they stand → what is said then."""
ELSEWHERE = ("paidup serve",)
"""What runs for ever, and is started by tests of its own."""
OF_ONE_ACCOUNT = {"paidup reconcile run": "paidup reconcile run --account wechat/main"}
"""Stripe makes its reports when it is asked, which the command waits for: a minute in all."""


def its_commands(page: str) -> list[str]:
    text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
    return [OF_ONE_ACCOUNT.get(found, found) for found in commands(text) if not found.startswith(ELSEWHERE)]


async def things(api: Api, folder: Path) -> dict[str, str]:
    """One of each that the pages speak of: what they write → what it is here."""
    for name, role in (("anna", Role.FINANCE), ("bob", Role.APPROVER)):
        async with api.paidup.db.transaction() as tx:
            await store.add(tx, name, role, api.paidup.clock.now())
    waits = await a_break(api, "live-0")
    paid = await api.a_paid_payment("live-1")
    await api.an_open_payment("B-2")
    _, endpoint = await api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/hear"})
    async with api.session.post(f"{api.url}/callbacks/wechat/main", data=b"forged") as answer:
        assert answer.status in (400, 401)
    async with api.paidup.db.session() as tx:
        await tx.execute(
            "INSERT INTO inbox (id, received_at, shop, channel, account, dedup_key, kind, target, headers, body) "
            "VALUES ('cbk1', now(), 'acme', 'wechat', 'main', 'k', 'TRANSACTION.SUCCESS', '/', '[]', '{}')"
        )
        row = await tx.fetchrow(
            "SELECT (SELECT id FROM quarantine) AS qua, (SELECT id FROM bills LIMIT 1) AS bil, "
            "(SELECT id FROM api_keys LIMIT 1) AS key, (SELECT channel_txn_id FROM breaks LIMIT 1) AS txn"
        )
    assert row is not None
    _files(folder, waits.day.isoformat())
    order = {"shop_order_no": "A-1001", "amount_minor": 1250, "currency": "CNY"}
    _, teahouse = await api.call("POST", "/v1/orders", order, key=await api.a_key(shop="teahouse"))
    return {
        "brk…": waits.break_id, "pay…": paid["id"], "ept…": endpoint["id"], "cbk…": "cbk1", "qua…": row["qua"],
        "bil…": row["bil"], "key…": row["key"], "4200002511222026112216000001": row["txn"],
        "ord…": teahouse["id"], "2026-11-22": waits.day.isoformat(), "2026-11": waits.day.isoformat()[:7],
    }  # fmt: skip


def _files(folder: Path, day: str) -> None:
    """What the pages tell to write."""
    (folder / "bank.toml").write_text(BANK.replace("[columns]", 'format = "xlsx"\n[columns]'), encoding="utf-8")
    with xlsxwriter.Workbook(folder / "bank.xlsx") as book:
        rows = [("time", "amount", "order"), (f"{day} 12:00:00", "12.50", "A-1"), ("total", "1", "")]
        sheet = book.add_worksheet()
        for n, row in enumerate(rows):
            sheet.write_row(n, 0, row)
    for page, name in (("report-to-finance", "chart.toml"), ("keep-services-in-agreement", "checkout.toml")):
        text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8")
        (folder / name).write_text(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[-1], encoding="utf-8")
    (folder / "delivery.csv").write_text("sku,quantity\nTEA-01,5\n")


def here(command: str, ids: Mapping[str, str]) -> list[str]:
    """The words of a command with this run's own things in it."""
    for theirs, ours in ids.items():
        command = command.replace(theirs, ours)
    return shlex.split(command)[1:]


async def test_the_commands_of_the_how_to_pages_do_what_they_say(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the pages, each page after the other, as one who follows them."""
    monkeypatch.chdir(tmp_path)
    ids, wrong = await things(api, tmp_path), []
    for page in PAGES:
        for command in its_commands(page):
            ran = await asyncio.to_thread(CliRunner().invoke, cli, here(command, ids), env=api.env)
            if command.startswith("paidup tx begin"):
                ids["txn…"] = ran.stdout.strip()
            said = f"{ran.output} {ran.exception}"
            no = next((says for begins, says in SAYS_NO.items() if command.startswith(begins)), None)
            if ran.exit_code and (no is None or no not in said):
                wrong.append(f"{page}: {command}: {said[-200:]}")
    assert [] == wrong
