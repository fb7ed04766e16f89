"""A WeChat Pay account: who is paid, our key to sign with, WeChat's keys to verify with, and the APIv3 keys."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeGuard

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from paidup.channels.account_toml import AccountToml
from paidup.channels.channel import Account, KeyInfo
from paidup.channels.private_keys import read_pem
from paidup.errors import ConfigError

PRODUCTION_URL = "https://api.mch.weixin.qq.com"
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
APIV3_KEY_BYTES = 32
"""AES-256. A key of 16 or 24 bytes would silently mean a weaker cipher, which WeChat Pay never uses."""
MIN_KEY_BITS = 2048

_NAMES = (
    "shop", "notify_url", "base_url", "mchid", "appid", "private_key", "certificate_serial", "apiv3_keys",
    "platform_certificates", "public_keys",
)  # fmt: skip

_MCHID = re.compile(r"[0-9]{1,32}")
_APPID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SERIAL = re.compile(r"[0-9A-Fa-f]{1,64}")
_KEPT = re.compile(r"platform_([0-9A-F]{1,64})\.pem")


class VerifyKey(msgspec.Struct, frozen=True):
    """One of WeChat's keys, under the serial or PUB_KEY_ID_… that messages name it by."""

    serial: str
    public: RSAPublicKey
    expires_at: datetime | None = None


class Secret(msgspec.Struct, frozen=True):
    """Bytes that no repr shows."""

    value: bytes

    def __repr__(self) -> str:
        return "Secret(***)"


class WechatAccount(Account, frozen=True, kw_only=True):
    """payee is ``<mchid>/<appid>``. verify_keys: certificates and public keys side by side, all accepted."""

    mchid: str
    appid: str
    private_key: RSAPrivateKey
    certificate_serial: str
    apiv3_keys: tuple[Secret, ...]
    verify_keys: tuple[VerifyKey, ...]

    def takes_for(self, payee: str) -> bool:
        """The same merchant number, through whichever of its apps."""
        return payee.partition("/")[0] == self.mchid

    def verify_key(self, serial: str) -> VerifyKey | None:
        """The key of this serial. Certificates' serials are numbers in hex: case and leading zeros mean nothing."""
        wanted = serial if serial.startswith(PUBLIC_KEY_PREFIX) else serial.upper().lstrip("0")
        return next((key for key in self.verify_keys if key.serial == wanted), None)


