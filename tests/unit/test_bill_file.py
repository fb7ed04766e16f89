"""What lies around a bill's lines: sizes have limits, archives are not trusted, and memory does not grow."""

import gzip
import io
import re
import tracemalloc
import zipfile
import zlib

import pytest

import alipay_side as alipay
import wechat_side as wechat
from bill_side import BILL, fault, one_day
from paidup.channels.alipay.bill import read_bill as read_alipay
from paidup.channels.bill import Bill, BillFault, BillProof, minor
from paidup.channels.bill_address import address_of
from paidup.channels.bill_file import Limits, fitted
from paidup.channels.wechat.bill import read_bill as read_wechat
from paidup.channels.wechat.keys import parse_account
from paidup.errors import InvalidRequest
from paidup.sandbox.alipay.bill_files import alipay_trades
from paidup.sandbox.wechat.bill_files import gzipped, wechat_trades

ACCOUNT = parse_account("main", wechat.TABLE, wechat.files())
TEXT = wechat_trades(one_day("CNY"), wechat.MCHID, wechat.APPID)
ZIP = alipay_trades(one_day("CNY"), alipay.SELLER_ID, BILL.day)


def from_wechat(content: bytes, **limits: int) -> Bill:
    return read_wechat(io.BytesIO(content), BILL, ACCOUNT, BillProof(), Limits(**limits))


def from_alipay(content: bytes, **limits: int) -> Bill:
    return read_alipay(io.BytesIO(content), BILL, alipay.account(), BillProof(), Limits(**limits))


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def csv_of(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(archive.infolist()[0])


@pytest.mark.parametrize("limits", [{"file_bytes": 100}, {"plain_bytes": 400}, {"lines": 3}, {"line_bytes": 100}])
def test_every_size_has_a_limit(limits: dict[str, int]) -> None:
    """A file, its text, its lines and each line: whichever is larger than allowed refuses the bill."""
    assert {BillFault.TOO_LARGE} == {
        fault(lambda: from_wechat(gzipped(TEXT), **limits)),
        fault(lambda: from_alipay(ZIP, **limits)),
    }


def test_a_small_file_that_unpacks_into_a_large_one_is_refused() -> None:
    """20 MB of one line, or of many, come out of some kB; reading stops at the limit and keeps none of it."""
    line, many = b"`" * (20 << 20), TEXT.split(b"\r\n")[1] + b"\r\n"
    bombs = [gzip.compress(line, 9), gzip.compress(TEXT.splitlines()[0] + b"\n" + many * 60_000, 1)]
    tracemalloc.start()
    found = [fault(lambda bomb=bomb: from_wechat(bomb, plain_bytes=4 << 20)) for bomb in bombs]
    found.append(fault(lambda: from_alipay(zipped(**{"a_业务明细.csv": b"#" * (8 << 20)}), plain_bytes=4 << 20)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {BillFault.TOO_LARGE, BillFault.UNKNOWN_FORMAT} >= set(found)
    assert peak_bytes < 12 << 20  # the zipped 8 MB were made in here


def test_an_archive_holds_one_bill() -> None:
    """None, two, a strange path, too many members, an encrypted one: refused; a strange path is only a name."""
    content = csv_of(ZIP)
    detail = "x_业务明细.csv"
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: from_alipay(zipped(other=content)))
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: from_alipay(zipped(**{detail: content, f"2{detail}": content})))
    assert BillFault.UNKNOWN_FORMAT == fault(
        lambda: from_alipay(zipped(**{detail: content}, **{f"m{n}": b"" for n in range(60)}))
    )
    assert 2 == from_alipay(zipped(**{f"../../etc/{detail}": content})).totals.lines
    locked = bytearray(zipped(**{detail: content}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: from_alipay(bytes(locked)))


def test_a_bill_that_was_unpacked_already_is_read() -> None:
    """People download bills by hand, and programs unpack them."""
    assert [2, 2] == [from_wechat(TEXT).totals.lines, from_alipay(csv_of(ZIP)).totals.lines]


def test_bytes_that_are_no_text_refuse_the_bill() -> None:
    """A NUL, and bytes outside of the encoding, are named by their line."""
    for wrong in (b"\x00", b"\xff"):
        assert BillFault.BROKEN_FILE == fault(lambda wrong=wrong: from_wechat(TEXT.replace(b"NATIVE", wrong, 1)))
    assert BillFault.BROKEN_FILE == fault(lambda: from_wechat(gzip.compress(TEXT)[:-4] + zlib.compress(b"x")[:4]))


def test_memory_does_not_grow_with_the_bill() -> None:
    """30,000 lines, 9 MB of text, are checked and read in less than 2 MB; as objects they would be 40 MB."""
    header, row, *_, totals_header, _ = TEXT.decode().split("\r\n")[:-1]
    count = 30_000
    amount = minor(row[1:].split(",`")[-3], "CNY") * count
    stated = f"`{count},`{amount / 100:.2f},`0.00,`0.00,`{8 * count / 100:.5f},`{amount / 100:.2f},`0.00"
    content = gzip.compress("\n".join([header, *[row] * count, totals_header, stated]).encode(), 1)
    tracemalloc.start()
    read = sum(1 for _ in from_wechat(content).lines())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, True) == (read, peak_bytes < 2 << 20), peak_bytes


def test_texts_that_were_split_are_put_together() -> None:
    """Only where there is one way to do it; too few cells are never filled up."""
    number = re.compile("[0-9]+")
    assert ["1", "a,b", "2"] == fitted(["1", "a", "b", "2"], [number, None, number])
    assert ["a,b,c"] == fitted(["a", "b", "c"], [None])
    assert None is fitted(["1"], [number, None])
    assert None is fitted(["1", "2", "3", "4"], [None, number, None])
    assert None is fitted(["x", "1", "2", "x"], [None, number, None])
    assert ["a", "1", "b,c"] == fitted(["a", "1", "b", "c"], [None, number, None])


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("12.50", "CNY", 1250), ("-0.01", "CNY", -1), ("+3", "CNY", 300), ("0.32000", "CNY", 32), ("500", "JPY", 500),
        ("500.00", "JPY", 500), ("1.234", "KWD", 1234), ("10000000000000", "CNY", 10**15), ("-0", "CNY", 0),
    ],
)  # fmt: skip
def test_amounts_are_exact(text: str, currency: str, expected: int) -> None:
    """Major units become minor ones without passing through a float."""
    assert expected == minor(text, currency)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1,000", "0x1", "1e2", ".5", "5.", "--1", "0.001", "１２", "nan", "1" * 16, "1_0", "10000000000000.01"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"amount|decimals|more than"):
        minor(text, "CNY")


