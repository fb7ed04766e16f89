"""`paidup keys fetch-certificates`: WeChat Pay's platform certificates, from the sandbox into the account's folder."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding
from test_secrets_in_logs import found_in, secrets_below

from paidup.channels.accounts import MAX_FILES, AccountsFolder
from paidup.channels.wechat import WECHAT, WechatAccount
from paidup.cli import cli
from paidup.clock import SystemClock
from paidup.errors import ConfigError
from paidup.hand.golive import keys_that_end
from paidup.sandbox.keys import Keys, make_keys
from paidup.sandbox.server import SandboxConfig, serving
from wechat_side import CERTIFICATE_SERIAL, NOW, TABLE, certificate, files, public_pem
from wechat_side import account as of_wechat

FETCH = ("keys", "fetch-certificates", "wechat/main")


@dataclass
class New:
    """A new account in certificate mode: it has no key of WeChat Pay's yet."""

    accounts: Path
    keys: Keys

    @property
    def folder(self) -> Path:
        return self.accounts / "wechat" / "main"

    @property
    def toml(self) -> Path:
        return self.folder / "account.toml"

    @property
    def serial(self) -> str:
        return f"{self.keys.wechat.certificate.serial_number:X}"

    @property
    def kept(self) -> Path:
        return self.folder / f"platform_{self.serial}.pem"

    def files(self) -> Mapping[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    async def run(self, *words: str, **settings: str) -> Result:
        env = {"PAIDUP_ACCOUNTS": str(self.accounts), "PAIDUP_DATA": str(self.accounts.parent / "data")} | settings
        return await asyncio.to_thread(CliRunner().invoke, cli, words, env=env)


@pytest.fixture(scope="module")
def sandbox_keys() -> Keys:
    return make_keys(SystemClock().now())


@pytest.fixture
async def new(tmp_path: Path, sandbox_keys: Keys) -> AsyncIterator[New]:
    config = SandboxConfig(accounts_dir=tmp_path / "accounts", port=0, paidup_url="http://127.0.0.1:9", shop="acme")
    async with serving(config, SystemClock(), {"main": sandbox_keys}):
        account = New(tmp_path / "accounts", sandbox_keys)
        head, _, _ = account.toml.read_text().partition("platform_certificates")
        account.toml.write_text(head)
        for name in ("platform_cert.pem", "public_key.pem"):
            (account.folder / name).unlink()
        yield account


async def test_a_new_account_gets_its_certificate_and_is_usable_then(new: New) -> None:
    """Before, the account cannot be read, and the error names the command; afterwards it verifies by what was kept."""
    with pytest.raises(ConfigError, match="run: paidup keys fetch-certificates wechat/main"):
        AccountsFolder(new.accounts)
    ran = await new.run(*FETCH)
    account = AccountsFolder(new.accounts).current.get("wechat", "main")
    assert isinstance(account, WechatAccount)
    assert (0, [new.serial]) == (ran.exit_code, [key.serial for key in account.verify_keys]), ran.output
    assert new.keys.wechat.certificate.public_bytes(Encoding.PEM) == new.kept.read_bytes()
    assert 0o644 == stat.S_IMODE(new.kept.stat().st_mode)
    end = f"{new.keys.wechat.certificate.not_valid_after_utc:%Y-%m-%d}"
    assert [] == [word for word in (new.serial, end, "new", "1 new: in force") if word not in ran.output]


async def test_a_second_run_changes_nothing(new: New) -> None:
    """Not a byte in the folder; it exits with 0 and says so, also to a machine."""
    first = json.loads((await new.run(*FETCH, "--json")).stdout)
    before = new.files()
    ran = await new.run(*FETCH, "--json")
    second = json.loads(ran.stdout)
    assert ("new", "known") == (first["certificates"][0]["state"], second["certificates"][0]["state"])
    assert (0, None, before) == (ran.exit_code, second["certificates"][0]["file"], new.files())
    assert ["nothing to do: all are known; run this again within 12 hours"] == second["next"]


async def test_a_certificate_that_account_toml_names_is_known(new: New) -> None:
    """Whatever its file is called, it is not written a second time."""
    (new.folder / "mine.pem").write_bytes(new.keys.wechat.certificate.public_bytes(Encoding.PEM))
    new.toml.write_text(new.toml.read_text() + 'platform_certificates = ["mine.pem"]\n')
    ran = await new.run(*FETCH)
    assert (0, False) == (ran.exit_code, new.kept.exists()), ran.output


async def test_a_running_serve_takes_the_new_certificate_by_itself(new: New) -> None:
    """The folder read again has it, with no line in account.toml; another account's broken edit is in nobody's way."""
    (new.folder / "wechat.pem").write_bytes(public_pem("wechat"))
    new.toml.write_text(new.toml.read_text() + '[public_keys]\n"PUB_KEY_ID_1" = "wechat.pem"\n')
    serve = AccountsFolder(new.accounts)
    broken = new.accounts / "stripe" / "main" / "account.toml"
    right = broken.read_text()
    broken.write_text("no toml")
    ran = await new.run(*FETCH)
    broken.write_text(right)
    account = serve.current.get("wechat", "main") if serve.refresh() else None
    assert isinstance(account, WechatAccount), ran.output
    assert ["PUB_KEY_ID_1", new.serial] == [key.serial for key in account.verify_keys]


async def test_a_wrong_apiv3_key_is_named_and_nothing_is_written(new: New) -> None:
    """What does not open with it did not come from WeChat Pay, or the key was reset: exit 2, the folder as it was."""
    (new.folder / "apiv3.key").write_text("another-key-of-exactly-32-bytes!")
    before = new.files()
    ran = await new.run(*FETCH)
    assert (True, before) == ("no APIv3 key opens it" in str(ran.exception), new.files()), ran.output


async def test_another_file_of_that_name_is_not_overwritten(new: New) -> None:
    """The command says what to move away."""
    new.kept.write_bytes(b"mine")
    new.kept.chmod(0o600)
    ran = await new.run(*FETCH)
    assert (b"mine", True) == (new.kept.read_bytes(), "move it away" in str(ran.exception)), ran.output


async def test_a_full_folder_stays_readable(new: New) -> None:
    """A file more than are read would shut the whole account out; so it is not written."""
    for n in range(MAX_FILES - len(new.files())):
        (new.folder / f"old{n}.pem").write_bytes(certificate("platform"))
    ran = await new.run(*FETCH)
    assert (True, MAX_FILES) == (f"has {MAX_FILES} files already" in str(ran.exception), len(new.files()))


@pytest.mark.parametrize("of", ["stripe/main", "wechat", "wechat/other", "wechat/../main"])
async def test_only_an_account_of_wechat_pays_is_asked_for(new: New, of: str) -> None:
    """The error says what to write, or which accounts there are."""
    ran = await new.run("keys", "fetch-certificates", of)
    said = str(ran.exception)
    assert "write wechat/main" in said or "known are: alipay/main, stripe/main, wechat/main" in said


async def test_no_secret_is_printed(new: New) -> None:
    """Neither by the command nor by the error of a channel that is away."""
    secrets = set(secrets_below(new.folder))
    said = (await new.run(*FETCH)).output
    new.toml.write_text(new.toml.read_text().replace("base_url", 'base_url = "http://127.0.0.1:9"\n# '))
    away = await new.run(*FETCH)
    said += f"{away.output} {away.exception}"
    assert (set(), True) == (found_in(said, secrets), "no certificates came, and nothing was changed" in said)
    assert secrets


# What is in force, and what is said before one ends ------------------------------------------------------------------


def test_a_kept_file_that_is_not_what_its_name_says_is_refused() -> None:
    """Otherwise somebody would look for a serial that is not there."""
    beside = {"platform_ABCDEF.pem": certificate("platform")}
    with pytest.raises(ConfigError, match=r"platform_ABCDEF\.pem: is not the RSA certificate of serial ABCDEF"):
        _with_files(beside)


def test_a_certificate_that_is_named_and_kept_is_one_key() -> None:
    """So is a file that account.toml names although it needs no line."""
    serial = CERTIFICATE_SERIAL.lstrip("0")
    both = _with_files({f"platform_{serial}.pem": certificate("platform")})
    named = {**TABLE, "platform_certificates": [f"platform_{serial}.pem"]}
    assert of_wechat().verify_keys == both.verify_keys
    assert (
        of_wechat().verify_keys == _with_files({f"platform_{serial}.pem": certificate("platform")}, named).verify_keys
    )


def _with_files(beside: Mapping[str, bytes], table: Mapping[str, object] = TABLE) -> WechatAccount:
    return WECHAT.parse_account("main", table, {**files(), **beside})


END = NOW + timedelta(days=5 * 365)


@pytest.mark.parametrize(
    ("left", "state", "says"),
    [
        (timedelta(days=31), None, ""),
        (timedelta(days=29), "warn", "`paidup keys fetch-certificates wechat/main`, twice a day until it is there"),
        (timedelta(days=-1), "refuse", "fetch its successor by `paidup keys fetch-certificates wechat/main`"),
    ],
)
def test_the_command_is_named_before_a_certificate_ends(left: timedelta, state: str | None, says: str) -> None:
    """From 30 days before, with what gets the successor."""
    found = keys_that_end(of_wechat(), END - left)
    assert [state] * bool(state) == [one.state for one in found]
    assert all(says in one.says.english() for one in found)


@pytest.mark.parametrize(("left", "says"), [(29, []), (-1, ["another is there: remove its file"])])
def test_a_certificate_with_a_successor_ends_without_alarm(left: int, says: list[str]) -> None:
    """Nothing is said before, and afterwards only that its file can go."""
    both = _with_files({"platform_ABC.pem": certificate("next", "ABC", 9 * 365)})
    found = keys_that_end(both, END - timedelta(days=left))
    assert says == [words for one in found for words in says if one.state == "warn" and words in one.says.english()]
    assert len(says) == len(found)


async def test_the_doctor_names_the_command(new: New, db_dsn: str) -> None:
    """Without being asked about the account: it is what a timer runs."""
    (new.folder / "platform_ABC.pem").write_bytes(certificate("platform", "ABC", -1))
    ran = await new.run("doctor", PAIDUP_DATABASE_URL=db_dsn)
    assert "warn    wechat/main: The certificate ABC has ended: fetch its successor by" in ran.output, ran.output
    assert "paidup keys fetch-certificates wechat/main" in ran.output


async def test_an_ended_certificate_is_named_to_be_removed(new: New) -> None:
    """It stays until a person removes it: the command deletes nothing."""
    (new.folder / "platform_ABC.pem").write_bytes(certificate("platform", "ABC", -1))
    ran = await new.run(*FETCH)
    assert (0, True) == (ran.exit_code, "ABC has ended: remove its file" in ran.output), ran.output
    assert (new.folder / "platform_ABC.pem").exists()
