"""The sandbox's keys: made anew at each start, real in form and size, worth nothing anywhere else."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from paidup import ids


@dataclass(frozen=True)
class WechatKeys:
    """The platform's two ways to sign, the merchant's key, and a stranger's, for forgeries."""

    platform: RSAPrivateKey
    certificate: x509.Certificate
    public: RSAPrivateKey
    public_key_id: str
    merchant: RSAPrivateKey
    merchant_serial: str
    apiv3: bytes = field(repr=False)
    mchid: str
    appid: str
    stranger: RSAPrivateKey

    @property
    def certificate_serial(self) -> str:
        """The platform certificate's serial, as messages name it."""
        return f"{self.certificate.serial_number:X}"


@dataclass(frozen=True)
class AlipayKeys:
    """Alipay's key, the app's, and a stranger's, for forgeries."""

    platform: RSAPrivateKey
    app: RSAPrivateKey
    app_id: str
    seller_id: str
    stranger: RSAPrivateKey


@dataclass(frozen=True)
class StripeKeys:
    """The API key, the endpoint's signing secret, and a stranger's guess at it."""

    secret: str = field(repr=False)
    webhook: str = field(repr=False)
    stranger: str = field(repr=False)


@dataclass(frozen=True)
class Keys:
    """All keys of one account at each channel."""

    wechat: WechatKeys
    alipay: AlipayKeys
    stripe: StripeKeys


def make_keys(now: datetime) -> Keys:
    """Fresh keys. The certificate is valid around `now`."""
    platform, stranger = _rsa(), _rsa()
    return Keys(
        wechat=WechatKeys(
            platform=platform,
            certificate=_certificate(platform, now),
            public=_rsa(),
            public_key_id=f"PUB_KEY_ID_01{_digits(30)}",
            merchant=_rsa(),
            merchant_serial=_hex(20).upper(),
            apiv3=_hex(16).encode(),
            mchid="19" + _digits(8),
            appid="wx" + _hex(8),
            stranger=stranger,
        ),
        alipay=AlipayKeys(
            platform=_rsa(), app=_rsa(), app_id=f"2021{_digits(12)}", seller_id=f"2088{_digits(12)}", stranger=stranger
        ),
        stripe=StripeKeys(secret=f"sk_test_{_hex(24)}", webhook=f"whsec_{_hex(16)}", stranger=f"whsec_{_hex(16)}"),
    )


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """RSA PKCS#1 v1.5 with SHA-256, in base64."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether this base64 is the key owner's signature; never raises."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def private_pem(key: RSAPrivateKey) -> bytes:
    """Unencrypted PKCS#8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: RSAPrivateKey) -> bytes:
    """The public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _rsa() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def _hex(size_bytes: int) -> str:
    return ids.new_secret(size_bytes).hex()


def _digits(count: int) -> str:
    return f"{int.from_bytes(ids.new_secret(count)) % 10**count:0{count}}"


def _certificate(key: RSAPrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox platform certificate")])
    start = now.astimezone(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=5 * 365))
        .sign(key, SHA256())
    )
