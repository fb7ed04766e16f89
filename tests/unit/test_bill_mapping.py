"""Bills that a description in TOML explains: CSV, fixed width and Excel, with the checks that every bill gets."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bill_mappings import CSV, CSV_ROWS, FIXED, FIXED_ROWS, WORKBOOK, XLSX
from bill_side import fault, lines, name_of
from paidup.channels.bill import Bill, BillFault, BillLine, BillProof, BillRefused, LineKind
from paidup.channels.bill_file import Limits
from paidup.channels.bill_mapped import read_mapped
from paidup.channels.bill_mapping import BillMapping, parse_mapping
from paidup.channels.bill_sheet import moment_of, plain_number, sheet_rows
from paidup.errors import ConfigError
from paidup.reconcile.balance import Whose, balances_of
from paidup.reconcile.match import Added

DAY = date(2026, 11, 22)


def read(content: bytes, toml: str, day: date = DAY, **limits: int) -> Bill:
    mapping = parse_mapping(toml, "bank.toml")
    return read_mapped(
        io.BytesIO(content), name_of(day), mapping, BillProof(), channel="bank", account="main", limits=Limits(**limits)
    )


def csv(*rows: str) -> bytes:
    return "\n".join(rows).encode("gb18030")


def brief(line: BillLine) -> tuple[object, ...]:
    return (line.kind, line.merchant_ref, line.amount_minor, line.fee_minor, line.net_minor, line.occurred_at)


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """On the day, in Beijing."""
    return datetime(2026, 11, 21 if hour < 8 else 22, (hour - 8) % 24, minute, second, tzinfo=UTC)


def test_a_csv_file_is_read_by_its_description() -> None:
    """Signs by kind, thousands apart, two forms of time, remarks passed over; an unknown kind is kept as it is."""
    bill = read(csv(*CSV_ROWS), CSV)
    assert [
        (LineKind.PAYMENT, "pay1", 123450, 742, 122708, at(8)),
        (LineKind.REFUND, "pay1", -3450, -21, -3429, at(9, 30)),
        (LineKind.UNKNOWN, None, 100, 0, 100, at(9, 31)),
    ] == [brief(line) for line in lines(bill)]
    assert {"count": "3", "amount": "1201.00", "fee": "7.21"} == bill.stated
    assert ["b1", CSV_ROWS[2], 3] == [(first := lines(bill)[0]).channel_txn_id, first.raw, first.number]


def test_a_fixed_width_file_is_counted_in_bytes() -> None:
    """A Chinese character is two of them; letters give a fee its sign; a time without a year is near the day."""
    bill = read(csv(*FIXED_ROWS), FIXED)
    assert [
        (LineKind.PAYMENT, "订单一", 1000, 6, 994, at(8)),
        (LineKind.REFUND, "pay1", -400, -2, -398, at(9)),
    ] == [brief(line) for line in lines(bill)]
    new_year = "S22 pay1   1231235959 D000000000006 001000"
    (line,) = lines(read(csv(new_year, new_year.replace("1231235959", "0101000000")), FIXED, date(2027, 1, 1)))[:1]
    assert 2026 == line.occurred_at.year


def test_an_excel_file_is_read_to_the_last_digit() -> None:
    """A workbook that openpyxl wrote: 12.3, 0.1 + 0.2 and 5 are exact amounts; times and empty cells are read."""
    bill = read(WORKBOOK, XLSX)
    assert [
        (LineKind.PAYMENT, "pay1", 1230, 7, 1223, at(12, 0, 1)),
        (LineKind.PAYMENT, "pay2", 30, 0, 30, at(23, 59, 59)),
        (LineKind.REFUND, "pay1", -500, -3, -497, at(0)),
    ] == [brief(line) for line in lines(bill)]
    assert ("B2026112200000000000001", 3) == (lines(bill)[0].entry, bill.totals.lines)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda rows: rows[:-1], BillFault.BROKEN_FILE),
        (lambda rows: (*rows[:-2], rows[-1]), BillFault.WRONG_TOTAL),
        (lambda rows: (*rows[:2], rows[3], *rows[2:3], rows[2], *rows[4:]), BillFault.WRONG_TOTAL),
        (lambda rows: (*rows, rows[2]), BillFault.UNKNOWN_FORMAT),
        (lambda rows: tuple(row.replace("M1", "M2") for row in rows), BillFault.OTHER_MERCHANT),
        (lambda rows: tuple(row.replace("11", "10", 1) for row in rows), BillFault.OTHER_DAY),
        (lambda rows: tuple(row.replace("金额", "总额") for row in rows), BillFault.UNKNOWN_FORMAT),
        (lambda rows: tuple(row.replace("34.50,", "34.505,") for row in rows), BillFault.UNKNOWN_FORMAT),
        (lambda rows: tuple(row.replace("09:31,b3", "09:31") for row in rows), BillFault.UNKNOWN_FORMAT),
        (lambda rows: (), BillFault.EMPTY),
    ],
)
def test_a_spoiled_file_is_refused(spoil: Callable[[tuple[str, ...]], tuple[str, ...]], expected: BillFault) -> None:
    """Cut off, a line missing, one twice, one after the totals, another merchant, day, column or width."""
    assert expected == fault(lambda: read(csv(*spoil(CSV_ROWS)), CSV))


def test_income_and_expense_in_two_columns() -> None:
    """What came and what went stand apart, and never both in one row; negative expenses are the same expenses."""
    toml = """
        title = "two columns"
        times = ["%Y-%m-%d %H:%M:%S"]
        currency = "JPY"
        sign = "columns"
        columns = { time = "t", income = "in", expense = "out" }
    """
    rows = ("t,in,out", "2026-11-22 00:00:00,1200,", "2026-11-22 00:00:01,,-300", "2026-11-22 00:00:02,,300")
    assert [1200, -300, -300] == [line.amount_minor for line in lines(read(csv(*rows), toml))]
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(csv(rows[0], "2026-11-22 00:00:00,1,1"), toml))


@pytest.mark.parametrize(("sign", "printed"), [("kind", "5.00"), ("kind", "-5.00"), ("printed", "-5.00")])
def test_a_charge_is_a_fee_and_leaves_the_balance(sign: str, printed: str) -> None:
    """However it is printed; and so does a refund that left and did not arrive. The totals are those of the amounts as
    they stand."""
    toml = f"""
        title = "t"
        times = ["%Y-%m-%d"]
        currency = "CNY"
        sign = "{sign}"
        columns = {{ time = "t", kind = "k", amount = "a" }}
        kinds = {{ pay = "payment", monthly = "fee", undone = "refund_undone" }}
        totals = {{ begins = "sum", count = 2, amount = 3 }}
    """
    rows = (
        f"2026-11-22,{word},{amount}" for word, amount in (("pay", "100.00"), ("monthly", printed), ("undone", printed))
    )
    bill = read(csv("t,k,a", *rows, "sum,3,90.00"), toml)
    assert [(10_000, 0, 10_000), (0, 500, -500), (-500, 0, -500)] == [brief(line)[2:5] for line in lines(bill)]
    sums = [
        Added(
            what=kind,
            currency=currency,
            bill_lines=its.lines,
            bill_fee_minor=its.fee_minor,
            bill_net_minor=its.net_minor,
        )
        for (kind, currency), its in bill.totals.sums.items()
    ]
    (balance,) = balances_of(Whose(channel="bank", account="main", shop="s", day=DAY, run_id="r"), sums, None, [], {})
    assert (10_000, 500, 500, 9000) == (balance.in_minor, balance.fees_minor, balance.out_minor, balance.closing_minor)


def test_a_direction_in_words_and_totals_in_two_lines() -> None:
    """收入 and 支出 give the sign; the totals' values may stand in the line below their names."""
    toml = """
        title = "words"
        times = ["%Y-%m-%d %H:%M:%S"]
        currency = "CNY"
        sign = "word"
        fee = "deduction"
        strip = "`"
        columns = { time = "t", amount = "a", direction = "d", fee = "f", net = "n" }
        directions = { "收入" = "+", "支出" = "-" }
        totals = { begins = "总", next_line = true, count = 1, amount = 2, net = 3 }
    """
    rows = ("t,d,a,f,n", "`2026-11-22 00:00:00,`收入,`(1.00),`-0.01,`0.99", "`2026-11-22 00:00:00,`支出,`0.40,`,`-0.40")
    content = "\n".join((*rows, "总笔数,总额,净额", "2,0.60,0.59")).encode()
    assert [(100, 1, 99), (-40, 0, -40)] == [brief(line)[2:5] for line in lines(read(content, toml))]
    wrong = content.replace(b"0.59", b"0.60")
    assert BillFault.WRONG_TOTAL == fault(lambda: read(wrong, toml))
    assert BillFault.UNKNOWN_FORMAT == fault(lambda: read(content.replace("支出".encode(), "其他".encode()), toml))


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("sign =", "sing =", "sing"),
        ('"kind"', '"guess"', "guess"),
        ('amount = "金额"', "", "columns.amount"),
        ('currency = "CNY"', "", "currency"),
        ('encoding = "gb18030"', 'encoding = "utf-16"', "encoding"),
        ("Asia/Shanghai", "Asia/Shanghigh", "timezone"),
        ("times = [", "times = [ [], ", "times"),
        ('"退货" = "refund"', '"退货" = "gift"', "gift"),
        ('title = "a bank"', 'title = "a bank', "bank.toml"),
        ('kind = "类型"', "", "columns.kind"),
    ],
)
def test_a_description_that_makes_no_sense_is_told(was: str, becomes: str, told: str) -> None:
    """A misspelt name, a value that is none, or something that is needed and missing is named."""
    assert was in CSV
    with pytest.raises(ConfigError, match=told):
        parse_mapping(CSV.replace(was, becomes, 1), "bank.toml")


