"""`paidup reconcile upload` as a process: a channel's file and a bank's, sound and wrong, and what `run` does."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from test_commands import paidup

from api_side import Api
from bill_mappings import OTHERS
from console_side import a_user
from paidup.people import store
from paidup.people.user import Role
from upload_side import BANK, BANK_CSV, DAY, sha1_of, wechat_bill

MAIN = ("--account", "wechat/main", "--day", str(DAY))


async def command(api: Api, *args: str) -> subprocess.CompletedProcess[str]:
    """`paidup reconcile …` beside the channels' sandbox, which answers meanwhile."""
    settings = api.paidup.settings
    env = {"PAIDUP_DATABASE_URL": settings.database_url, "PAIDUP_DATA": str(settings.data)}
    return await asyncio.to_thread(paidup, "reconcile", *args, env=env)


@pytest.fixture(autouse=True)
async def anna(api: Api) -> None:
    """Finance, who brings the bills."""
    async with api.paidup.db.transaction() as tx:
        await store.add(tx, "anna", Role.FINANCE, api.paidup.clock.now())


@pytest.fixture
def mchid(api: Api) -> str:
    (party,) = [one for one in api.paidup.parties() if one.name == "wechat/main"]
    return str(party.account.mchid)


async def test_a_bill_of_the_channel_is_brought_and_reconciled(api: Api, mchid: str, tmp_path: Path) -> None:
    """Sound: exit 0 and its lines; `run --no-fetch` finds what our books lack; the same file again is the same bill."""
    file = tmp_path / "bill.csv.gz"
    file.write_bytes(wechat_bill(mchid, "A-1", "A-2"))
    upload = ("upload", str(file), *MAIN, "--by", "anna", "--json")
    first, again = [await command(api, *upload, "--sha1", sha1_of(file.read_bytes())) for _ in "12"]
    bill = json.loads(first.stdout)
    assert (0, "sound", 2, 1) == (first.returncode, bill["state"], bill["lines"], bill["version"]), first.stderr
    assert bill == json.loads(again.stdout)
    ran = await command(api, "run", *MAIN, "--no-fetch", "--json")
    (day,) = json.loads(ran.stdout)
    assert (0, bill["id"], ["long", "long"]) == (
        ran.returncode, day["run"]["bill_id"], [one["break"]["kind"] for one in day["changes"]],
    )  # fmt: skip


async def test_a_difference_is_explained_to_people_and_to_programs(api: Api, mchid: str, tmp_path: Path) -> None:
    """Both sides, what happened to it and what comes next, in words; as JSON, all that is known."""
    file = tmp_path / "bill.csv.gz"
    file.write_bytes(wechat_bill(mchid, "A-1"))
    await command(api, "upload", str(file), *MAIN, "--by", "anna")
    await command(api, "run", *MAIN, "--no-fetch")
    (listed,) = json.loads((await command(api, "breaks", "--json")).stdout)
    said, told = await command(api, "explain", listed["id"]), await command(api, "explain", listed["id"], "--json")
    first, *_, last = said.stdout.splitlines()
    whole = json.loads(told.stdout)
    assert (0, f"break:   {listed['id']}", whole["steps"][-1]["why"]) == (said.returncode, first, whole["why"])
    assert {f"number:  {whole['number']}", f"next:    {whole['next_step']}"} <= set(said.stdout.splitlines())
    assert " ".join(last.split()).startswith(whole["steps"][-1]["at"].replace("T", " ")[:19])


async def test_a_day_that_has_not_begun_is_not_asked_for(api: Api) -> None:
    """A slip of the pen, for which no channel is called."""
    ran = await command(api, "run", "--day", "2126-01-01")
    assert (2, True) == (ran.returncode, "still to come at alipay/main: name a day that is over" in ran.stderr), (
        ran.stderr
    )


async def test_a_wrong_bill_is_refused_with_its_reason(api: Api, mchid: str, tmp_path: Path) -> None:
    """Exit 2, one line that says why and as what it is kept, nothing on stdout; `run` has no bill of the day."""
    file = tmp_path / "bill.csv.gz"
    file.write_bytes(wechat_bill(mchid, "A-1", stated=2))
    refused = await command(api, "upload", str(file), *MAIN, "--by", "anna", "--json")
    assert (2, "", True) == (refused.returncode, refused.stdout, "refused whole, wrong_total" in refused.stderr)
    ran = await command(api, "run", *MAIN, "--no-fetch")
    assert (1, True) == (ran.returncode, "no bill of 2026-11-22 is here yet" in ran.stderr)


async def test_a_banks_file_is_brought_with_its_mapping(api: Api, tmp_path: Path) -> None:
    """A CSV by its TOML description; with a misspelt one nothing is kept, and the misspelling is named."""
    file, mapping = tmp_path / "bank.csv", tmp_path / "bank.toml"
    file.write_text(BANK_CSV, encoding="utf-8")
    upload = ("upload", str(file), *MAIN, "--by", "anna", "--mapping", str(mapping))
    mapping.write_text(BANK.replace("times =", "tmies ="), encoding="utf-8")
    misspelt = await command(api, *upload)
    mapping.write_text(BANK, encoding="utf-8")
    brought = await command(api, *upload)
    assert (2, True) == (misspelt.returncode, "tmies" in misspelt.stderr)
    assert (0, True) == (brought.returncode, "version 1 of wechat/main trades" in brought.stderr), brought.stderr
    ran = await command(api, "run", *MAIN, "--no-fetch", "--json")
    (day,) = json.loads(ran.stdout)
    assert (0, 2, ["payment", "refund"]) == (
        ran.returncode, day["run"]["lines"], sorted(one["break"]["what"] for one in day["changes"]),
    )  # fmt: skip


@pytest.mark.parametrize("form", OTHERS)
async def test_fixed_width_and_excel_are_brought_listed_and_taken_again(api: Api, tmp_path: Path, form: str) -> None:
    """With their descriptions; `bills` lists them, `download` writes the very same file, once, for who may have it."""
    name, described, content, lines = OTHERS[form]
    file, mapping = tmp_path / name, tmp_path / "bank.toml"
    file.write_bytes(content)
    mapping.write_text(described, encoding="utf-8")
    brought = await command(api, "upload", str(file), *MAIN, "--by", "anna", "--mapping", str(mapping), "--json")
    bill = json.loads(brought.stdout)
    assert (0, "sound", lines) == (brought.returncode, bill["state"], bill["lines"]), brought.stderr
    (listed,) = json.loads((await command(api, "bills", "--json")).stdout)
    assert (bill["id"], name, "sound") == (listed["id"], listed["file_name"], listed["state"])
    await a_user(api, "carol", Role.FINANCE)
    await a_user(api, "vera", Role.VIEWER)
    take = ("download", bill["id"], "--to", str(tmp_path), "--by")
    first, again, looker = [await command(api, *take, who, "--json") for who in ("carol", "carol", "vera")]
    said = json.loads(first.stdout)
    assert (0, content, len(content)) == (first.returncode, Path(said["path"]).read_bytes(), said["size_bytes"])
    assert (2, True) == (again.returncode, "is there already" in again.stderr), again.stderr
    assert (True, True) == (looker.returncode > 0, "role" in looker.stderr), looker.stderr
