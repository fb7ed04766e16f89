"""WeChat Pay as the conformance suite sees it."""

import gzip
import hashlib
from collections.abc import Mapping

from suite import Billing, Opening, Says, Specimen

import wechat_side as wechat
from bill_side import BILL, one_day
from paidup.channels.bill import BillFault, BillProof
from paidup.channels.messages import CallbackRequest, Request
from paidup.channels.wechat import WECHAT
from paidup.evidence import PaymentSays, RefundSays
from paidup.sandbox.wechat.bill_files import gzipped, wechat_trades


def _callback(
    number: int, kind: str, of: Mapping[str, object], *says: Says
) -> tuple[CallbackRequest, tuple[Says, ...]]:
    return wechat.notice(of, kind, number), says


def _refund_number(request: Request) -> str:
    return str(wechat.sent(request)["out_refund_no"])


def _refund_notice(status: str) -> Mapping[str, object]:
    return {**wechat.REFUND_NOTICE, "refund_status": status}


_PAID_BODY = wechat.event(wechat.TRANSACTION)

_URL = {"hash_type": "SHA1", "download_url": "https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Bb"}
_FILE = gzipped(wechat_trades(one_day("CNY"), wechat.MCHID, wechat.APPID))
_SHA1 = hashlib.sha1(gzip.decompress(_FILE)).hexdigest()
_BILLING = Billing(
    name=BILL,
    at=wechat.answer({**_URL, "hash_value": _SHA1}),
    coming=wechat.error(400, "STATEMENT_CREATING"),
    none=wechat.error(400, "NO_STATEMENT_EXIST"),
    elsewhere=wechat.answer({**_URL, "hash_value": _SHA1, "download_url": "https://evil.example/v3/x"}),
    file=_FILE,
    proof=BillProof(sha1_hex=_SHA1),
    others={
        BillFault.OTHER_MERCHANT: gzipped(wechat_trades(one_day("CNY"), "1900000009", wechat.APPID)),
        BillFault.OTHER_DAY: gzipped(wechat_trades(one_day("CNY", days_ago=1), wechat.MCHID, wechat.APPID)),
        BillFault.EMPTY: gzipped(b""),
    },
)

SPECIMEN = Specimen(
    channel=WECHAT,
    table=wechat.TABLE,
    files=wechat.files(),
    secrets=(wechat.APIV3_KEY, wechat.OLD_APIV3_KEY, wechat.private_pem("merchant").splitlines()[5]),
    now=wechat.NOW,
    payment=wechat.name_of(),
    refund=wechat.refund_of(),
    callbacks={
        "paid": (wechat.notice(), (PaymentSays.PAID,)),
        "refund begun": _callback(2, "TRANSACTION.SUCCESS", wechat.changed(trade_state="REFUND"), PaymentSays.PAID),
        "refunded": _callback(3, "REFUND.SUCCESS", wechat.REFUND_NOTICE, RefundSays.SUCCEEDED),
        "refund abnormal": _callback(4, "REFUND.ABNORMAL", _refund_notice("ABNORMAL"), RefundSays.FAILED),
        "refund closed": _callback(5, "REFUND.CLOSED", _refund_notice("CLOSED"), RefundSays.FAILED),
        "other kind": _callback(6, "PAYSCORE.USER_OPEN_SERVICE", {"appid": wechat.APPID}),
    },
    other_receiver=wechat.notice(wechat.changed(mchid="1900000009")),
    forged=wechat.callback(_PAID_BODY, wechat.signed_headers(_PAID_BODY, signer="stranger")),
    openings={
        "native": Opening(
            to_open=wechat.to_open(),
            answer=wechat.answer({"code_url": "weixin://wxpay/bizpayurl?pr=1"}),
            pay_with=("code_url",),
        ),
        "jsapi": Opening(
            to_open=wechat.to_open("jsapi", openid="o-1"),
            answer=wechat.answer({"prepay_id": "wx26112315595400000000000001"}),
            pay_with=("appId", "timeStamp", "nonceStr", "package", "signType", "paySign"),
            needs=("openid",),
        ),
        "h5": Opening(
            to_open=wechat.to_open("h5", payer_client_ip="203.0.113.7"),
            answer=wechat.answer({"h5_url": "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=1"}),
            pay_with=("h5_url",),
            needs=("payer_client_ip",),
        ),
    },
    paid=wechat.answer(wechat.TRANSACTION),
    not_found=wechat.error(404, "ORDER_NOT_EXIST"),
    elsewhere=wechat.answer(wechat.changed(out_trade_no="pay2")),
    closed=wechat.answer(None, 204),
    refunded=wechat.answer({**wechat.REFUND, "status": "PROCESSING"}),
    refund_says=RefundSays.PENDING,
    refund_found=wechat.answer(wechat.REFUND),
    refund_number=_refund_number,
    billing=_BILLING,
)