def parse_account(name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> WechatAccount:
    """Build the account from account.toml and its key files. Raises ConfigError naming what is wrong."""
    account = parse_new_account(name, table, files)
    if not account.verify_keys:
        raise AccountToml(f"wechat/{name}", table, files, _NAMES).wrong(
            "public_keys",
            "or platform_certificates must name a key of WeChat Pay to verify with; in certificate mode run: "
            f"paidup keys fetch-certificates wechat/{name}",
        )
    return account


def parse_new_account(name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> WechatAccount:
    """The same for one that may have no key of WeChat Pay's yet: enough to fetch its certificates, and no more."""
    toml = AccountToml(f"wechat/{name}", table, files, _NAMES)
    mchid = _formed(toml, "mchid", _MCHID, "must be the merchant's number (商户号), digits only")
    appid = _formed(toml, "appid", _APPID, "must be the app's id, such as wx1234567890abcdef")
    serial = _formed(toml, "certificate_serial", _SERIAL, "must be the merchant certificate's serial number in hex")
    named = _certificates(toml, table)
    return WechatAccount(
        channel="wechat",
        name=name,
        shop=toml.text("shop"),
        payee=f"{mchid}/{appid}",
        base_url=toml.url("base_url", PRODUCTION_URL),
        notify_url=_notify_url(toml),
        mchid=mchid,
        appid=appid,
        private_key=_private_key(toml),
        certificate_serial=serial.upper(),
        apiv3_keys=tuple(_apiv3_key(toml, *file) for file in toml.file_list("apiv3_keys")),
        verify_keys=(*_public_keys(toml, table, files), *named, *_kept(table, files, named, name)),
    )


def keys(account: WechatAccount) -> tuple[KeyInfo, ...]:
    """Our signing key, WeChat's keys, and the APIv3 keys by the fingerprint of the whole."""
    ours = KeyInfo("sign requests", account.certificate_serial, _fingerprint(account.private_key.public_key()))
    theirs = (
        KeyInfo("verify callbacks and answers", key.serial, _fingerprint(key.public), key.expires_at)
        for key in account.verify_keys
    )
    secrets = (
        KeyInfo("decrypt callbacks", f"APIv3 key {n}", hashlib.sha256(secret.value).hexdigest()[:16])
        for n, secret in enumerate(account.apiv3_keys, start=1)
    )
    return (ours, *theirs, *secrets)


def certificate_key(pem: bytes) -> VerifyKey:
    """The key of a platform certificate, under its serial. Raises ValueError when it is no RSA certificate."""
    from cryptography import x509  # noqa: PLC0415  slow to load, and few accounts have certificates

    certificate = x509.load_pem_x509_certificate(pem)
    try:
        public = certificate.public_key()
    except UnsupportedAlgorithm:
        public = None
    if not _is_strong(public):
        raise ValueError(f"not an RSA certificate of {MIN_KEY_BITS} bits or more")
    return VerifyKey(f"{certificate.serial_number:X}", public, certificate.not_valid_after_utc)


def kept_file(serial: str) -> str:
    """The file of a platform certificate that is in force without a line in account.toml: its name says whose it is."""
    return f"platform_{serial}.pem"


def _kept(
    table: Mapping[str, object], files: Mapping[str, bytes], named: tuple[VerifyKey, ...], account: str
) -> Iterator[VerifyKey]:
    """The certificates in files named by their serial, but for those that account.toml names, too."""
    in_toml, known = table.get("platform_certificates"), {key.serial for key in named}
    for file in sorted(files):
        form = _KEPT.fullmatch(file)
        if form is None or (isinstance(in_toml, list) and file in in_toml):
            continue
        try:
            key = certificate_key(files[file])
        except ValueError:
            key = None
        if key is None or file != kept_file(key.serial):
            raise ConfigError(
                f"wechat/{account}/{file}: is not the RSA certificate of serial {form[1]}; move it away, "
                f"and run: paidup keys fetch-certificates wechat/{account}"
            )
        if key.serial not in known:
            yield key


def _certificates(toml: AccountToml, table: Mapping[str, object]) -> tuple[VerifyKey, ...]:
    if "platform_certificates" not in table:
        return ()
    found = []
    for file, content in toml.file_list("platform_certificates"):
        try:
            found.append(certificate_key(content))
        except ValueError:
            raise toml.wrong(
                "platform_certificates", f"{file!r} is no RSA certificate in PEM form, of 2048 bits or more"
            ) from None
    return tuple(found)


def _public_keys(toml: AccountToml, table: Mapping[str, object], files: Mapping[str, bytes]) -> tuple[VerifyKey, ...]:
    named = table.get("public_keys", {})
    if not isinstance(named, dict):
        raise toml.wrong("public_keys", 'must be a table such as "PUB_KEY_ID_0116…" = "public_key.pem"')
    return tuple(_public_key(toml, serial, str(file), files) for serial, file in named.items())


def _public_key(toml: AccountToml, serial: str, file: str, files: Mapping[str, bytes]) -> VerifyKey:
    if not serial.startswith(PUBLIC_KEY_PREFIX):
        raise toml.wrong("public_keys", f"has {serial!r}; WeChat Pay's ids begin with {PUBLIC_KEY_PREFIX}")
    if file not in files:
        raise toml.wrong("public_keys", f"names the file {file!r}, which is not beside it")
    try:
        public = load_pem_public_key(files[file])
    except (ValueError, UnsupportedAlgorithm):
        raise toml.wrong("public_keys", f"{file!r} is no public key in PEM form") from None
    if not _is_strong(public):
        raise toml.wrong("public_keys", f"{file!r} is no RSA key of {MIN_KEY_BITS} bits or more")
    return VerifyKey(serial, public)


def _is_strong(key: object) -> TypeGuard[RSAPublicKey]:
    return isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS


def _formed(toml: AccountToml, name: str, form: re.Pattern[str], must: str) -> str:
    """A text of this form; it goes into headers and URLs as it stands."""
    value = toml.text(name)
    if not form.fullmatch(value):
        raise toml.wrong(name, f"{must}, not {value[:60]!r}")
    return value


def _notify_url(toml: AccountToml) -> str:
    url = toml.url("notify_url")
    if "?" in url or "#" in url:
        raise toml.wrong("notify_url", f"must carry no query, WeChat Pay refuses it: {url!r}")
    return url


def _private_key(toml: AccountToml) -> RSAPrivateKey:
    file, content = toml.file("private_key")
    try:
        key = read_pem(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise toml.wrong("private_key", f"in {file!r} is no unencrypted private key in PEM form") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise toml.wrong("private_key", f"in {file!r} must be an RSA key of 2048 bits or more (apiclient_key.pem)")
    return key


def _apiv3_key(toml: AccountToml, file: str, content: bytes) -> Secret:
    secret = content.strip()
    if len(secret) != APIV3_KEY_BYTES:
        raise toml.wrong("apiv3_keys", f"{file!r} has {len(secret)} bytes; an APIv3 key has {APIV3_KEY_BYTES}")
    return Secret(secret)


def _fingerprint(key: RSAPublicKey) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]