def test_a_bill_is_fetched_from_the_channel_only() -> None:
    """The account's own address as it stands; the channel's file hosts over TLS, whatever the channel wrote."""
    hosts = ("files.example", ".alipay.com")
    assert ("https://api.mch.weixin.qq.com", "/v3/x?a=%2B") == address_of(
        "https://api.mch.weixin.qq.com/v3/x?a=%2B", ACCOUNT, ()
    )
    assert ("https://bill.alipay.com", "/f?x=1") == address_of("http://bill.alipay.com/f?x=1", ACCOUNT, hosts)
    assert ("https://files.example", "/") == address_of("https://files.example", ACCOUNT, hosts)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.mch.weixin.qq.com/v3/x", "https://evil.example/", "https://alipay.com/", "https://evilalipay.com/",
        "https://u:p@bill.alipay.com/", "https://bill.alipay.com:8443/", "ftp://bill.alipay.com/", "file:///etc/passwd",
        "//bill.alipay.com/", "", "https://bill.alipay.com/a b", "https://bill.alipay.com/\r\nx", "https://[/",
        "https://evil.example\\.alipay.com/", "https://evil.example;.alipay.com/", "https://..alipay.com/",
        "https://bill.alipay.com@evil.example/", "https://bill.alipay.com:x/", "https://files.example/" + "x" * 5000,
    ],
)  # fmt: skip
def test_an_address_elsewhere_is_refused(url: str) -> None:
    """Not another host, port, scheme or user, nor anything that breaks a line."""
    with pytest.raises(InvalidRequest):
        address_of(url, ACCOUNT, ("files.example", ".alipay.com"))
