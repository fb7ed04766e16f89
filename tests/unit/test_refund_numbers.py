"""A refund's number names it within its payment: the match, and the judge of what it leaves, keep to that."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from paidup.channels.bill import BillLine, LineKind
from paidup.reconcile.breaks import Kind, OurSide
from paidup.reconcile.judge import judge
from paidup.reconcile.known import Day, Judged, Known
from paidup.reconcile.match import Matched, match
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Limits, opened

BEGINS = datetime(2026, 11, 21, 16, tzinfo=UTC)
AT = BEGINS + timedelta(hours=12)
DAY = Day(bill_id="bil1", begins_at=BEGINS, ends_at=BEGINS + timedelta(days=1), rules=Rules())


def line(payment: int | None, amount: int = 500, rref: str | None = "1", *, kind: str = "refund") -> BillLine:
    """A refund's line as Alipay has it: with the payment's two numbers, and none of the channel's own."""
    amount = amount if kind == LineKind.REFUND_FAILED else -amount
    return BillLine(
        number=0, raw="", kind=LineKind(kind), word="退款", currency="CNY", amount_minor=amount, fee_minor=0,
        net_minor=amount, occurred_at=AT, channel_txn_id=None if payment is None else f"txn{payment}",
        merchant_ref=None if payment is None else f"pay{payment}", merchant_refund_ref=rref,
    )  # fmt: skip


def refund(payment: int, amount: int = 500, number: str | None = "1", at: datetime = AT) -> OurSide:
    """number: None for one that we sent ourselves, under its id."""
    one = f"ref{payment}"
    return OurSide(
        payment_id=f"pay{payment}", order_id=f"ord{payment}", shop="tea", state="succeeded", currency="CNY",
        amount_minor=amount, at=at, refund_id=one, channel_txn_id=f"txn{payment}", merchant_ref=f"pay{payment}",
        merchant_refund_ref=number or one, shop_order_no=f"A-{payment}", changed_at=AT,
    )  # fmt: skip


def laid(tmp_path: Path, bill: Sequence[BillLine], ours: Sequence[OurSide]) -> tuple[Matched, Judged]:
    """A day's bill beside these refunds; those that are not of the day only look-ups know."""
    path = tmp_path / "refunds.csv"
    of_day = [one for one in ours if one.at is not None and BEGINS <= one.at < DAY.ends_at]
    rows = [
        (one.refund_id, "", one.merchant_refund_ref, "CNY", one.amount_minor, one.channel_txn_id, one.merchant_ref)
        for one in of_day
    ]
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    with opened(None, Limits(memory_mb=64, threads=1)) as table:
        table.add_lines([msgspec.structs.replace(one, number=n) for n, one in enumerate(bill, start=1)])
        table.add_ours("refunds", path)
        matched = match(table.sql, Rules())
    payments = [msgspec.structs.replace(one, refund_id=None, state="paid", amount_minor=9000) for one in ours]
    known = Known(
        by_number={str(one.merchant_ref): one for one in payments}, refunds=ours,
        by_id={one.subject_id: one for one in ours},
        days={one.subject_id: one.at.date() for one in ours if one.at}, read={(AT - timedelta(days=3)).date(): AT},
    )  # fmt: skip
    return matched, judge(matched, known, DAY)


def test_the_same_number_of_many_payments_agrees_at_once(tmp_path: Path) -> None:
    """A seller who calls each trade's first refund "1" leaves nothing to judge."""
    many = range(3000)
    matched, judged = laid(tmp_path, [line(n, 100 + n) for n in many], [refund(n, 100 + n) for n in reversed(many)])
    assert ([], []) == (matched.refunds, judged.breaks)


def test_a_line_does_not_agree_with_another_payments_refund(tmp_path: Path) -> None:
    """The bill has refund "1" of one payment, our books that of another, over the same money: both are told."""
    _, judged = laid(tmp_path, [line(2)], [refund(1)])
    assert {"refund:1 of txn2": Kind.REFUND_WITHOUT_PAYMENT, "refund:ref1": Kind.SHORT} == {
        one.key: one.kind for one in judged.breaks
    }


def test_a_line_is_no_repetition_of_another_payments_refund(tmp_path: Path) -> None:
    """Neither of one in the same bill, nor of one that an earlier bill had: only the same payment's is."""
    before = refund(1, at=AT - timedelta(days=3))
    _, judged = laid(tmp_path, [line(2), line(3), line(3), line(1)], [before])
    assert {
        "refund:1 of txn2": Kind.REFUND_WITHOUT_PAYMENT,
        "refund:1 of txn3": Kind.REFUND_WITHOUT_PAYMENT,
        "twice:refund:1 of txn3": Kind.DUPLICATE,
        "twice:refund:ref1": Kind.DUPLICATE,
    } == {one.key: one.kind for one in judged.breaks}


def test_a_return_is_that_of_the_payment_that_it_names(tmp_path: Path) -> None:
    """Refund "1" of one payment came back: that of the other one is still missing in the bill."""
    came_back = [line(2, kind="refund_undone"), line(3, kind="refund_undone")]
    _, judged = laid(tmp_path, came_back, [refund(1), refund(2), refund(3)])
    assert {"refund:ref1": Kind.SHORT, "refund_undone:ref2": Kind.STATUS, "refund_undone:ref3": Kind.STATUS} == {
        one.key: one.kind for one in judged.breaks
    }


@pytest.mark.parametrize("payment", [None, 8])
def test_our_own_number_is_enough(tmp_path: Path, payment: int | None) -> None:
    """Numbers that we gave are ids: a bill that names no payment, or names it otherwise, has our refund, too."""
    matched, _ = laid(
        tmp_path, [line(payment, rref="ref1")], [refund(1, number=None), refund(2, number=None, amount=7)]
    )
    assert [(None, "ref2")] == matched.refunds


def test_lines_without_a_payment_are_told_apart_by_their_money(tmp_path: Path) -> None:
    """A mapped bill that names no payments: whoever bears a number alone has the line; of several each has one, those
    of the same money first; what is too many is told."""
    matched, _ = laid(tmp_path, [line(None)], [refund(1)])
    assert [] == matched.refunds
    ours = [refund(1, 100), refund(2, 200), refund(3, 300)]
    _, judged = laid(tmp_path, [line(None, 300), line(None, 100)], ours)
    assert {"refund:ref2": Kind.SHORT} == {one.key: one.kind for one in judged.breaks}
    _, judged = laid(tmp_path, [line(None, 300), line(None, 200), line(None, 101), line(None, 999)], ours)
    assert {"refund:ref1": Kind.AMOUNT, "twice:refund:ref1": Kind.DUPLICATE} == {
        one.key: one.kind for one in judged.breaks
    }


def test_a_line_may_name_the_payment_by_its_order(tmp_path: Path) -> None:
    """Some bills have the shop's own order number."""
    by_order = msgspec.structs.replace(line(1), channel_txn_id=None, merchant_ref="A-1")
    _, judged = laid(tmp_path, [by_order], [refund(1)])
    assert ([], [-500]) == (judged.breaks, [one.line.amount for one in judged.agreed])
