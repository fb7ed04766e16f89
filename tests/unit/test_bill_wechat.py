"""WeChat Pay's bills: real ones read to the last cell, wrong ones refused whole."""

import gzip
import hashlib
import io
from datetime import UTC, date, datetime

import wechat_side as wechat
from bill_side import GOLDEN, beside, fault, lines, name_of
from paidup.channels.bill import Bill, BillFault, BillKind, BillName, BillProof, LineKind, Sums
from paidup.channels.wechat import WechatAccount
from paidup.channels.wechat.bill import read_bill
from paidup.channels.wechat.keys import parse_account

DAY = date(2021, 1, 28)
TRADES = (GOLDEN / "tradebill_ALL_gunsluo.csv.gz").read_bytes()
FUNDS = (GOLDEN / "fundflowbill_BASIC_gunsluo.csv.gz").read_bytes()


def account(mchid: str = "1601959334") -> WechatAccount:
    return parse_account("main", {**wechat.TABLE, "mchid": mchid}, wechat.files())


def read(content: bytes, name: BillName = name_of(DAY), proof: BillProof | None = None, mchid="1601959334") -> Bill:  # noqa: B008
    return read_bill(io.BytesIO(content), name, account(mchid), proof or BillProof())


def test_a_real_trade_bill_is_read() -> None:
    """Three payments of one fen each, with their numbers, their payee and their time in Beijing."""
    bill = read(TRADES)
    first, *others = lines(bill)
    assert (2, "4200000925202101284997714292", "S20210128170702357723", "1601959334/wx81be3101902f7cb2") == (
        first.number, first.channel_txn_id, first.merchant_ref, first.payee,
    )  # fmt: skip
    assert (LineKind.PAYMENT, "SUCCESS", 1, 0, 1, datetime(2021, 1, 28, 9, 7, 11, tzinfo=UTC)) == (
        first.kind, first.word, first.amount_minor, first.fee_minor, first.net_minor, first.occurred_at,
    )  # fmt: skip
    assert (None, None, None) == (first.channel_refund_id, first.merchant_refund_ref, first.sub_merchant)
    assert gzip.decompress(TRADES).decode().split("\n")[1] == first.raw
    assert [3, 4] == [line.number for line in others]
    assert Sums(lines=3, amount_minor=3, net_minor=3) == bill.totals.of(LineKind.PAYMENT, "CNY")
    assert ("3", "0.03", 0) == (bill.stated["总交易单数"], bill.stated["订单总金额"], bill.totals.other_days)


def test_a_real_bill_with_a_refund_is_read() -> None:
    """A refund is negative, has both its numbers beside its payment's, and gives a part of the fee back."""
    content = beside("wechatpay/tradebill_ALL_refund_2024_consistent.csv")
    refund, payment = lines(read(content, name_of(date(2024, 7, 9)), mchid="1500000001"))
    assert (LineKind.REFUND, -5000, -27, -4973, "SUCCESS") == (
        refund.kind, refund.amount_minor, refund.fee_minor, refund.net_minor, refund.status,
    )  # fmt: skip
    assert ("50302709992024070991956632208", "5622435300878286848", "5617363390111199232") == (
        refund.channel_refund_id, refund.merchant_refund_ref, refund.merchant_ref,
    )  # fmt: skip
    assert (LineKind.PAYMENT, 6000, 32, 5968) == (
        payment.kind, payment.amount_minor, payment.fee_minor, payment.net_minor,
    )  # fmt: skip


def test_a_bill_whose_totals_do_not_fit_is_refused() -> None:
    """The real fund flow bill of 2021-02-01 states three lines and has two."""
    assert BillFault.WRONG_TOTAL == fault(lambda: read(FUNDS, name_of(date(2021, 2, 1), BillKind.FUNDS)))


def test_the_hash_is_over_the_unzipped_text() -> None:
    """WeChat Pay's SHA-1 fits the text, not the file; another one refuses the bill."""
    right, wrong = (hashlib.sha1(content).hexdigest() for content in (gzip.decompress(TRADES), TRADES))
    assert 3 == read(TRADES, proof=BillProof(sha1_hex=right.upper())).totals.lines
    assert BillFault.WRONG_HASH == fault(lambda: read(TRADES, proof=BillProof(sha1_hex=wrong)))
