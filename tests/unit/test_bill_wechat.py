"""WeChat Pay's bills: real ones read to the last cell, wrong ones refused whole."""

import gzip
import hashlib
import io
from datetime import UTC, date, datetime

import pytest

import wechat_side as wechat
from bill_side import GOLDEN, beside, fault, lines, name_of
from paidup.channels.bill import ON_ITS_WAY, Bill, BillFault, BillKind, BillName, BillProof, BillRefused, LineKind, Sums
from paidup.channels.messages import Retryable
from paidup.channels.wechat import WechatAccount
from paidup.channels.wechat.bill import read_bill
from paidup.channels.wechat.bill_request import ask_bill, ready_at
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


# Rows of our own ------------------------------------------------------------------------------------------------------

HEADER, *ROWS, TOTALS_HEADER, TOTALS = gzip.decompress(TRADES).decode().splitlines()
NAMES = HEADER.split(",")


def row(**cells: str) -> str:
    """The first real row with other cells."""
    real = dict(zip(NAMES, ROWS[0][1:].split(",`"), strict=True))
    return "`" + ",`".join((real | cells).values())


def file(*rows: str, totals: str | None = None, header: str = HEADER) -> bytes:
    """A bill of these rows, of a fen each unless the totals say otherwise."""
    fen = f"{len(rows) / 100:.2f}"
    stated = totals or f"`{len(rows)},`{fen},`0.00,`0.00,`0.00000,`{fen},`0.00"
    return "\n".join((header, *rows, TOTALS_HEADER, stated)).encode()


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [
        ("REFUND", "SUCCESS", LineKind.REFUND), ("REFUND", "PROCESSING", LineKind.REFUND),
        ("REFUND", "CHANGE", LineKind.REFUND_UNDONE), ("REFUND", "FAIL", LineKind.REFUND_UNDONE),
        ("SUCCESS", "CHANGE", LineKind.PAYMENT), ("REVOKED", "", LineKind.REFUND), ("ADJUST", "", LineKind.UNKNOWN),
    ],
)  # fmt: skip
def test_the_status_of_a_refund_is_read(word: str, status: str, kind: LineKind) -> None:
    """One that did not reach the customer is no refund that was done; one on its way is; a payment has none."""
    (line,) = lines(read(file(row(交易状态=word, 退款状态=status))))
    said = f"{word}{ON_ITS_WAY}" if status == "PROCESSING" else word
    assert (kind, status, said) == (line.kind, line.status, line.word)


@pytest.mark.parametrize(
    "text", ["a,b", "a,`b", "a,`b,`c,`", "`", '"a"', '{"a":1,"b":"`2`"}', "第一行\n第二行", "a\nb\nc", ",`,`"]
)
def test_texts_may_hold_what_separates_cells(text: str) -> None:
    """Commas, backticks, quotes and line feeds in the goods' name or in the attached data move no other cell."""
    for column in ("商品名称", "商户数据包"):
        (line, after) = lines(read(file(row(**{column: text}), ROWS[1])))
        assert (1, "CNY", "1601959334/wx81be3101902f7cb2", 2) == (
            line.amount_minor,
            line.currency,
            line.payee,
            line.number,
        )
        assert "S20210128153505214586" == after.merchant_ref
        assert text in line.raw


def test_a_line_that_fits_in_two_ways_is_refused() -> None:
    """Where a text looks like the columns after it, no guess is made."""
    text = "茶,`0.00000,`1.00%,`0.01,`0.00,`茶"
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(file(row(商品名称=text, 费率备注=text))))


def test_a_kind_of_line_nobody_knows_is_kept() -> None:
    """It counts in the totals, is called unknown, and keeps the channel's word."""
    (line,) = lines(read(file(row(交易状态="SPLIT"))))
    assert (LineKind.UNKNOWN, "SPLIT", 1) == (line.kind, line.word, line.amount_minor)


def test_a_service_providers_bill_names_the_sub_merchants() -> None:
    """特约商户号 tells for whom each payment was taken."""
    rows = [row(特约商户号=number) for number in ("1900000109", "1900000110", "0")]
    assert ["1900000109", "1900000110", None] == [line.sub_merchant for line in lines(read(file(*rows)))]


def test_a_coupon_of_the_merchants_own_lessens_the_net() -> None:
    """订单金额 is what was ordered, 应结订单金额 what is settled: 0.01 of 0.03 was the merchant's coupon."""
    totals = "`1,`0.02,`0.00,`0.00,`0.00000,`0.03,`0.00"
    bill = read(file(row(订单金额="0.03", 应结订单金额="0.02", 代金券金额="0.01"), totals=totals))
    assert [(3, 2, 0)] == [(line.amount_minor, line.net_minor, line.fee_minor) for line in lines(bill)]


