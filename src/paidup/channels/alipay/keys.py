"""An Alipay account: whom it pays, our key to sign with, Alipay's keys to verify with."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from paidup.channels.account_toml import AccountToml
from paidup.channels.channel import Account, KeyInfo
from paidup.channels.private_keys import read_der, read_pem
from paidup.errors import ConfigError

PRODUCTION_URL = "https://openapi.alipay.com"
MIN_KEY_BITS = 2048

_NAMES = ("shop", "notify_url", "base_url", "app_id", "seller_id", "private_key", "alipay_public_keys")


class AlipayKey(msgspec.Struct, frozen=True):
    """One of Alipay's public keys; `expires_at` is known when it came in a certificate."""

    name: str
    public: RSAPublicKey
    expires_at: datetime | None = None


class AlipayAccount(Account, frozen=True, kw_only=True):
    """payee is ``<app_id>/<seller_id>``. alipay_keys: newest first, all accepted. The repr shows no key material."""

    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    private_key_name: str
    alipay_keys: tuple[AlipayKey, ...]

    def takes_for(self, payee: str) -> bool:
        """The same seller, through whichever of its apps."""
        return payee.rpartition("/")[2] == self.seller_id

    @property
    def public_keys(self) -> tuple[RSAPublicKey, ...]:
        return tuple(key.public for key in self.alipay_keys)


def parse_account(name: str, table: Mapping[str, object], files: Mapping[str, bytes]) -> AlipayAccount:
    """Build the account from account.toml and its key files. Raises ConfigError naming what is wrong."""
    toml = AccountToml(f"alipay/{name}", table, files, _NAMES)
    app_id, seller_id = toml.text("app_id"), toml.text("seller_id")
    key_name, private = toml.file("private_key")
    return AlipayAccount(
        channel="alipay",
        name=name,
        shop=toml.text("shop"),
        payee=f"{app_id}/{seller_id}",
        base_url=toml.url("base_url", PRODUCTION_URL),
        notify_url=toml.url("notify_url"),
        app_id=app_id,
        seller_id=seller_id,
        private_key=_private_key(toml, key_name, private),
        private_key_name=key_name,
        alipay_keys=tuple(_alipay_key(toml, *file) for file in toml.file_list("alipay_public_keys")),
    )


def keys(account: AlipayAccount) -> tuple[KeyInfo, ...]:
    """Our signing key and Alipay's keys, by the fingerprint of the public part."""
    ours = KeyInfo("sign requests", account.private_key_name, _fingerprint(account.private_key.public_key()))
    theirs = (
        KeyInfo("verify callbacks and answers", key.name, _fingerprint(key.public), key.expires_at)
        for key in account.alipay_keys
    )
    return (ours, *theirs)


def _private_key(toml: AccountToml, file: str, content: bytes) -> RSAPrivateKey:
    """PEM, or the bare base64 that Alipay's key tool gives (PKCS#1 and PKCS#8 alike)."""
    try:
        key = read_pem(content) if _is_pem(content) else read_der(_bare(content))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise toml.wrong("private_key", f"in {file!r} is no unencrypted private key (PEM or bare base64)") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise _too_weak(toml, "private_key", file)
    return key


def _alipay_key(toml: AccountToml, file: str, content: bytes) -> AlipayKey:
    """A certificate (the first in the file), a PEM public key, or the bare base64 that the console shows."""
    name, expires_at = "alipay_public_keys", None
    key: object
    try:
        if b"BEGIN CERTIFICATE" in content:
            from cryptography import x509  # noqa: PLC0415  slow to load, and few accounts have certificates

            certificate = x509.load_pem_x509_certificate(content)
            key, expires_at = certificate.public_key(), certificate.not_valid_after_utc
        else:
            key = load_pem_public_key(content) if _is_pem(content) else load_der_public_key(_bare(content))
    except (ValueError, UnsupportedAlgorithm):
        why = f"{file!r} holds no public key (PEM, bare base64 from the console, or a certificate)"
        raise toml.wrong(name, why) from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise _too_weak(toml, name, file)
    return AlipayKey(file, key, expires_at)


def _too_weak(toml: AccountToml, name: str, file: str) -> ConfigError:
    return toml.wrong(name, f"in {file!r} must be an RSA key of {MIN_KEY_BITS} bits or more; RSA2 takes no other")


def _is_pem(content: bytes) -> bool:
    return b"-----BEGIN" in content


def _bare(content: bytes) -> bytes:
    return base64.b64decode(b"".join(content.split()), validate=True)


def _fingerprint(key: RSAPublicKey) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]
