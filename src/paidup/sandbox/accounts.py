"""Writes the merchant's side of the sandbox's keys as account folders, which Paidup reads."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from paidup.sandbox.keys import Keys, private_pem, public_pem


def write_accounts(folder: Path, keys: Keys, *, base_url: str, paidup_url: str, shop: str, name: str = "main") -> None:
    """One account per channel below `folder`; files 0600, folders 0700."""
    head = f'shop = "{shop}"\nbase_url = "{base_url}"\n'
    wechat, alipay, stripe = keys.wechat, keys.alipay, keys.stripe
    _write(
        folder / "wechat" / name,
        {
            "account.toml": head
            + f'notify_url = "{paidup_url}/callbacks/wechat/{name}"\n'
            + f'mchid = "{wechat.mchid}"\nappid = "{wechat.appid}"\n'
            + f'private_key = "merchant_key.pem"\ncertificate_serial = "{wechat.merchant_serial}"\n'
            + 'apiv3_keys = ["apiv3.key"]\nplatform_certificates = ["platform_cert.pem"]\n'
            + f'\n[public_keys]\n"{wechat.public_key_id}" = "public_key.pem"\n',
            "merchant_key.pem": private_pem(wechat.merchant),
            "apiv3.key": wechat.apiv3,
            "platform_cert.pem": wechat.certificate.public_bytes(Encoding.PEM),
            "public_key.pem": public_pem(wechat.public),
        },
    )
    _write(
        folder / "alipay" / name,
        {
            "account.toml": head
            + f'notify_url = "{paidup_url}/callbacks/alipay/{name}"\napp_id = "{alipay.app_id}"\n'
            + f'seller_id = "{alipay.seller_id}"\nprivate_key = "app_key.pem"\n'
            + 'alipay_public_keys = ["alipay_public.pem"]\n',
            "app_key.pem": private_pem(alipay.app),
            "alipay_public.pem": public_pem(alipay.platform),
        },
    )
    _write(
        folder / "stripe" / name,
        {
            "account.toml": head
            + f'notify_url = "{paidup_url}/callbacks/stripe/{name}"\nsecret_key = "secret.key"\n'
            + 'webhook_secrets = ["webhook.secret"]\nlivemode = false\n',
            "secret.key": stripe.secret.encode(),
            "webhook.secret": stripe.webhook.encode(),
        },
    )


def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