def test_a_description_is_a_value() -> None:
    """The same text gives equal descriptions."""
    assert parse_mapping(CSV, "a") == parse_mapping(CSV, "b") != parse_mapping(XLSX, "c")
    assert isinstance(parse_mapping(CSV, "a"), BillMapping)


@pytest.mark.parametrize(
    ("toml", "content"),
    [(CSV, csv(*CSV_ROWS)), (FIXED, csv(*FIXED_ROWS)), (XLSX, WORKBOOK)],
    ids=["csv", "fixed", "xlsx"],
)
def test_a_mangled_file_raises_nothing_else(toml: str, content: bytes) -> None:
    """With any piece replaced, a file is refused, or read; nothing else is ever raised."""

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(at=st.integers(0, len(content)), size=st.integers(0, 9), piece=st.binary(max_size=9))
    def holds(at: int, size: int, piece: bytes) -> None:
        file = content[:at] + piece + content[at + size :]
        assert fault(lambda: read(file, toml)) in {None, *BillFault}

    holds()


def test_a_file_with_totals_cut_off_anywhere_is_refused() -> None:
    """Whatever is missing at its end."""
    for toml, content in ((CSV, csv(*CSV_ROWS)), (XLSX, WORKBOOK)):
        assert [] == [size for size in range(len(content)) if fault(lambda: read(content[:size], toml)) is None]  # noqa: B023


