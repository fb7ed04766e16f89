"""What a channel prints is what we read, whatever the shop calls its goods; and a file cut anywhere is not read."""

import hashlib
import io
import string
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import alipay_side as alipay
import stripe_side as stripe
import wechat_side as wechat
from bill_side import fault, lines
from paidup.channels.bill import Bill, BillKind, BillLine, BillName, BillProof, LineKind
from paidup.channels.registry import CHANNELS
from paidup.sandbox.bill_formats import (
    STRIPE_COLUMNS,
    alipay_funds,
    alipay_trades,
    gzipped,
    stripe_report,
    wechat_funds,
    wechat_trades,
)
from paidup.sandbox.bills import BilledDay, Entry, EntryKind

DAY = date(2026, 11, 22)
BEGINS = datetime(2026, 11, 22, tzinfo=UTC)
ZONES = {"wechat": 8, "alipay": 8, "stripe": 0}
PARSED = {
    "wechat": CHANNELS["wechat"].parse_account("main", wechat.TABLE, wechat.files()),
    "alipay": CHANNELS["alipay"].parse_account("main", alipay.TABLE, alipay.files()),
    "stripe": CHANNELS["stripe"].parse_account("main", stripe.TABLE, stripe.FILES),
}
KINDS = {EntryKind.PAYMENT: LineKind.PAYMENT, EntryKind.REFUND: LineKind.REFUND}

awkward = st.text(st.sampled_from(",`\"'\t\n\r #；，。茶票「」🌙é;|\\ab01.-"), max_size=20)
titles = st.one_of(awkward, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
refs = st.text(string.ascii_letters + string.digits + "_-|*@", min_size=6, max_size=32)
RUN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
    return BilledDay(entries=tuple(entries))


def printed(channel: str, kind: BillKind, day: BilledDay) -> tuple[bytes, BillProof]:
    """The file as it is downloaded, and what the channel says of it."""
    trades = kind is BillKind.TRADES
    if channel == "wechat":
        text = wechat_trades(day, wechat.MCHID, wechat.APPID) if trades else wechat_funds(day, wechat.MCHID)
        return gzipped(text), BillProof(sha1_hex=hashlib.sha1(text).hexdigest())
    if channel == "alipay":
        return (alipay_trades if trades else alipay_funds)(day, alipay.SELLER_ID, DAY), BillProof()
    file = stripe_report(day, STRIPE_COLUMNS, "po_1")
    return file, BillProof(size_bytes=len(file))


def read(channel: str, kind: BillKind, file: bytes, proof: BillProof) -> Bill:
    return CHANNELS[channel].read_bill(io.BytesIO(file), BillName(kind=kind, day=DAY), PARSED[channel], proof)


def of_entry(entry: Entry) -> tuple[object, ...]:
    return (
        KINDS[entry.kind], entry.currency, entry.amount_minor, entry.fee_minor, entry.amount_minor - entry.fee_minor,
        entry.number, entry.merchant_ref, entry.refund_ref or None, entry.at,
    )  # fmt: skip


def of_line(line: BillLine) -> tuple[object, ...]:
    return (
        line.kind, line.currency, line.amount_minor, line.fee_minor, line.net_minor, line.channel_txn_id,
        line.merchant_ref, line.merchant_refund_ref, line.occurred_at,
    )  # fmt: skip


@pytest.mark.parametrize("channel", ZONES)
def test_what_is_printed_is_read(channel: str) -> None:
    """Any ledger comes back line by line: kind, exact amount, fee and net, numbers and time; and so do its sums."""

    @RUN
    @given(ledgers(channel))
    def holds(day: BilledDay) -> None:
        bill = read(channel, BillKind.TRADES, *printed(channel, BillKind.TRADES, day))
        assert sorted(map(of_entry, day.entries), key=str) == sorted(map(of_line, lines(bill)), key=str)
        assert len(day.entries) == bill.totals.lines == sum(sums.lines for sums in bill.totals.sums.values())

    holds()


@pytest.mark.parametrize("channel", ZONES)
def test_what_moved_is_the_net(channel: str) -> None:
    """The fund bill of any ledger moves what its trade bill nets, fees and returned fees included."""

    @RUN
    @given(ledgers(channel))
    def holds(day: BilledDay) -> None:
        bill = read(channel, BillKind.FUNDS, *printed(channel, BillKind.FUNDS, day))
        assert sum(it.amount_minor - it.fee_minor for it in day.entries) == sum(it.net_minor for it in lines(bill))

    holds()


@pytest.mark.parametrize("kind", list(BillKind))
@pytest.mark.parametrize("channel", ZONES)
def test_a_file_that_was_cut_off_is_not_read(channel: str, kind: BillKind) -> None:
    """Any bill, cut at any byte, is refused."""

    @RUN
    @given(ledgers(channel), st.data())
    def holds(day: BilledDay, data: st.DataObject) -> None:
        file, proof = printed(channel, kind, day)
        size = data.draw(st.integers(0, len(file) - 1), "size")
        assert fault(lambda: read(channel, kind, file[:size], proof)) is not None

    holds()
