"""Channel accounts as they stand in a folder."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

import alipay_side
import stripe_side
import wechat_side
from paidup.channels.accounts import (
    MAX_FILE_BYTES,
    MAX_FILES,
    AccountsFolder,
    add_file,
    changed_since,
    load_accounts,
)
from paidup.channels.channel import Account
from paidup.channels.registry import CHANNELS, channel
from paidup.errors import ConfigError, NotFound

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


class ToyAccount(Account, frozen=True, kw_only=True):
    """An account with one secret beside it."""

    secret: bytes


class Toy:
    """As much of a channel as reading accounts needs."""

    def parse_account(self, name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> ToyAccount:
        if "secret.txt" not in files:
            raise ConfigError(f"toy/{name}: secret.txt is missing")
        return ToyAccount(
            channel="toy",
            name=name,
            shop=str(table["shop"]),
            payee="p",
            base_url=str(table.get("base_url", "https://api.toy.example")),
            notify_url="https://n",
            secret=files["secret.txt"],
        )


TOY = {"toy": Toy()}


def write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def add(folder: Path, name: str, shop: str = "s1", secret: bytes = b"one", toml: bytes = b"") -> None:
    write(folder / "toy" / name / "account.toml", b'shop = "%b"\n%b' % (shop.encode(), toml))
    write(folder / "toy" / name / "secret.txt", secret)


def test_accounts_are_found_by_channel_and_name_and_by_shop(tmp_path: Path) -> None:
    """Two shops, three accounts."""
    add(tmp_path, "b", shop="s1")
    add(tmp_path, "a", shop="s1", secret=b"two")
    add(tmp_path, "c", shop="s2")
    accounts = load_accounts(tmp_path, TOY)
    assert accounts.get("toy", "a") == TOY["toy"].parse_account("a", {"shop": "s1"}, {"secret.txt": b"two"})
    assert [account.name for account in accounts.of_shop("s1")] == ["a", "b"]


def test_an_unknown_account_is_not_found_and_the_known_ones_are_named(tmp_path: Path) -> None:
    """The message helps whoever mistyped."""
    add(tmp_path, "main")
    with pytest.raises(NotFound, match="no channel account toy/mian; known are: toy/main"):
        load_accounts(tmp_path, TOY).get("toy", "mian")


def test_a_folder_that_is_not_there_has_no_accounts(tmp_path: Path) -> None:
    """Paidup starts before anybody wrote an account."""
    assert dict(load_accounts(tmp_path / "none", TOY).by_name) == {}


def test_a_secret_that_others_can_read_is_refused_with_the_mend(tmp_path: Path) -> None:
    """One bit for the group is enough."""
    add(tmp_path, "main")
    path = write(tmp_path / "toy" / "main" / "secret.txt", b"x", mode=0o640)
    with pytest.raises(ConfigError, match=f"run: chmod 600 {path}"):
        load_accounts(tmp_path, TOY)


def test_a_private_key_beside_a_certificate_is_still_a_secret(tmp_path: Path) -> None:
    """A file is public only when nothing else is in it."""
    add(tmp_path, "main")
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    write(tmp_path / "toy" / "main" / "both.pem", CERTIFICATE + key, mode=0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_accounts(tmp_path, TOY)


def test_certificates_may_be_read_by_everybody(tmp_path: Path) -> None:
    """They are public, and come out of archives with mode 644."""
    add(tmp_path, "main")
    write(tmp_path / "toy" / "main" / "platform.pem", CERTIFICATE, mode=0o644)
    assert load_accounts(tmp_path, TOY).get("toy", "main").name == "main"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Otherwise an account could be made to read any file of this user."""
    add(tmp_path / "accounts", "main")
    outside = write(tmp_path / "elsewhere.txt", b"x")
    (tmp_path / "accounts" / "toy" / "main" / "extra.txt").symlink_to(outside)
    with pytest.raises(ConfigError, match="leads out of"):
        load_accounts(tmp_path / "accounts", TOY)


