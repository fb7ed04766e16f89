"""WeChat Pay v3 as the merchant sees it: signed answers, encrypted notices."""

import base64
import re
from datetime import datetime, timedelta, timezone

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from paidup.clock import Clock
from paidup.sandbox.faults import Dice
from paidup.sandbox.keys import WechatKeys, sign
from paidup.sandbox.ledger import Ledger, Refund, Trade
from paidup.sandbox.wire import Ask, Notice, Tell

NAME = "wechat"
RETRIES_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""回调通知处理: fifteen more tries within about 24 hours."""
ACK_WITHIN_S = 5.0

_BEIJING = timezone(timedelta(hours=8))
_AUTHORIZATION = re.compile(
    r'WECHATPAY2-SHA256-RSA2048 mchid="(\d+)",nonce_str="(\w+)",signature="([^"]+)",timestamp="(\d+)",serial_no="(\w+)"'
)
_BY_REF = re.compile(r"/v3/pay/transactions/out-trade-no/([^/]+)(/close)?")
_STATES = {"waiting": "NOTPAY", "paid": "SUCCESS", "closed": "CLOSED"}
_REFUND_STATES = {"pending": "PROCESSING", "succeeded": "SUCCESS", "failed": "ABNORMAL"}


class Wechat:
    """Answers requests and writes notices."""

    def __init__(self, keys: WechatKeys, ledger: Ledger, clock: Clock, dice: Dice) -> None:
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._dice = dice

    def respond(self, ask: Ask) -> tuple[Tell, Trade | Refund | None]:
        """Answer one request; the second value is what it changed and callbacks tell of."""
        if not self._is_genuine(ask):
            return self._error(ask, 401, "SIGN_ERROR", "the signature does not fit"), None
        if ask.method == "POST" and ask.path.startswith("/v3/pay/transactions/") and "/out-trade-no/" not in ask.path:
            return self._open(ask)
        if found := _BY_REF.fullmatch(ask.path):
            trade = self._ledger.find(NAME, found[1])
            return (self._close(ask, trade) if found[2] else self._query(ask, trade)), None
        if ask.path.startswith("/v3/pay/transactions/id/"):
            return self._query(ask, self._ledger.find(NAME, number=ask.path.rsplit("/", 1)[1])), None
        if ask.path == "/v3/refund/domestic/refunds" and ask.method == "POST":
            return self._refund(ask)
        if ask.path.startswith("/v3/refund/domestic/refunds/"):
            return self._query_refund(ask, ask.path.rsplit("/", 1)[1]), None
        if ask.path == "/v3/certificates":
            return self._tell(ask, 200, self._certificates()), None
        return self._error(ask, 404, "RESOURCE_NOT_EXISTS", "no such address"), None

    def notice(self, trade: Trade, refund: Refund | None = None, *, key: str) -> Notice:
        """The callback about a payment or a refund, signed now; `key` is the notice's id, the same for every retry."""
        now = self._clock.now()
        plain = self._refund_object(trade, refund, notice=True) if refund else self._transaction(trade)
        kind = f"REFUND.{_REFUND_STATES[refund.state]}" if refund else "TRANSACTION.SUCCESS"
        nonce = self._dice.throw("nonce", key).randbytes(6).hex()
        associated = "refund" if refund else "transaction"
        sealed = AESGCM(self._keys.apiv3).encrypt(nonce.encode(), msgspec.json.encode(plain), associated.encode())
        body = {
            "id": key,
            "create_time": _beijing(now),
            "resource_type": "encrypt-resource",
            "event_type": kind,
            "summary": "退款" if refund else "支付成功",
            "resource": {
                "original_type": associated,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(sealed).decode(),
                "associated_data": associated,
                "nonce": nonce,
            },
        }
        data = msgspec.json.encode(body)
        by_public_key = self._dice.hits(0.5, "public key", key)
        return Notice({**self._signature(data, by_public_key=by_public_key), "content-type": "application/json"}, data)

    @staticmethod
    def is_acknowledged(status: int, _body: bytes) -> bool:
        """WeChat Pay reads nothing but the status."""
        return status in (200, 204)

    def _open(self, ask: Ask) -> tuple[Tell, Trade | None]:
        wanted = msgspec.json.decode(ask.body)
        ref, amount = wanted["out_trade_no"], wanted["amount"]
        now = self._clock.now()
        expires = datetime.fromisoformat(wanted["time_expire"]) if "time_expire" in wanted else now + timedelta(hours=2)
        known = self._ledger.find(NAME, ref)
        if known and known.amount_minor != amount["total"]:
            return self._error(ask, 400, "INVALID_REQUEST", "商户订单号重复, with another content"), None
        trade = self._ledger.open(
            Trade(
                channel=NAME,
                account=wanted["mchid"],
                merchant_ref=ref,
                number=f"42000{self._ledger.next_number():023}",
                amount_minor=amount["total"],
                currency=amount["currency"],
                method=ask.path.rsplit("/", 1)[1],
                opened_at=now,
                expires_at=expires,
                extra={"notify_url": wanted["notify_url"]},
            )
        )
        if trade.state == "paid":
            return self._error(ask, 400, "ORDERPAID", "该订单已支付"), None
        told = {
            "native": {"code_url": f"weixin://wxpay/bizpayurl?pr={trade.number[-9:]}"},
            "h5": {"h5_url": f"https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx{trade.number}"},
        }.get(trade.method, {"prepay_id": f"wx{trade.number}"})
        return self._tell(ask, 200, told), None if known else trade

    def _query(self, ask: Ask, trade: Trade | None) -> Tell:
        if trade is None:
            return self._error(ask, 404, "ORDER_NOT_EXIST", "订单不存在")
        return self._tell(ask, 200, self._transaction(trade))

    def _close(self, ask: Ask, trade: Trade | None) -> Tell:
        if trade is None:
            return self._error(ask, 404, "ORDER_NOT_EXIST", "订单不存在")
        if not self._ledger.close(trade):
            return self._error(ask, 400, "ORDERPAID", "该订单已支付")
        return self._tell(ask, 204, None)

    def _refund(self, ask: Ask) -> tuple[Tell, Refund | None]:
        wanted = msgspec.json.decode(ask.body)
        trade = self._ledger.find(NAME, wanted.get("out_trade_no"), wanted.get("transaction_id"))
        if trade is None:
            return self._error(ask, 404, "RESOURCE_NOT_EXISTS", "订单不存在"), None
        known = wanted["out_refund_no"] in trade.refunds
        number = f"50300{self._ledger.next_number():023}"
        refund = self._ledger.refund(trade, wanted["out_refund_no"], wanted["amount"]["refund"], number)
        if refund is None:
            return self._error(ask, 400, "INVALID_REQUEST", "退款金额超过订单可退金额"), None
        return self._tell(ask, 200, self._refund_object(trade, refund)), None if known else refund

    def _query_refund(self, ask: Ask, merchant_ref: str) -> Tell:
        for trade in self._ledger.trades():
            if trade.channel == NAME and merchant_ref in trade.refunds:
                return self._tell(ask, 200, self._refund_object(trade, trade.refunds[merchant_ref]))
        return self._error(ask, 404, "RESOURCE_NOT_EXISTS", "退款单不存在")

    def _transaction(self, trade: Trade) -> dict[str, object]:
        amount: dict[str, object] = {"total": trade.amount_minor, "currency": trade.currency}
        told: dict[str, object] = {
            "mchid": self._keys.mchid,
            "appid": self._keys.appid,
            "out_trade_no": trade.merchant_ref,
            "trade_state": "REFUND" if trade.refunds else _STATES[trade.state],
            "trade_state_desc": trade.state,
            "amount": amount,
        }
        if trade.paid_at:
            told |= {
                "transaction_id": trade.number,
                "trade_type": trade.method.upper(),
                "bank_type": "OTHERS",
                "success_time": _beijing(trade.paid_at),
                "payer": {"openid": "sandbox-buyer"},
            }
            amount |= {"payer_total": trade.amount_minor, "payer_currency": trade.currency}
        return told

    def _refund_object(self, trade: Trade, refund: Refund, *, notice: bool = False) -> dict[str, object]:
        told: dict[str, object] = {
            "refund_id": refund.number,
            "out_refund_no": refund.merchant_ref,
            "transaction_id": trade.number,
            "out_trade_no": trade.merchant_ref,
            "refund_status" if notice else "status": _REFUND_STATES[refund.state],
            "amount": {"total": trade.amount_minor, "refund": refund.amount_minor, "currency": trade.currency},
        }
        if notice:
            told["mchid"] = self._keys.mchid
        if refund.settled_at:
            told["success_time"] = _beijing(refund.settled_at)
        return told

    def _certificates(self) -> dict[str, object]:
        pem = self._keys.certificate.public_bytes(Encoding.PEM)
        sealed = AESGCM(self._keys.apiv3).encrypt(b"certificate1", pem, b"certificate")
        box = {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": "certificate1",
            "associated_data": "certificate",
            "ciphertext": base64.b64encode(sealed).decode(),
        }
        return {"data": [{"serial_no": self._keys.certificate_serial, "encrypt_certificate": box}]}

    def _is_genuine(self, ask: Ask) -> bool:
        """The merchant's Authorization header, verified as WeChat Pay does."""
        found = _AUTHORIZATION.fullmatch(ask.headers.get("authorization", ""))
        if not found:
            return False
        mchid, nonce, signature, timestamp, serial = found.groups()
        signed = f"{ask.method}\n{ask.target}\n{timestamp}\n{nonce}\n".encode() + ask.body + b"\n"
        if mchid != self._keys.mchid or serial != self._keys.merchant_serial:
            return False
        if abs(self._clock.now().timestamp() - int(timestamp)) > 300:
            return False
        try:
            self._keys.merchant.public_key().verify(base64.b64decode(signature), signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def _error(self, ask: Ask, status: int, code: str, message: str) -> Tell:
        return self._tell(ask, status, {"code": code, "message": message})

    def _tell(self, ask: Ask, status: int, told: object) -> Tell:
        data = b"" if told is None else msgspec.json.encode(told)
        by_public_key = ask.headers.get("wechatpay-serial", "") == self._keys.public_key_id
        return Tell(
            status, {**self._signature(data, by_public_key=by_public_key), "content-type": "application/json"}, data
        )

    def _signature(self, data: bytes, *, by_public_key: bool) -> dict[str, str]:
        timestamp = str(int(self._clock.now().timestamp()))
        nonce = f"{self._ledger.next_number():032}"
        key = self._keys.public if by_public_key else self._keys.platform
        return {
            "wechatpay-timestamp": timestamp,
            "wechatpay-nonce": nonce,
            "wechatpay-signature": sign(key, f"{timestamp}\n{nonce}\n".encode() + data + b"\n"),
            "wechatpay-serial": self._keys.public_key_id if by_public_key else self._keys.certificate_serial,
            "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
        }


def _beijing(moment: datetime) -> str:
    return moment.astimezone(_BEIJING).isoformat(timespec="seconds")
