"""A bill of so many lines that each of the parts in which repeated lines are looked for holds several numbers."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from paidup.channels.bill import BillLine, LineKind
from paidup.reconcile.match import match
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Limits, opened

COUNT = 20_000  # in 4096 parts
AT = datetime(2026, 11, 22, 4, tzinfo=UTC)


def line(n: int, amount: int) -> BillLine:
    return BillLine(
        number=n, kind=LineKind.PAYMENT, word="SUCCESS", currency="CNY", amount_minor=amount, fee_minor=0,
        net_minor=amount, occurred_at=AT, channel_txn_id=f"txn{n}", merchant_ref=f"pay{n}", raw="",
    )  # fmt: skip


def bill() -> list[BillLine]:
    """Some are missing, some are there twice or three times, some over other money, some nobody knows."""
    one_each = [line(n, 100 + (n % 83 == 0)) for n in range(COUNT) if n % 97]
    repeated = [line(n, 100) for n in range(COUNT) for _ in range((n % 89 == 0) + (n % 178 == 0))]
    strangers = [line(n, 100) for n in range(COUNT, COUNT + 200)]
    return one_each + repeated + strangers


def test_what_is_left_of_many_is_exactly_what_differs(tmp_path: Path) -> None:
    lines = bill()
    path = tmp_path / "payments.csv"
    path.write_text("".join(f"pay{n},txn{n},,CNY,100\n" for n in range(COUNT)))
    with opened(None, Limits(memory_mb=64, threads=1)) as table:
        table.add_lines(lines)
        table.add_ours("payments", path)
        left = match(table.sql, Rules()).payments
    times = Counter(one.channel_txn_id for one in lines)
    pairs = [(one.channel_txn_id, one.amount_minor, one.merchant_ref) for one in lines]
    expected = Counter(
        (txn, amount, ours if int(ours[3:]) < COUNT else None)
        for txn, amount, ours in pairs
        if txn and ours and (times[txn] > 1 or amount != 100 or int(ours[3:]) >= COUNT)
    )
    expected.update((None, None, f"pay{n}") for n in range(COUNT) if times[f"txn{n}"] == 0)
    found = Counter((one.txn if one else None, one.amount if one else None, ours) for one, ours in left)
    assert expected == found
    assert {1, 2, 3} == set(times.values())