def test_an_account_folder_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    """The same for whole folders."""
    add(tmp_path / "elsewhere", "main")
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "toy").symlink_to(tmp_path / "elsewhere" / "toy")
    with pytest.raises(ConfigError, match="leads out of"):
        load_accounts(tmp_path / "accounts", TOY)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    """Mounted secrets are links to a hidden folder that is swapped as a whole."""
    add(tmp_path, "main")
    real = write(tmp_path / "toy" / "main" / "..data" / "secret.txt", b"mounted")
    (tmp_path / "toy" / "main" / "secret.txt").unlink()
    (tmp_path / "toy" / "main" / "secret.txt").symlink_to(real)
    assert load_accounts(tmp_path, TOY).get("toy", "main").secret == b"mounted"


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    """It names the file and does not hang."""
    add(tmp_path, "main")
    loop = tmp_path / "toy" / "main" / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match="loop"):
        load_accounts(tmp_path, TOY)


def test_a_pipe_beside_an_account_is_refused(tmp_path: Path) -> None:
    """Reading it would hang the process."""
    add(tmp_path, "main")
    os.mkfifo(tmp_path / "toy" / "main" / "pipe", 0o600)
    with pytest.raises(ConfigError, match="not a plain file"):
        load_accounts(tmp_path, TOY)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """No key has 64 KiB."""
    add(tmp_path, "main")
    write(tmp_path / "toy" / "main" / "film.pem", b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 65536 bytes"):
        load_accounts(tmp_path, TOY)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    """A downloads folder is not an account."""
    add(tmp_path, "main")
    for number in range(MAX_FILES):
        write(tmp_path / "toy" / "main" / f"{number}.txt", b"x")
    with pytest.raises(ConfigError, match=f"more than {MAX_FILES} files"):
        load_accounts(tmp_path, TOY)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("toy/main/account.toml", b"shop = ", "not TOML"),
        ("toy/main/account.toml", b"\xff\xfe", "not TOML"),
        ("toy/other/readme.txt", b"x", "has no account.toml"),
        ("toi/main/account.toml", b"", "there is no channel 'toi'; known are toy"),
        ("toy/Main Account/account.toml", b"", "name it with a-z"),
    ],
)
def test_a_wrong_folder_names_what_is_wrong(tmp_path: Path, path: str, content: bytes, message: str) -> None:
    """And where."""
    add(tmp_path, "main")
    write(tmp_path / path, content)
    with pytest.raises(ConfigError, match=message) as wrong:
        load_accounts(tmp_path, TOY)
    assert str(wrong.value).startswith(str(tmp_path / path.split("/", maxsplit=1)[0]))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.toy.example", "ftp://127.0.0.1", "api.toy.example", "http://[::1", "https://",
        "http://10.0.0.1", "https://" + "a" * 70 + ".example",
    ],
)  # fmt: skip
def test_keys_are_sent_over_tls_only(tmp_path: Path, url: str) -> None:
    """Anything but https to a usable name is refused, unless it is this very machine."""
    add(tmp_path, "main", toml=f'base_url = "{url}"'.encode())
    with pytest.raises(ConfigError, match="write an https:// address"):
        load_accounts(tmp_path, TOY)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "https://api.example"])
def test_the_sandbox_on_this_machine_may_do_without_tls(tmp_path: Path, url: str) -> None:
    """Loopback never leaves the machine."""
    add(tmp_path, "main", toml=f'base_url = "{url}"'.encode())
    assert load_accounts(tmp_path, TOY).get("toy", "main").base_url == url


def test_accounts_do_not_show_their_keys(tmp_path: Path) -> None:
    """Neither all of them nor one: a value may stand in a log line or a traceback."""
    add(tmp_path, "main", secret=b"hunter2")
    accounts = load_accounts(tmp_path, TOY)
    assert repr(accounts) == "Accounts(toy/main)"
    assert f"{accounts.get('toy', 'main')}" == "ToyAccount(toy/main)"


def test_nothing_changed_is_seen_without_parsing(tmp_path: Path) -> None:
    """The fingerprint covers every byte and every name."""
    add(tmp_path, "main")
    fingerprint = load_accounts(tmp_path, TOY).fingerprint
    assert changed_since(tmp_path, fingerprint) is False
    write(tmp_path / "toy" / "main" / "secret.txt", b"two")
    assert changed_since(tmp_path, fingerprint) is True


