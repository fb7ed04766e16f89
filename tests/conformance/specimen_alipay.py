"""Alipay as the conformance suite sees it."""

import json
from datetime import timedelta
from urllib.parse import parse_qs

from suite import Billing, Opening, Specimen

import alipay_side as alipay
from bill_side import BILL, one_day
from paidup.channels.alipay import ALIPAY
from paidup.channels.bill import BillFault, BillProof
from paidup.evidence import PaymentSays, RefundSays
from paidup.sandbox.alipay.bill_files import alipay_trades

_TRADE = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "pay1",
    "trade_no": alipay.PAID["trade_no"],
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.50",
    "send_pay_date": "2026-11-23 16:00:00",
}
_GONE = {"code": "40004", "msg": "Business Failed", "sub_code": "ACQ.TRADE_NOT_EXIST", "sub_msg": "交易不存在"}
_GIVEN_BACK = {"gmt_refund": "2026-11-23 16:30:00.123", "out_biz_no": "ref1"}


def _refund_number(request) -> str:
    biz = json.loads(parse_qs(request.body.decode())["biz_content"][0])
    return biz["out_request_no"]


_BILL_METHOD = "alipay.data.dataservice.bill.downloadurl.query"
_BILL_URL = "http://dwbillcenter.alipay.com/downloadBillFile.resource?bizType=trade&fileId=a%2Bb"
_NO_BILL = {"code": "40004", "msg": "Business Failed", "sub_code": "isp.bill_not_exist", "sub_msg": "账单不存在"}
_BILLING = Billing(
    name=BILL,
    at=alipay.answer(_BILL_METHOD, {"code": "10000", "msg": "Success", "bill_download_url": _BILL_URL}),
    coming=None,
    none=alipay.answer(_BILL_METHOD, _NO_BILL),
    elsewhere=alipay.answer(_BILL_METHOD, {"code": "10000", "bill_download_url": "https://alipay.com.evil.example/x"}),
    file=alipay_trades(one_day("CNY"), alipay.SELLER_ID, BILL.day),
    proof=BillProof(),
    others={
        BillFault.OTHER_MERCHANT: alipay_trades(one_day("CNY"), "2088999999999999", BILL.day),
        BillFault.OTHER_DAY: alipay_trades(one_day("CNY"), alipay.SELLER_ID, BILL.day - timedelta(days=1)),
        BillFault.EMPTY: b"",
    },
)

SPECIMEN = Specimen(
    channel=ALIPAY,
    table=alipay.TABLE,
    files=alipay.files(),
    secrets=(alipay.private_pem("app").splitlines()[5], str(alipay.key("app").private_numbers().d).encode()),
    now=alipay.NOW,
    payment=alipay.name_of(),
    refund=alipay.refund_of(),
    callbacks={
        "paid": (alipay.notice(), (PaymentSays.PAID,)),
        "finished": (alipay.notice(alipay.changed(trade_status="TRADE_FINISHED")), (PaymentSays.PAID,)),
        "waiting": (alipay.notice(alipay.changed(trade_status="WAIT_BUYER_PAY")), (PaymentSays.WAITING,)),
        "closed": (alipay.notice(alipay.changed(trade_status="TRADE_CLOSED")), (PaymentSays.CLOSED,)),
        "partly refunded": (
            alipay.notice(alipay.changed(refund_fee="5.00", **_GIVEN_BACK)),
            (PaymentSays.PAID, RefundSays.SUCCEEDED),
        ),
        "refunded": (
            alipay.notice(alipay.changed(trade_status="TRADE_CLOSED", refund_fee="12.50", **_GIVEN_BACK)),
            (PaymentSays.GIVEN_BACK, RefundSays.SUCCEEDED),
        ),
        "other kind": (alipay.notice(alipay.changed(notify_type="fund_auth_freeze", notify_id="other")), ()),
    },
    other_receiver=alipay.notice(alipay.changed(seller_id="2088999999999999")),
    forged=alipay.notice(signer="stranger"),
    openings={
        "precreate": Opening(
            to_open=alipay.to_open("precreate"),
            answer=alipay.answer(
                "alipay.trade.precreate", {"code": "10000", "out_trade_no": "pay1", "qr_code": "https://qr.example/1"}
            ),
            pay_with=("qr_code",),
        ),
        "page": Opening(
            to_open=alipay.to_open("page", return_url="https://shop.example/thanks"), answer=None, pay_with=("url",)
        ),
    },
    paid=alipay.answer("alipay.trade.query", _TRADE),
    not_found=alipay.answer("alipay.trade.query", _GONE),
    elsewhere=alipay.answer("alipay.trade.query", {**_TRADE, "out_trade_no": "pay2"}),
    closed=alipay.answer(
        "alipay.trade.cancel", {"code": "10000", "out_trade_no": "pay1", "retry_flag": "N", "action": "close"}
    ),
    refunded=alipay.answer("alipay.trade.refund", {**_TRADE, "fund_change": "Y", "refund_fee": "5.00"}),
    refund_says=RefundSays.SUCCEEDED,
    refund_found=alipay.answer(
        "alipay.trade.fastpay.refund.query",
        {
            "code": "10000",
            "out_trade_no": "pay1",
            "out_request_no": "ref1",
            "refund_amount": "5.00",
            "refund_status": "REFUND_SUCCESS",
            "gmt_refund_pay": "2026-11-23 16:30:00",
        },
    ),
    refund_number=_refund_number,
    billing=_BILLING,
)
