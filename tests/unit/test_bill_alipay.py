"""Alipay's bills: GBK names, GB18030 text, TABs and totals in words; wrong ones refused whole."""

import io
import zipfile
from datetime import UTC, date, datetime

import pytest

import alipay_side as alipay
from bill_side import beside, fault, lines, name_of
from paidup.channels.alipay import AlipayAccount
from paidup.channels.alipay.bill import read_bill
from paidup.channels.alipay.bill_request import ask_bill
from paidup.channels.alipay.keys import parse_account
from paidup.channels.bill import Bill, BillFault, BillName, BillProof, LineKind, Sums
from paidup.channels.messages import NoBill, Retryable, Success
from paidup.sandbox.alipay.bill_files import alipay_trades
from paidup.sandbox.bills import BilledDay

DAY = date(2019, 9, 16)
SELLER = "2088021109625633"
with zipfile.ZipFile(io.BytesIO(alipay_trades(BilledDay(entries=()), SELLER, DAY))) as archive:
    EMPTY = archive.read(archive.infolist()[0])


def account(seller_id: str = SELLER) -> AlipayAccount:
    return parse_account("main", {**alipay.TABLE, "seller_id": seller_id}, alipay.files())


def read(content: bytes, name: BillName = name_of(DAY), seller_id: str = SELLER) -> Bill:  # noqa: B008
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


def made(*rows: str, paid: str = "1笔，商家实收共1.00元", back: str = "0笔，商家实收退款共0.00元") -> bytes:
    """A bill of ours: the lines that stand around the rows, and these rows."""
    text = EMPTY.decode("gb18030").splitlines()
    totals = [f"#交易合计：{paid}，商家优惠共0.00元", f"#退款合计：{back}，商家优惠退款共0.00元"]
    return "\r\n".join([*text[:5], *rows, text[-4], *totals, text[-1]]).encode("gb18030")


def row(word: str = "交易", *, title: str = "茶", amount: str = "1.00", fee: str = "-0.01", note: str = "") -> str:
    return (
        f"2019091622001\t,pay1\t,{word}\t,{title},2019-09-16 10:00:00,2019-09-16 10:00:09,\t,\t,\t,\t,*某\t,{amount},"
        f"{amount},0.00,0.00,0.00,0.00,0.00,,0.00\t,0.00,\t,{fee},0.00,{note}"
    )


@pytest.mark.parametrize("text", ["a,b", "茶,1.00,茶", '"a,b"', "a,,,b", ",", "2019-09-16", "#"])
def test_texts_may_hold_commas(text: str) -> None:
    """In the goods' name and in the note: no other cell moves."""
    for content in (made(row(title=text)), made(row(note=text))):
        assert [("pay1", 100, 1, 99)] == [
            (it.merchant_ref, it.amount_minor, it.fee_minor, it.net_minor) for it in lines(read(content))
        ]


def test_characters_of_gb18030_are_read() -> None:
    """Four bytes long, and not in GBK."""
    (line,) = lines(read(made(row(title="\U00020000🌙"))))
    assert "\U00020000🌙" in line.raw


def test_a_kind_of_line_nobody_knows_is_kept() -> None:
    """It is called unknown, keeps its word and its printed sign, and counts in neither total."""
    (_, line) = lines(read(made(row(), row("分账", amount="-0.30", fee=""))))
    assert (LineKind.UNKNOWN, "分账", -30, 0) == (line.kind, line.word, line.amount_minor, line.fee_minor)


@pytest.mark.parametrize(
    ("paid", "back"),
    [("2笔，商家实收共1.00元", "0笔，商家实收退款共0.00元"), ("1笔，商家实收共1.01元", "0笔，商家实收退款共0.00元"),
     ("1笔，商家实收共1.00元", "1笔，商家实收退款共0.00元"), ("1笔，商家实收共1.00元", "0笔，商家实收退款共-0.01元")],
)  # fmt: skip
def test_each_total_is_checked(paid: str, back: str) -> None:
    """Numbers and sums of payments and of refunds: whichever is off by one, the bill is refused."""
    assert BillFault.WRONG_TOTAL == fault(lambda: read(made(row(), paid=paid, back=back)))


def test_the_same_day_of_a_month_is_not_the_month() -> None:
    """A bill of a whole month is none of its first day."""
    content = made(row()).decode("gb18030")
    month = content.replace("终止日期：[2019年09月17日", "终止日期：[2019年10月01日")
    assert content != month
    assert BillFault.OTHER_DAY == fault(lambda: read(month.encode("gb18030")))


def test_an_unsigned_no_is_no_word_about_bills() -> None:
    """Only a signed BILL_NOT_EXIST is one; an unsigned one could be anybody's."""
    method = "alipay.data.dataservice.bill.downloadurl.query"
    told = {"code": "40004", "msg": "Business Failed", "sub_code": "isp.bill_not_exist"}
    exchange = ask_bill(name_of(DAY), alipay.account(), alipay.NOW)
    signed, unsigned = (exchange.read(alipay.answer(method, told, **how), alipay.NOW) for how in ({}, {"signer": None}))
    assert isinstance(signed, Success)
    assert isinstance(signed.bill, NoBill)
    assert isinstance(unsigned, Retryable)