def test_a_key_is_rotated_without_a_restart(tmp_path: Path) -> None:
    """refresh says True once, and the new key is there."""
    add(tmp_path, "main", secret=b"old")
    folder = AccountsFolder(tmp_path, TOY)
    assert folder.refresh() is False
    write(tmp_path / "toy" / "main" / "secret.txt", b"new")
    assert [folder.refresh(), folder.refresh()] == [True, False]
    assert folder.current.get("toy", "main").secret == b"new"


def test_a_broken_edit_keeps_the_old_accounts_and_says_why(tmp_path: Path) -> None:
    """Payments go on with the keys we had; mending it clears the error."""
    add(tmp_path, "main", secret=b"old")
    folder = AccountsFolder(tmp_path, TOY)
    (tmp_path / "toy" / "main" / "secret.txt").unlink()
    assert folder.refresh() is False
    assert (folder.error, folder.current.get("toy", "main").secret) == ("toy/main: secret.txt is missing", b"old")
    write(tmp_path / "toy" / "main" / "secret.txt", b"new")
    assert (folder.refresh(), folder.error) == (True, None)


def test_undoing_a_broken_edit_clears_the_error(tmp_path: Path) -> None:
    """The folder says again what we hold: nothing changed, nothing is wrong."""
    add(tmp_path, "main")
    folder = AccountsFolder(tmp_path, TOY)
    secret = tmp_path / "toy" / "main" / "secret.txt"
    secret.chmod(0o644)
    assert (folder.refresh(), "chmod 600" in str(folder.error)) == (False, True)
    secret.chmod(0o600)
    assert (folder.refresh(), folder.error) == (False, None)


def test_a_broken_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    """There are no old accounts to go on with."""
    add(tmp_path, "main", toml=b"=")
    with pytest.raises(ConfigError, match="not TOML"):
        AccountsFolder(tmp_path, TOY)


def test_an_unknown_channel_is_not_found() -> None:
    """And the known ones are named."""
    with pytest.raises(NotFound, match="no channel 'cowrie'; known are"):
        channel("cowrie")


def test_every_channel_stands_under_its_own_name() -> None:
    """What the registry calls it is what it calls itself."""
    assert {name: known.name for name, known in CHANNELS.items()} == {name: name for name in CHANNELS}


def test_a_file_is_added_whole_or_not_at_all_and_over_no_other(tmp_path: Path) -> None:
    """Two who add the same one at once both succeed; who would replace another's is told what to move away."""
    add(tmp_path, "main")
    for _ in "12":
        add_file(tmp_path, "toy", "main", "new.pem", CERTIFICATE)
    with pytest.raises(ConfigError, match=r"new\.pem: is there already, with other content; move it away"):
        add_file(tmp_path, "toy", "main", "new.pem", CERTIFICATE + CERTIFICATE)
    where = tmp_path / "toy" / "main"
    assert CERTIFICATE == (where / "new.pem").read_bytes()
    assert ["account.toml", "new.pem", "secret.txt"] == sorted(path.name for path in where.iterdir())
    assert "main" == load_accounts(tmp_path, TOY).get("toy", "main").name


def test_another_app_of_the_same_merchant_takes_money_for_the_same() -> None:
    """Whoever moves to another app may still ask about what was paid through the old one. Another merchant's account,
    or one of the other mode, knows nothing of it."""
    wechat, alipay, stripe = wechat_side.account(), alipay_side.account(), stripe_side.account()
    mchid, seller = wechat.mchid, alipay.seller_id
    assert [True, False] == [wechat.takes_for(payee) for payee in (f"{mchid}/wx-old", f"1/{wechat.appid}")]
    assert [True, False] == [alipay.takes_for(payee) for payee in (f"old/{seller}", f"{alipay.app_id}/2088")]
    assert [True, False] == [stripe.takes_for(payee) for payee in (stripe.payee, "live")]
