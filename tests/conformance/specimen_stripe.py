"""Stripe as the conformance suite sees it."""

from datetime import UTC, datetime

from suite import Billing, Opening, Says, Specimen

import stripe_side as stripe
from bill_side import BILL, one_day
from paidup.channels.bill import BillFault, BillProof
from paidup.channels.messages import CallbackRequest
from paidup.channels.stripe import STRIPE
from paidup.evidence import DisputeSays, PaymentSays, RefundSays
from paidup.sandbox.stripe.reports import STRIPE_COLUMNS, stripe_report

_UNPAID = {**stripe.INTENT, "status": "requires_payment_method", "amount_received": 0}
_PAGE = {**stripe.SESSION, "status": "open", "payment_status": "unpaid", "payment_intent": None, "url": "https://c/1"}


def _callback(number: int, kind: str, of, *says: Says) -> tuple[CallbackRequest, tuple[Says, ...]]:
    return stripe.callback(stripe.event(kind, of, id=f"evt_{number}")), says


def _refund_number(request) -> str:
    return stripe.sent_header(request, "idempotency-key") or ""


_FILE = stripe_report(one_day("USD"), STRIPE_COLUMNS[::-1])
_BEGINS = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp())
_RUN = {
    "id": "frr_1",
    "object": "reporting.report_run",
    "livemode": False,
    "report_type": "balance_change_from_activity.itemized.3",
    "parameters": {"interval_start": _BEGINS, "interval_end": _BEGINS + 86400},
    "status": "succeeded",
    "result": {"id": "file_1", "url": "https://files.stripe.com/v1/files/file_1/contents", "size": len(_FILE)},
}
_BILLING = Billing(
    name=BILL,
    at=stripe.answer(_RUN),
    coming=stripe.answer({**_RUN, "status": "pending", "result": None}),
    none=None,
    elsewhere=stripe.answer({**_RUN, "result": {"url": "https://files.stripe.com.evil.example/1", "size": 1}}),
    file=_FILE,
    proof=BillProof(size_bytes=len(_FILE)),
    others={BillFault.OTHER_DAY: stripe_report(one_day("USD", days_ago=1), STRIPE_COLUMNS), BillFault.EMPTY: b""},
)

_PAID_BODY = stripe.event("payment_intent.succeeded", stripe.INTENT)
_LIVE_BODY = stripe.event("payment_intent.succeeded", stripe.INTENT, livemode=True)

SPECIMEN = Specimen(
    channel=STRIPE,
    table=stripe.TABLE,
    files=stripe.FILES,
    secrets=(b"4eC39Hq", stripe.SECRET.encode()),
    now=stripe.NOW,
    payment=stripe.name_of(),
    refund=stripe.refund_of("re_1"),
    callbacks={
        "paid": (stripe.callback(_PAID_BODY), (PaymentSays.PAID,)),
        "waiting": _callback(2, "payment_intent.created", _UNPAID, PaymentSays.WAITING),
        "attempt failed": _callback(3, "payment_intent.payment_failed", _UNPAID, PaymentSays.FAILED),
        "closed": _callback(4, "payment_intent.canceled", {**_UNPAID, "status": "canceled"}, PaymentSays.CLOSED),
        "page paid": _callback(5, "checkout.session.completed", stripe.SESSION, PaymentSays.PAID),
        "page expired": _callback(6, "checkout.session.expired", {**_PAGE, "status": "expired"}, PaymentSays.CLOSED),
        "charge refunded": _callback(7, "charge.refunded", stripe.CHARGE, PaymentSays.PAID),
        "refund succeeded": _callback(8, "refund.created", stripe.REFUND, RefundSays.SUCCEEDED),
        "refund failed": _callback(9, "refund.failed", {**stripe.REFUND, "status": "failed"}, RefundSays.FAILED),
        "dispute opened": _callback(10, "charge.dispute.created", stripe.DISPUTE, DisputeSays.OPENED),
        "dispute lost": _callback(11, "charge.dispute.closed", {**stripe.DISPUTE, "status": "lost"}, DisputeSays.LOST),
        "other kind": _callback(12, "customer.created", {"id": "cus_1"}),
    },
    other_receiver=stripe.callback(_LIVE_BODY),
    forged=stripe.callback(_PAID_BODY, stripe.header(_PAID_BODY, secrets=("whsec_stranger",))),
    openings={
        "payment_intent": Opening(to_open=stripe.to_open(), answer=stripe.answer(_UNPAID), pay_with=("client_secret",)),
        "checkout": Opening(
            to_open=stripe.to_open("checkout", return_url="https://shop.example/thanks"),
            answer=stripe.answer(_PAGE),
            pay_with=("url",),
            needs=("return_url",),
        ),
    },
    paid=stripe.answer(stripe.INTENT),
    not_found=stripe.error(404, code="resource_missing"),
    elsewhere=stripe.answer({**stripe.INTENT, "metadata": {"paidup_payment": "pay2"}}),
    closed=stripe.answer({**_UNPAID, "status": "canceled"}),
    refunded=stripe.answer({**stripe.REFUND, "status": "pending"}),
    refund_says=RefundSays.PENDING,
    refund_found=stripe.answer(stripe.REFUND),
    refund_number=_refund_number,
    billing=_BILLING,
)
