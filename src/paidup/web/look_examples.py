"""Examples of what is looked at and who may sign in, for web/examples.py."""

from datetime import UTC, datetime

import msgspec

from paidup.channels.channel import KeyInfo
from paidup.hand.detail import Block
from paidup.people.user import Role
from paidup.web import look, users
from paidup.web.told_shapes import CaseOut

_AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
_USER = users.UserOut(
    name="dora", role=Role.OPERATOR, has_password=True, has_totp=True, created_at=_AT, disabled_at=None
)
_RECEIVED = look.ReceivedOut(
    id="cbk001yjdpag80j9d3y7v1x5b2n6t4", received_at=_AT, channel="wechat", account="main",
    kind="TRANSACTION.SUCCESS", state="settled", why="",
)  # fmt: skip
_CASE = CaseOut(
    id="cas001yjdpbk02x6z4a8t1v5r9e3g7", kind="mismatch", subject_id="pay001yjdp9xw05t2h8e4q6b1m9s3f",
    order_id="ord001yjdp9w00n3v8k2m3q9x7c0d1", why="paid, but not as agreed", opened_at=_AT, resolved_at=None,
    resolution=None,
)  # fmt: skip

ALL: tuple[msgspec.Struct, ...] = (
    look.Received(items=[_RECEIVED]),
    look.CaseLife(
        case=_CASE, claimed_by="alice", resolved_by=None,
        notes=[look.NoteOut(at=_AT, who="alice", said="the customer is called back at five")],
    ),
    look.Accounts(
        items=[
            look.AccountOut(
                channel="wechat", account="main", notify_url="https://pay.example/callbacks/wechat/main",
                keys=[KeyInfo("verify callbacks", "PUB_KEY_ID_0111", "9f86d081884c7d65")], breaker_open=False,
                silent=False, waiting=12, overdue=0, budget=20, last_callback_at=_AT,
            )
        ]
    ),
    look.WatchedPage(
        items=[
            look.WatchedOut(
                subject_id="pay001yjdp9xw05t2h8e4q6b1m9s3f", kind="payment", order_id="ord001yjdp9w00n3v8k2m3q9x7c0d1",
                shop_order_no="A-1001", channel="wechat", account="main", state="open", amount_minor=1250,
                currency="CNY", due_at=_AT, asked=2, since=_AT,
            )
        ],
        next="20261123T080000.000000~pay001yjdp9xw05t2h8e4q6b1m9s3f",
    ),
    look.DetailOut(title="Delivery", facts={"status": "500"}, blocks=[Block("Answer", "Internal Server Error")]),
    users.AddUser(name="dora", role=Role.OPERATOR),
    users.GiveRole(role=Role.FINANCE),
    _USER,
    users.Users(items=[_USER]),
    users.LinkOut(name="dora", link="https://pay.example/console/link?token=kF2s…"),
    users.SettingsOut(
        items=[
            users.SettingOut(name="PAIDUP_PORT", value="8400", origin="default", meaning="the port it listens on")
        ]
    ),
)  # fmt: skip
