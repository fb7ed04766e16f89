"""What a channel prints is what we read, whatever the shop calls its goods; and a file cut anywhere is not read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bill_ledgers import RUN, ZONES, ledgers, printed, read
from bill_side import fault, lines
from paidup.channels.bill import BillKind, BillLine, LineKind
from paidup.channels.registry import CHANNELS
from paidup.sandbox.bills import BilledDay
from paidup.sandbox.bookings import Entry, EntryKind

KINDS = {EntryKind.PAYMENT: LineKind.PAYMENT, EntryKind.REFUND: LineKind.REFUND}


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
        paid = sum(payout.net_minor for payout in day.payouts)
        assert sum(it.net_minor for it in day.entries) - paid == sum(it.net_minor for it in lines(bill))

    holds()


def test_what_a_payout_took_is_read() -> None:
    """Every line of every payout comes back under the payout's number."""

    @RUN
    @given(ledgers("stripe"))
    def holds(day: BilledDay) -> None:
        bill = read("stripe", BillKind.PAYOUTS, *printed("stripe", BillKind.PAYOUTS, day))
        expected = [(payout.number, *of_entry(entry)) for payout in day.payouts for entry in payout.entries]
        assert sorted(expected, key=str) == sorted(((it.payout, *of_line(it)) for it in lines(bill)), key=str)

    holds()


@pytest.mark.parametrize(
    ("channel", "kind"), [(channel, kind) for channel in ZONES for kind in CHANNELS[channel].bills]
)
def test_a_file_that_was_cut_off_is_not_read(channel: str, kind: BillKind) -> None:
    """Any bill, cut at any byte, is refused."""

    @RUN
    @given(ledgers(channel), st.data())
    def holds(day: BilledDay, data: st.DataObject) -> None:
        file, proof = printed(channel, kind, day)
        size = data.draw(st.integers(0, len(file) - 1), "size")
        assert fault(lambda: read(channel, kind, file[:size], proof)) is not None

    holds()
