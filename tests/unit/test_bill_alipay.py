"""Alipay's bills: GBK names, GB18030 text, TABs and totals in words; wrong ones refused whole."""

import io
from datetime import UTC, date, datetime

import alipay_side as alipay
from bill_side import beside, fault, lines, name_of
from paidup.channels.alipay import AlipayAccount
from paidup.channels.alipay.bill import read_bill
from paidup.channels.alipay.keys import parse_account
from paidup.channels.bill import Bill, BillFault, BillName, BillProof, LineKind, Sums

DAY = date(2019, 9, 16)


def account(seller_id: str = "2088021109625633") -> AlipayAccount:
    return parse_account("main", {**alipay.TABLE, "seller_id": seller_id}, alipay.files())


def read(content: bytes, name: BillName = name_of(DAY), seller_id: str = "2088021109625633") -> Bill:  # noqa: B008
    return read_bill(io.BytesIO(content), name, account(seller_id), BillProof())


def real() -> bytes:
    return beside("alipay/trade_detail_2019.gbk.csv")


def test_a_real_trade_bill_is_read() -> None:
    """Six payments and four refunds of one fen; the refunds have their own number and time, and are negative."""
    bill = read(real())
    payment, refund, *_ = lines(bill)
    assert ("2019091622001458860515315453", "service_1568601259302", None, 1) == (
        payment.channel_txn_id, payment.merchant_ref, payment.merchant_refund_ref, payment.amount_minor,
    )  # fmt: skip
    assert (LineKind.REFUND, "退款", "re_test_1568602607356", -1, datetime(2019, 9, 16, 2, 56, 48, tzinfo=UTC)) == (
        refund.kind, refund.word, refund.merchant_refund_ref, refund.amount_minor, refund.occurred_at,
    )  # fmt: skip
    assert [Sums(lines=6, amount_minor=6, net_minor=6), Sums(lines=4, amount_minor=-4, net_minor=-4)] == [
        bill.totals.of(kind, "CNY") for kind in (LineKind.PAYMENT, LineKind.REFUND)
    ]
    assert ("6", "-0.04") == (bill.stated["交易合计 笔"], bill.stated["退款合计 元"])


def test_the_sign_comes_from_the_kind_of_line() -> None:
    """The same file with refunds printed as positive amounts says the same."""
    text = real().decode("gb18030").replace(",-0.01", ",0.01").replace("共-0.04", "共0.04")
    amounts = [[line.amount_minor for line in lines(read(content))] for content in (real(), text.encode("gb18030"))]
    assert amounts[0] == amounts[1]


def test_another_sellers_or_days_bill_is_refused() -> None:
    """The first lines say whose it is and of which day."""
    assert BillFault.OTHER_MERCHANT == fault(lambda: read(real(), seller_id="2088000000000000"))
    assert BillFault.OTHER_DAY == fault(lambda: read(real(), name_of(date(2019, 9, 17))))


def test_any_line_less_is_refused() -> None:
    """Whichever line is taken out of the real bill, header, row or footer, it is refused, but for its title lines."""
    rows = real().rstrip().split(b"\n")
    spared = [n for n in range(len(rows)) if fault(lambda n=n: read(b"\n".join(rows[:n] + rows[n + 1 :]))) is None]
    assert [0, 3] == spared
