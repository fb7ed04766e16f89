"""Making a trade unpayable at WeChat Pay."""

from datetime import datetime

import msgspec

from paidup.channels.channel import PaymentName
from paidup.channels.messages import Exchange, Outcome, Success
from paidup.channels.wechat.api import ApiError, no_to_a_deed, post
from paidup.channels.wechat.keys import WechatAccount
from paidup.channels.wechat.query import NOT_EXIST, said, trade_path
from paidup.errors import InvalidRequest
from paidup.evidence import PaymentSays

# A trade that WeChat Pay closed itself, or never had, can be paid by nobody: a code is handed out only with a trade.
_UNPAYABLE = NOT_EXIST | {"ORDER_CLOSED", "ORDERCLOSED"}


class _Done(msgspec.Struct, frozen=True):
    """An answer without content (204). A code is an error's, whatever status it came under."""

    code: str = ""


def close_payment(payment: PaymentName, account: WechatAccount, now: datetime) -> Exchange:
    """Success carries CLOSED; closing twice does no harm. A paid trade is Declined (ORDERPAID), and queried."""

    def closed(done: _Done, at: datetime) -> Outcome:
        if done.code:
            raise InvalidRequest(f"a success with the error code {done.code[:64]}")
        return Success((said(payment, account, at, PaymentSays.CLOSED, "CLOSED"),))

    def no(error: ApiError, at: datetime) -> Outcome:
        if error.code in _UNPAYABLE:
            return Success((said(payment, account, at, PaymentSays.CLOSED, error.code),))
        return no_to_a_deed(error, at)

    return post(f"{trade_path(payment)}/close", {"mchid": account.mchid}, account, now, _Done, closed, no)