# Workbooks ------------------------------------------------------------------------------------------------------------


def workbook(rows: str, *, dtd: str = "") -> bytes:
    """The least that is a workbook, with this inside of <sheetData>."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{relation}"><sheets><sheet name="S" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="r1" Target="worksheets/s.xml"/>'
        "</Relationships>",
        "xl/worksheets/s.xml": f"{dtd}<worksheet {space}><sheetData>{rows}</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def cells_of(content: bytes, sheet: str = "", **limits: int) -> list[tuple[int, list[str]]]:
    return list(sheet_rows(io.BytesIO(content), sheet, Limits(**limits)))


def refused(read_it: Callable[[], object]) -> BillFault:
    with pytest.raises(BillRefused) as caught:
        read_it()
    return caught.value.fault


def test_cells_of_every_kind_are_read() -> None:
    """Inline texts, formulas' results, numbers, gaps between cells and between rows."""
    rows = (
        '<row r="2"><c r="A2" t="inlineStr"><is><t>茶</t></is></c><c r="D2"><v>1.5E2</v></c></row>'
        '<row r="7"><c r="B7" t="str"><f>A1</f><v>x</v></c><c><v>0.30000000000000004</v></c></row>'
    )
    assert [(2, ["茶", "", "", "150"]), (7, ["", "x", "0.3"])] == cells_of(workbook(rows))


