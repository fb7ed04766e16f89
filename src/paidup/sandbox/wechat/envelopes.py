"""What WeChat Pay encrypts under the merchant's APIv3 key: the resource of each notice, and its own certificate."""

import base64

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding

from paidup import ids
from paidup.sandbox.keys import WechatKeys
from paidup.sandbox.wechat.objects import beijing
from paidup.sandbox.wire import News


def envelope(news: News, apiv3: bytes) -> bytes:
    """A notice's body; its resource is encrypted anew each time."""
    nonce = ids.new_secret(6).hex()
    about = "refund" if news.kind.startswith("REFUND") else "transaction"
    sealed = AESGCM(apiv3).encrypt(nonce.encode(), news.content, about.encode())
    told = {
        "id": news.key,
        "create_time": beijing(news.at),
        "resource_type": "encrypt-resource",
        "event_type": news.kind,
        "summary": "退款" if about == "refund" else "支付成功",
        "resource": {
            "original_type": about,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": about,
            "nonce": nonce,
        },
    }
    return msgspec.json.encode(told)


def certificates(keys: WechatKeys) -> dict[str, object]:
    """The platform's certificates, as they are asked for."""
    pem = keys.certificate.public_bytes(Encoding.PEM)
    nonce = ids.new_secret(6).hex()
    sealed = AESGCM(keys.apiv3).encrypt(nonce.encode(), pem, b"certificate")
    certificate = {
        "serial_no": keys.certificate_serial,
        "effective_time": beijing(keys.certificate.not_valid_before_utc),
        "expire_time": beijing(keys.certificate.not_valid_after_utc),
        "encrypt_certificate": {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": "certificate",
            "ciphertext": base64.b64encode(sealed).decode(),
        },
    }
    return {"data": [certificate]}
