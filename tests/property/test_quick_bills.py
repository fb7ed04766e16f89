"""The quick readers beside the careful ones: whatever stands in the file, who says something says the same."""

import gzip
import io
from collections.abc import Iterator
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alipay_side as alipay
import wechat_side as wechat
from bill_ledgers import DAY, PARSED, RUN, ZONES, ledgers, printed
from bill_readers import SIZES, SMALL, Sizes, careful, quick
from bill_side import GOLDEN, beside, one_day
from paidup.channels.bill import BillKind, BillProof
from paidup.channels.bill_file import member
from paidup.channels.registry import CHANNELS
from paidup.reconcile.table import Limits, Table, opened
from paidup.sandbox.bills import BilledDay

ODD = ('"', ",", "\n", "\r\n", "\r", "\t", " ", "\u3000", "`", ",`", "#", "-", "+", "0", "9", "24", "x", "|", "茶")
fragments = st.one_of(
    st.sampled_from(ODD).map(str.encode), st.sampled_from([b"\xff", b"\x81", b"\0", b"", b"\n\n", b"\xef\xbb\xbf"])
)


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    with opened(None, Limits(memory_mb=64, threads=1)) as its:
        yield its


def plain(channel: str, file: bytes) -> bytes:
    """The text inside."""
    if channel == "wechat":
        return gzip.decompress(file)
    if channel == "alipay":
        return member(io.BytesIO(file), lambda name: name.endswith("业务明细.csv"), "").read()
    return file


def simple(day: BilledDay) -> BilledDay:
    """The same, with goods whose names every reader can read."""
    return BilledDay(entries=tuple(msgspec.structs.replace(entry, title="两张 `票`") for entry in day.entries))


@pytest.mark.parametrize("channel", ZONES)
def test_a_bill_as_most_are_is_read_quickly(table: Table, channel: str) -> None:
    """Any ledger of goods with simple names, cut into parts of any size: the quick reader takes it, with the same lines
    in the same places."""

    @RUN
    @given(ledgers(channel), st.sampled_from([SIZES, SMALL]))
    def holds(day: BilledDay, sizes: Sizes) -> None:
        file, proof = printed(channel, BillKind.TRADES, simple(day))
        said = quick(table, PARSED[channel], DAY, file, proof, sizes)
        assert said is not None
        assert careful(table, PARSED[channel], DAY, file, proof) == said

    holds()


def test_a_refund_on_its_way_is_read_quickly(table: Table) -> None:
    """What WeChat Pay says of how far each refund is, is said by both readers alike."""

    @RUN
    @given(ledgers("wechat"), st.sampled_from([b"PROCESSING", b"CHANGE", b"FAIL", b"", b"OTHER"]))
    def holds(day: BilledDay, status: bytes) -> None:
        file, _ = printed("wechat", BillKind.TRADES, simple(day))
        text = plain("wechat", file).replace(b"`ORIGINAL,`SUCCESS", b"`ORIGINAL,`" + status)
        said = quick(table, PARSED["wechat"], DAY, text, BillProof())
        assert said is not None
        assert careful(table, PARSED["wechat"], DAY, text, BillProof()) == said

    holds()


@pytest.mark.parametrize("channel", ZONES)
def test_whatever_is_odd_is_left_to_the_careful_reader(table: Table, channel: str) -> None:
    """Goods of any name, and the text spoiled anywhere: the quick reader says what the careful one says, or nothing."""

    @RUN
    @given(ledgers(channel), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), fragments), max_size=3))
    def holds(day: BilledDay, spoils: list[tuple[float, int, bytes]]) -> None:
        text = plain(channel, printed(channel, BillKind.TRADES, day)[0])
        for where, length, put in spoils:
            at = int(where * len(text))
            text = text[:at] + put + text[at + length :]
        said = quick(table, PARSED[channel], DAY, text, BillProof())
        assert said in (None, careful(table, PARSED[channel], DAY, text, BillProof()))

    holds()


BILLED = {channel: one_day("USD" if channel == "stripe" else "CNY") for channel in ZONES}


def spoiled(channel: str, *changes: tuple[bytes, bytes]) -> bytes:
    """A bill of two lines with these texts replaced once."""
    text = plain(channel, printed(channel, BillKind.TRADES, simple(BILLED[channel]))[0])
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize(
    ("channel", "old", "new"),
    [
        ("wechat", "两张".encode(), b"\xff"),  # no text, in a column that nobody looks at
        ("wechat", b" 12:00:00", b" 24:00:00"),
        ("wechat", b"2026-11-22 12", b"1970-01-01 00"),  # in Beijing: before 1970 in UTC
        ("wechat", "两张".encode(), b"x" * 70_000),
        ("wechat", b",`0,`", b",`" + b"7" * 501 + b",`"),
        ("alipay", "两张".encode("gb18030"), b"\xff"),
        ("alipay", "交易\t".encode("gb18030"), "交易\u3000\t".encode("gb18030")),
        ("alipay", b"pay1\t", b"pay1 \t"),
        ("wechat", b",`\r\n", b",`,`\r\n"),  # an empty cell too many
        ("alipay", b"0.00,\r\n", b"0.00,,\r\n"),
        ("stripe", b"pay1,\n", b"pay1,,\n"),
        ("stripe", "两张".encode(), b"\xff"),
        ("stripe", b",charge,", b",char\"ge,"),
        ("stripe", b",usd,12.50,0.08,12.42,", b",jpy,12.50,0.08,12.42,"),
        ("stripe", b",usd,12.50,0.08,12.42,", b",usd,12.50,0.08,12.43,"),
    ],
)  # fmt: skip
def test_what_only_a_careful_look_sees(table: Table, channel: str, old: bytes, new: bytes) -> None:
    """Each of these was, or could be, taken by a reader that looks at less than the careful one does."""
    text = spoiled(channel, (old, new))
    assert quick(table, PARSED[channel], DAY, text, BillProof()) is None


@pytest.mark.parametrize("blank", [b"\n", b"\r\n"])
@pytest.mark.parametrize("channel", ZONES)
def test_blank_lines_count_as_lines(table: Table, channel: str, blank: bytes) -> None:
    """Where lines are empty, every line keeps the number that it has in the file."""
    text = spoiled(channel)
    ends = text.rfind(b"\n", 0, text.find(b"pay1")) + 1
    text = text[:ends] + blank + text[ends:]
    said = quick(table, PARSED[channel], DAY, text, BillProof())
    assert said in (None, careful(table, PARSED[channel], DAY, text, BillProof()))


@pytest.mark.parametrize(
    ("channel", "day", "whose", "name"),
    [
        ("wechat", date(2021, 1, 28), "1601959334", "wechatpay/tradebill_ALL_gunsluo.csv.gz"),
        ("wechat", date(2024, 7, 9), "1500000001", "wechatpay/tradebill_ALL_refund_2024_consistent.csv"),
        ("alipay", date(2019, 9, 16), "2088021109625633", "alipay/trade_detail_2019.gbk.csv"),
    ],
)
def test_real_bills_are_read_quickly(table: Table, channel: str, day: date, whose: str, name: str) -> None:
    """Bills that channels made: the quick reader takes them, and reads what the careful one does."""
    ours = GOLDEN / name.rsplit("/", maxsplit=1)[-1]
    content = ours.read_bytes() if ours.exists() else beside(name)
    side, field = (alipay, "seller_id") if channel == "alipay" else (wechat, "mchid")
    account = CHANNELS[channel].parse_account("main", {**side.TABLE, field: whose}, side.files())
    said = quick(table, account, day, content, BillProof())
    assert said is not None
    assert careful(table, account, day, content, BillProof()) == said
