"""What a merchant's request says to WeChat Pay. What these do not take is a PARAM_ERROR, as its documents have it."""

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from paidup.errors import InvalidRequest
from paidup.sandbox.wire import Ask

SCHEME = "WECHATPAY2-SHA256-RSA2048"
_CLAIM = re.compile(r'(\w+)="([^"]*)"')

_Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_|*@-]{1,64}$")]
_Fen = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
_Url = Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s]+)?$")]


class _Amount(msgspec.Struct):
    total: _Fen
    currency: Literal["CNY"] = "CNY"


class _RefundAmount(msgspec.Struct):
    refund: _Fen
    total: _Fen
    currency: Literal["CNY"]


class _Payer(msgspec.Struct):
    openid: Annotated[str, msgspec.Meta(min_length=1)]


class _H5(msgspec.Struct):
    type: str


class _Scene(msgspec.Struct):
    payer_client_ip: Annotated[str, msgspec.Meta(min_length=1)]
    h5_info: _H5 | None = None


class ToOpen(msgspec.Struct):
    """An order; payer is for jsapi, scene_info for h5."""

    mchid: str
    appid: str
    description: Annotated[str, msgspec.Meta(min_length=1, max_length=127)]
    out_trade_no: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_|*-]{6,32}$")]
    notify_url: _Url
    amount: _Amount
    time_expire: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    attach: Annotated[str, msgspec.Meta(max_length=128)] = ""
    payer: _Payer | None = None
    scene_info: _Scene | None = None

    def must_suit(self, method: str) -> None:
        """Raises InvalidRequest when this way to pay needs more."""
        if method == "jsapi" and self.payer is None:
            raise InvalidRequest("payer.openid is needed for jsapi")
        if method == "h5" and (self.scene_info is None or self.scene_info.h5_info is None):
            raise InvalidRequest("scene_info.payer_client_ip and scene_info.h5_info.type are needed for h5")


class ToRefund(msgspec.Struct):
    """A refund, of the order under either number."""

    out_refund_no: _Number
    amount: _RefundAmount
    out_trade_no: str = ""
    transaction_id: str = ""
    notify_url: _Url = ""


class ToClose(msgspec.Struct):
    """A close; the order's number stands in the path."""

    mchid: str


class Subject(msgspec.Struct):
    """Whatever numbers a body names."""

    out_trade_no: str = ""
    out_refund_no: str = ""


def claims_of(ask: Ask) -> dict[str, str]:
    """The fields of the Authorization header, in whatever order they come; none when the scheme is another."""
    scheme, _, fields = ask.headers.get("authorization", "").partition(" ")
    return dict(_CLAIM.findall(fields)) if scheme == SCHEME else {}
