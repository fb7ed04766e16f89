"""A Stripe account: live or test mode, the secret key for requests, the webhook secrets for callbacks."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from paidup.channels.account_toml import AccountToml
from paidup.channels.channel import Account, KeyInfo

PRODUCTION_URL = "https://api.stripe.com"

_NAMES = (
    "shop", "notify_url", "base_url", "secret_key", "webhook_secrets", "livemode", "connect_account", "timezone",
)  # fmt: skip
_UTC = "Etc/UTC"


class Secret(msgspec.Struct, frozen=True):
    """A secret and the file it came from; it prints as ``***``."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"Secret({self.name!r}, ***)"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.value.encode()).hexdigest()[:16]


class StripeAccount(Account, frozen=True, kw_only=True):
    """payee is ``live`` or ``test``, plus ``/<acct>`` when requests are made for a connected account. timezone: the
    account's own, in which the days of its bills are counted."""

    secret_key: Secret
    webhook_secrets: tuple[Secret, ...]
    connect_account: str | None
    timezone: str = _UTC

    @property
    def zone(self) -> tzinfo:
        """The time zone; UTC needs no time zone database on the machine."""
        return UTC if self.timezone == _UTC else ZoneInfo(self.timezone)


def parse_account(name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> StripeAccount:
    """Build the account from account.toml and its secret files. Raises ConfigError naming what is wrong."""
    toml = AccountToml(f"stripe/{name}", table, files, _NAMES)
    livemode = toml.flag("livemode")
    connect = toml.text("connect_account") if "connect_account" in table else None
    return StripeAccount(
        channel="stripe",
        name=name,
        shop=toml.text("shop"),
        payee=payee(livemode, connect),
        base_url=toml.url("base_url", PRODUCTION_URL),
        notify_url=toml.url("notify_url"),
        secret_key=_secret_key(toml, livemode),
        webhook_secrets=tuple(_secret(toml, "webhook_secrets", *file) for file in toml.file_list("webhook_secrets")),
        connect_account=connect,
        timezone=_timezone(toml),
    )


def keys(account: StripeAccount) -> tuple[KeyInfo, ...]:
    """The secrets by their fingerprints: no secret has a public part."""
    ours = KeyInfo("sign requests", account.secret_key.name, account.secret_key.fingerprint)
    theirs = (KeyInfo("verify callbacks", key.name, key.fingerprint) for key in account.webhook_secrets)
    return (ours, *theirs)


def payee(livemode: bool, connect: str | None) -> str:
    """Who gets the money, in the form of Account.payee."""
    mode = "live" if livemode else "test"
    return f"{mode}/{connect}" if connect else mode


def _timezone(toml: AccountToml) -> str:
    name = toml.text("timezone", _UTC)
    try:
        if name != _UTC:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise toml.wrong("timezone", "must be one of Stripe's dashboard, such as Europe/Berlin") from None
    return name


def _secret_key(toml: AccountToml, livemode: bool) -> Secret:
    """Refuses a key whose prefix (``sk_live_``, ``rk_test_`` …) contradicts `livemode`."""
    secret = _secret(toml, "secret_key", *toml.file("secret_key"))
    contrary = "_test_" if livemode else "_live_"
    if secret.value[2:8] == contrary:
        raise toml.wrong(
            "livemode", f"is {str(livemode).lower()}, but {secret.name!r} holds a {contrary.strip('_')} key"
        )
    return secret


def _secret(toml: AccountToml, name: str, file: str, content: bytes) -> Secret:
    value = content.strip()
    if not value.isascii() or len(value.split()) != 1 or len(value) > 500:
        raise toml.wrong(name, f"in {file!r} must be one secret on one line, as Stripe's dashboard shows it")
    return Secret(file, value.decode("ascii"))
