"""The bodies of what people do by hand through the API: what it takes, what it gives."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from paidup.web.fields import Currency, Minor, Said


class ConfirmPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person read in the channel's own console that a payment was paid. The amount is the payment's unless given."""

    channel_txn_id: Annotated[str, Meta(min_length=6, max_length=64, pattern=r"^[!-~]+$(?!\n)")]
    reason: Said
    amount_minor: Minor | None = None
    currency: Currency | None = None


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a person does it."""

    reason: Said


class RefundByHand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much to give back (all that is left unless given), and why."""

    reason: Said
    amount_minor: Minor | None = None


class FindingOut(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. state: ok, warn, or refuse (do not go live)."""

    state: str
    says: str


class CheckOut(msgspec.Struct, frozen=True, kw_only=True):
    """ready: nothing speaks against going live."""

    ready: bool
    items: list[FindingOut]


class DoneOut(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. state: done; already (nothing was left to do); or waiting for a second person."""

    state: str
    says: str
    approval_id: str | None = None


class ApprovalOut(msgspec.Struct, frozen=True, kw_only=True):
    """What one person asked for and a second one must agree to. state: waiting, approved or refused."""

    id: str
    asked_at: datetime
    asked_by: str
    action: str
    subject_id: str
    amount_minor: int
    currency: str
    because: str
    why: str
    state: str
    decided_at: datetime | None
    decided_by: str | None


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[ApprovalOut]
    next: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of the orders that fit, the newest first."""

    order_ids: list[str]


class CallbackOut(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it came. body: its text; bytes that are no UTF-8 are escaped."""

    id: str
    received_at: datetime
    channel: str
    account: str
    kind: str
    headers: list[tuple[str, str]]
    body: str


class RefusedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that could not be verified, without its bytes."""

    id: str
    received_at: datetime
    channel: str
    account: str
    verdict: str
    why: str
    replayed_at: datetime | None
    replay_note: str | None


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """The newest of the shop's accounts; `next` goes into `before` (None: that was all)."""

    items: list[RefusedOut]
    next: str | None = None


class DeedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the audit journal. who: a user, `key:` and a key's id, or `cli:` and a login. shop: empty for what
    belongs to none."""

    id: str
    at: datetime
    who: str
    via: str
    action: str
    shop: str
    subject_id: str
    order_id: str | None
    why: str
    before: str
    after: str


class Deeds(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` goes into `before` (None: that was all)."""

    items: list[DeedOut]
    next: str | None = None
