"""Any day's ledger, as each channel prints it; and how it is read."""

import hashlib
import io
import string
from datetime import UTC, date, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import alipay_side as alipay
import stripe_side as stripe
import wechat_side as wechat
from paidup.channels.bill import Bill, BillKind, BillName, BillProof
from paidup.channels.registry import CHANNELS
from paidup.sandbox.alipay.bill_files import alipay_funds, alipay_trades
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.bookings import Entry, EntryKind, Payout
from paidup.sandbox.stripe.reports import (
    STRIPE_BALANCE_COLUMNS,
    STRIPE_COLUMNS,
    stripe_balance,
    stripe_payouts,
    stripe_report,
)
from paidup.sandbox.wechat.bill_files import gzipped, wechat_funds, wechat_trades

DAY = date(2026, 11, 22)
BEGINS = datetime(2026, 11, 22, tzinfo=UTC)
ZONES = {"wechat": 8, "alipay": 8, "stripe": 0}
PARSED = {
    "wechat": CHANNELS["wechat"].parse_account("main", wechat.TABLE, wechat.files()),
    "alipay": CHANNELS["alipay"].parse_account("main", alipay.TABLE, alipay.files()),
    "stripe": CHANNELS["stripe"].parse_account("main", stripe.TABLE, stripe.FILES),
}

awkward = st.text(st.sampled_from(",`\"'\t\n\r #；，。茶票「」🌙é;|\\ab01.-"), max_size=20)
titles = st.one_of(awkward, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
refs = st.text(string.ascii_letters + string.digits + "_-|*@", min_size=6, max_size=32)
RUN = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def ledgers(draw: st.DrawFn, channel: str) -> BilledDay:
    """A day of payments and refunds in any order, of any amounts, fees of zero among them."""
    currencies = ("USD", "JPY", "KWD") if channel == "stripe" else ("CNY",)
    entries = []
    for n in range(draw(st.integers(0, 8))):
        refund = draw(st.booleans())
        amount, fee = draw(st.integers(1, 10**11)), draw(st.integers(0, 10**8))
        at = BEGINS + timedelta(hours=-ZONES[channel], seconds=draw(st.integers(0, 86399)))
        entries.append(
            Entry(
                kind=EntryKind.REFUND if refund else EntryKind.PAYMENT,
                at=at,
                amount_minor=-amount if refund else amount,
                fee_minor=-fee if refund else fee,
                currency=draw(st.sampled_from(currencies)),
                number=f"pi_{n:025}",
                merchant_ref=draw(refs),
                refund_number=f"re_{n:025}" if refund else "",
                refund_ref=draw(refs) if refund else "",
                title=draw(titles),
                method="native",
            )
        )
    paid = [
        Payout(number=f"po_{currency}", day=DAY, currency=currency, entries=mine)
        for currency in currencies
        if (mine := tuple(entry for entry in entries if entry.currency == currency))
    ]
    return BilledDay(entries=tuple(entries), payouts=tuple(paid) if channel == "stripe" else ())


def printed(channel: str, kind: BillKind, day: BilledDay) -> tuple[bytes, BillProof]:
    """The file as it is downloaded, and what the channel says of it."""
    trades = kind is BillKind.TRADES
    if channel == "wechat":
        text = wechat_trades(day, wechat.MCHID, wechat.APPID) if trades else wechat_funds(day, wechat.MCHID)
        return gzipped(text), BillProof(sha1_hex=hashlib.sha1(text).hexdigest())
    if channel == "alipay":
        return (alipay_trades if trades else alipay_funds)(day, alipay.SELLER_ID, DAY), BillProof()
    file = stripe_file(kind, day)
    return file, BillProof(size_bytes=len(file))


def stripe_file(kind: BillKind, day: BilledDay) -> bytes:
    """One of Stripe's three reports."""
    if kind is BillKind.FUNDS:
        return stripe_balance(day, STRIPE_BALANCE_COLUMNS, DAY)
    return (stripe_report if kind is BillKind.TRADES else stripe_payouts)(day, STRIPE_COLUMNS)


def read(channel: str, kind: BillKind, file: bytes, proof: BillProof) -> Bill:
    return CHANNELS[channel].read_bill(io.BytesIO(file), BillName(kind=kind, day=DAY), PARSED[channel], proof)