def test_a_workbook_with_entities_is_refused() -> None:
    """A document type could make a small file into an endless text."""
    dtd = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert BillFault.UNKNOWN_FORMAT == refused(lambda: cells_of(workbook("<row><c><v>&b;</v></c></row>", dtd=dtd)))


def test_what_is_no_workbook_is_refused() -> None:
    """Text, an empty archive, another sheet, a broken part, a cell out of its place, a text that is not there."""
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    wrong = [b"a,b", empty.getvalue(), WORKBOOK[:-30], workbook("<row>"), workbook('<row><c t="s"><v>3</v></c></row>')]
    wrong += [workbook('<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>')]
    assert {BillFault.BROKEN_FILE, BillFault.UNKNOWN_FORMAT} == {
        refused(lambda content=content: cells_of(content)) for content in wrong
    }
    assert BillFault.UNKNOWN_FORMAT == refused(lambda: cells_of(WORKBOOK, "Sheet9"))


def test_a_workbook_has_limits_too() -> None:
    """Its size, its rows and each row."""
    row = "<row><c t='str'><v>" + "x" * 500 + "</v></c></row>"
    content = workbook(row * 20)
    limits = [{"plain_bytes": 5000}, {"lines": 10}, {"line_bytes": 100}]
    assert {BillFault.TOO_LARGE} == {refused(lambda limit=limit: cells_of(content, **limit)) for limit in limits}


def test_order_numbers_that_excel_rounded_are_refused() -> None:
    """28 digits typed as a number have lost half of them: no payment is matched by what is left. As a text they are
    whole, and read."""
    toml = """
        title = "t"
        format = "xlsx"
        times = ["%Y-%m-%d %H:%M:%S"]
        currency = "CNY"
        columns = { time = "t", amount = "a", merchant_ref = "r" }
    """
    head = "".join(f"<c t='str'><v>{name}</v></c>" for name in "tar")
    body = "<c><v>46348.5</v></c><c><v>1</v></c><c><v>4.2000009252021E+27</v></c>"
    rows = workbook(f"<row>{head}</row><row>{body}</row>")
    with pytest.raises(BillRefused, match="Excel has rounded"):
        read(rows, toml)
    with pytest.raises(BillRefused, match="Excel has rounded"):
        read(workbook(f"<row>{head}</row><row>{body.replace('4.2000009252021E+27', '4200000925202100')}</row>"), toml)
    assert 1 == read(workbook(f"<row>{head}</row><row>{body.replace('E+27', '')}</row>"), toml).totals.lines
    text = body.replace("<c><v>4.2000009252021E+27", "<c t='str'><v>4200002511222026112216000001")
    (line,) = read(workbook(f"<row>{head}</row><row>{text}</row>"), toml).lines()
    assert "4200002511222026112216000001" == line.merchant_ref


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12.3", "12.3"), ("1.23E1", "12.3"), ("12.300000000000001", "12.3"), ("-0.30000000000000004", "-0.3"), ("5", "5"),
     ("1E-3", "0.001"), ("100", "100"), ("x", "x"), ("1234567890123456", "1234567890123456"), ("NaN", "NaN")],
)  # fmt: skip
def test_numbers_are_shown_as_excel_shows_them(text: str, expected: str) -> None:
    """Fifteen digits, no exponent; what is no number, or too long for one, stays."""
    assert expected == plain_number(text)


def test_excels_days_are_counted_from_1899() -> None:
    """Day 46348.5 is noon of 22 November 2026."""
    assert (2026, 11, 22, 12, 0) == moment_of("46348.5").timetuple()[:5]
