"""The JSON of WeChat Pay's API v3, as far as we read it, and what it says in our vocabulary."""

from datetime import datetime
from typing import Annotated

import msgspec

from paidup.channels.wechat.keys import WechatAccount
from paidup.evidence import Evidence, PaymentEvidence, PaymentSays, RefundEvidence, RefundSays, Road
from paidup.money import Money

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""Times are stated with their offset, +08:00; one without would not name a moment."""

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""An id or a merchant's number. WeChat Pay's own are at most 64 characters long."""

NumberIfAny = Annotated[str, msgspec.Meta(max_length=128)]
"""The same, or empty while there is none: where one answer leaves such a field out, another may leave it empty."""


class Resource(msgspec.Struct, frozen=True):
    """The encrypted part of a notice."""

    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str | None = None


class Notice(msgspec.Struct, frozen=True):
    """The envelope of a notice. `id` is the same for every retry of one happening, and so is `create_time`."""

    id: Number
    event_type: Number
    resource: Resource
    create_time: str | None = None

    @property
    def created_at(self) -> datetime | None:
        """None when it is no moment: old samples have ``20180225112233``, and nothing is refused for that."""
        try:
            return _moment(self.create_time)
        except msgspec.ValidationError:
            return None


class Amount(msgspec.Struct, frozen=True):
    """Fen. A payment states `total`; a refund also its own amount, `refund`."""

    total: int | None = None
    refund: int | None = None
    currency: str = "CNY"


class Transaction(msgspec.Struct, frozen=True):
    """A payment, in a notice or as the answer to a query. Until it is paid, transaction_id and success_time are missing
    or empty."""

    out_trade_no: Number
    trade_state: str
    mchid: str | None = None
    appid: str | None = None
    transaction_id: NumberIfAny | None = None
    success_time: str | None = None
    amount: Amount | None = None


class Refund(msgspec.Struct, frozen=True):
    """A refund. A notice calls its state refund_status, the answer to a query calls it status."""

    out_refund_no: Number
    refund_id: NumberIfAny | None = None
    out_trade_no: NumberIfAny | None = None
    transaction_id: NumberIfAny | None = None
    refund_status: str | None = None
    status: str | None = None
    mchid: str | None = None
    success_time: str | None = None  # missing or empty until it succeeded
    amount: Amount | None = None


# 订单状态流转: REFUND only says that a refund was begun; the money of the payment did arrive.
_PAYMENT_SAYS: dict[str, PaymentSays] = {
    "SUCCESS": PaymentSays.PAID,
    "REFUND": PaymentSays.PAID,
    "NOTPAY": PaymentSays.WAITING,
    "USERPAYING": PaymentSays.WAITING,
    "ACCEPT": PaymentSays.WAITING,
    "PAYERROR": PaymentSays.FAILED,
    "CLOSED": PaymentSays.CLOSED,
    "REVOKED": PaymentSays.CLOSED,
}
# ABNORMAL: the bank refuses the money, and a person must give it another way. CLOSED: it was never refunded.
_REFUND_SAYS: dict[str, RefundSays] = {
    "SUCCESS": RefundSays.SUCCEEDED,
    "PROCESSING": RefundSays.PENDING,
    "ABNORMAL": RefundSays.FAILED,
    "CLOSED": RefundSays.FAILED,
}


def payment_says(
    transaction: Transaction, account: WechatAccount, *, road: Road, key: str, now: datetime
) -> tuple[Evidence, ...]:
    """The evidence of a payment. Raises ValueError for a state that WeChat Pay does not document."""
    amount = transaction.amount
    says = _PAYMENT_SAYS.get(transaction.trade_state)
    if says is None:
        raise ValueError(f"unknown trade_state {transaction.trade_state[:40]!r}")
    if says is PaymentSays.PAID and (amount is None or amount.total is None):
        raise ValueError("a paid transaction without its amount")
    return (
        PaymentEvidence(
            road=road,
            channel="wechat",
            account=account.name,
            key=key,
            received_at=now,
            occurred_at=_moment(transaction.success_time),
            merchant_ref=transaction.out_trade_no,
            channel_txn_id=transaction.transaction_id or None,
            amount=Money(amount.total, amount.currency) if amount and amount.total is not None else None,
            payee=_payee(transaction.mchid, transaction.appid, account),
            says=says,
            note=transaction.trade_state,
        ),
    )


def refund_says(
    refund: Refund, account: WechatAccount, *, road: Road, key: str, now: datetime, told_at: datetime | None = None
) -> tuple[Evidence, ...]:
    """The evidence of a refund. Raises ValueError for a state that WeChat Pay does not document.

    told_at: when the notice was made. A failure carries no time of its own, and one that comes late must not undo what
    a person has mended since.
    """
    state = refund.refund_status or refund.status or ""
    if state not in _REFUND_SAYS:
        raise ValueError(f"unknown refund state {state[:40]!r}")
    amount = refund.amount
    return (
        RefundEvidence(
            road=road,
            channel="wechat",
            account=account.name,
            key=key,
            received_at=now,
            occurred_at=_moment(refund.success_time) or told_at,
            merchant_ref=refund.out_trade_no or None,
            channel_txn_id=refund.transaction_id or None,
            amount=Money(amount.refund, amount.currency) if amount and amount.refund is not None else None,
            payee=_payee(refund.mchid, None, account),
            says=_REFUND_SAYS[state],
            merchant_refund_ref=refund.out_refund_no,
            channel_refund_id=refund.refund_id or None,
            note=state,
        ),
    )


def _payee(mchid: str | None, appid: str | None, account: WechatAccount) -> str | None:
    """Whom the message names as the receiver; None when it names nobody. A half that it leaves out (notices about
    refunds name no appid) is taken from the account, so that only what is stated can differ."""
    if mchid is None and appid is None:
        return None
    return f"{mchid or account.mchid}/{appid or account.appid}"


def _moment(stated: str | None) -> datetime | None:
    """Raises ValidationError when it is no moment."""
    return msgspec.convert(stated, Moment) if stated else None