def test_a_line_of_another_merchant_refuses_the_bill() -> None:
    """Not even its own lines are used."""
    assert BillFault.OTHER_MERCHANT == fault(lambda: read(file(ROWS[0], row(商户号="1900000009"))))


def test_one_late_line_is_not_another_days_bill() -> None:
    """Channels book late: a line of another day passes and is counted; a bill without one line of its day does not."""
    late = row(交易时间="2021-01-27 23:59:59")
    assert 1 == read(file(ROWS[0], late)).totals.other_days
    assert BillFault.OTHER_DAY == fault(lambda: read(file(late, late)))


@pytest.mark.parametrize("n", range(7))
def test_each_total_is_checked(n: int) -> None:
    """Whichever of the seven is off by the least, the bill is refused."""
    cells = TOTALS[1:].split(",`")
    cells[n] = {0: "4"}.get(n, f"{float(cells[n]) + 0.01:.2f}")
    assert BillFault.WRONG_TOTAL == fault(lambda: read(file(*ROWS, totals="`" + ",`".join(cells))))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("订单金额", "0.011"), ("订单金额", "1e3"), ("订单金额", ""), ("订单金额", "１"), ("手续费", "0.00001"),
        ("货币种类", "USD"), ("交易时间", "2021-01-28"), ("交易时间", "2021-02-30 00:00:00"), ("微信订单号", "9" * 501),
    ],
)  # fmt: skip
def test_a_cell_that_makes_no_sense_refuses_the_bill(column: str, cell: str) -> None:
    """An amount is never rounded, a time never guessed."""
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(file(row(**{column: cell}))))


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace("手续费,", "手续费用,"),
        f"{HEADER},新列",
        HEADER.replace(",费率备注", ""),
        f"{HEADER},费率备注",
        "{}",
    ],
)
def test_columns_that_changed_refuse_the_bill(header: str) -> None:
    """Renamed, added, missing or doubled: somebody must look before money is compared by it."""
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(file(*ROWS, header=header)))


def test_columns_in_another_order_are_found_by_name() -> None:
    """The same columns turned round say the same."""
    turned = "`" + ",`".join(reversed(ROWS[0][1:].split(",`")))
    first, second = (lines(read(content))[0] for content in (file(ROWS[0]), file(turned, header=",".join(NAMES[::-1]))))
    assert [first.amount_minor, first.merchant_ref] == [second.amount_minor, second.merchant_ref]


def test_refusals_are_told_in_words() -> None:
    """What is wrong, where, and what to do next."""
    with pytest.raises(BillRefused, match=r"总交易单数 is stated as 4, and its lines make 3; ask the channel"):
        read(file(*ROWS, totals=TOTALS.replace("`3,", "`4,")))
    with pytest.raises(BillRefused, match=r"line 3: '0\.011' has more decimals than CNY"):
        read(file(ROWS[0], row(订单金额="0.011")))


# Where the bill is ----------------------------------------------------------------------------------------------------


def test_both_bills_are_asked_for_by_day() -> None:
    """The address, the day and GZIP; the fund flow of the basic account."""
    asked = [
        ask_bill(name_of(DAY, kind), account(), wechat.NOW).request.target for kind in (BillKind.TRADES, BillKind.FUNDS)
    ]
    assert [
        "/v3/bill/tradebill?bill_date=2021-01-28&bill_type=ALL&tar_type=GZIP",
        "/v3/bill/fundflowbill?bill_date=2021-01-28&account_type=BASIC&tar_type=GZIP",
    ] == asked


def test_a_bill_is_made_at_ten_the_next_morning() -> None:
    """Ten o'clock in Beijing is two in the morning, UTC."""
    assert datetime(2021, 1, 29, 2, 0, tzinfo=UTC) == ready_at(DAY)


def test_a_hash_that_is_not_sha1_is_not_trusted() -> None:
    """Of a hash of another kind nothing can be checked, so there is no bill yet."""
    told = {"hash_type": "MD5", "hash_value": "0", "download_url": "https://api.mch.weixin.qq.com/v3/x?token=1"}
    outcome = ask_bill(name_of(DAY), wechat.account(), wechat.NOW).read(wechat.answer(told), wechat.NOW)
    assert isinstance(outcome, Retryable)
