"""Writes the merchant's side of the sandbox's keys as account folders, which Paidup reads."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from paidup.errors import ConfigError
from paidup.sandbox.keys import AlipayKeys, Keys, StripeKeys, WechatKeys, private_pem, public_pem

# The names that Paidup takes, in a file that anybody may read who tests another integration with it.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_URL = re.compile(r"https?://[^\s\"\\?#/]+(?:/[^\s\"\\?#]*)?")

_Files = Mapping[str, str | bytes]


def write_accounts(folder: Path, keys: Keys, *, base_url: str, paidup_url: str, shop: str, name: str = "main") -> None:
    """One account of this name per channel below `folder`; files 0600, folders 0700.

    Raises ConfigError, and writes nothing, when one of them is there already and speaks to a real channel, or when
    Paidup could not read what it writes.
    """
    for what, text in (("account", name), ("shop", shop)):
        if not _NAME.fullmatch(text):
            raise ConfigError(f"{what} {text[:60]!r}: name it with a-z, 0-9, - and _ only, at most 40 characters")
    if not _URL.fullmatch(paidup_url):
        raise ConfigError(f"{paidup_url[:80]!r} is no address for callbacks; write it as http://127.0.0.1:8400")
    files: dict[str, _Files] = {
        "wechat": _wechat(keys.wechat),
        "alipay": _alipay(keys.alipay),
        "stripe": _stripe(keys.stripe),
    }
    for channel in files:
        _must_be_free(folder / channel / name)
    for channel, own in files.items():
        head = f'shop = "{shop}"\nbase_url = "{base_url}"\nnotify_url = "{paidup_url}/callbacks/{channel}/{name}"\n'
        _write(folder / channel / name, {**own, "account.toml": f"{head}{_text(own['account.toml'])}"})


def _wechat(keys: WechatKeys) -> _Files:
    toml = f"""\
mchid = "{keys.mchid}"
appid = "{keys.appid}"
private_key = "merchant_key.pem"
certificate_serial = "{keys.merchant_serial}"
apiv3_keys = ["apiv3.key"]
platform_certificates = ["platform_cert.pem"]

[public_keys]
"{keys.public_key_id}" = "public_key.pem"
"""
    return {
        "merchant_key.pem": private_pem(keys.merchant),
        "apiv3.key": keys.apiv3,
        "platform_cert.pem": keys.certificate.public_bytes(Encoding.PEM),
        "public_key.pem": public_pem(keys.public),
        "account.toml": toml,
    }


def _alipay(keys: AlipayKeys) -> _Files:
    toml = f"""\
app_id = "{keys.app_id}"
seller_id = "{keys.seller_id}"
private_key = "app_key.pem"
alipay_public_keys = ["alipay_public.pem"]
"""
    return {"app_key.pem": private_pem(keys.app), "alipay_public.pem": public_pem(keys.platform), "account.toml": toml}


def _stripe(keys: StripeKeys) -> _Files:
    toml = """\
secret_key = "secret.key"
webhook_secrets = ["webhook.secret"]
livemode = false
"""
    return {"secret.key": keys.secret, "webhook.secret": keys.webhook, "account.toml": toml}


def _must_be_free(folder: Path) -> None:
    """Nobody's real keys are overwritten: what may be replaced speaks to this machine only."""
    toml = folder / "account.toml"
    if not toml.exists():
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} holds files of somebody else: give the sandbox a folder of its own")
        return
    try:
        base_url = str(tomllib.loads(toml.read_text()).get("base_url", ""))
    except ValueError:
        base_url = ""
    if not base_url.startswith(("http://127.0.0.1:", "http://localhost:")):
        raise ConfigError(f"{toml} is no sandbox's account: give the sandbox a folder of its own (accounts_dir)")


def _write(folder: Path, files: _Files) -> None:
    """account.toml comes last, and each file at once: who reads in between sees the old account, or an error."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder} ({error.strerror}): give the sandbox another") from None
    for name, content in files.items():
        fresh = folder / f".{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        fresh.replace(folder / name)


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()
