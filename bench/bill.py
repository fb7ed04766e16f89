"""A day of one WeChat Pay account at any size: our payments in PostgreSQL, the bill as a file, and what is planted.

Of every 5,000 payments one is of each kind of trouble (0.02 % of each). `expected` says how many breaks of which kind
there are, and over how much.
"""

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from paidup.channels.wechat.bill import TRADE_COLUMNS, TRADE_TOTALS
from paidup.db.transaction import Database

DAY = date(2026, 11, 22)
BEGINS = datetime(2026, 11, 21, 16, tzinfo=UTC)  # midnight in Beijing
EVERY = 5000
MCHID, APPID = "1900000001", "wx0000000000000001"
_TROUBLE = dict(enumerate((
    "", "long_known", "short", "amount", "fee", "duplicate", "long", "currency", "wrong_day", "unknown_line",
    "refund_unknown", "refund_without_payment", "status",
)))  # fmt: skip
_TIMEOUT_S = 3600.0

FILL = """
INSERT INTO shops (shop, created_at) VALUES ('bench', now());
INSERT INTO orders (id, shop, shop_order_no, amount_minor, currency, state, late_payment, created_at, expires_at,
  updated_at)
SELECT 'ord' || lpad(n::text, 27, '0'), 'bench', 'A-' || n, 1, 'CNY', 'paid', 'reopen', '{begins}', '{begins}',
  '{begins}'
FROM generate_series(0, {count} / 1000) AS n;
INSERT INTO payments (id, shop, order_id, channel, account, method, merchant_ref, channel_txn_id, payee, amount_minor,
  currency, state, registered, created_at, expires_at, paid_at, updated_at)
SELECT id, 'bench', 'ord' || lpad((n / 1000)::text, 27, '0'), 'wechat', 'main', 'native', id,
  CASE WHEN r <> 1 THEN '4200' || lpad(n::text, 24, '0') END, '{payee}', 100 + (n * 7919) % 99900,
  CASE r WHEN 7 THEN 'USD' ELSE 'CNY' END, CASE r WHEN 1 THEN 'open' ELSE 'paid' END, false, at, at,
  CASE WHEN r <> 1 THEN at END, at
FROM (SELECT n, n % 5000 AS r, 'pay' || lpad(n::text, 27, '0') AS id,
  '{begins}'::timestamptz
    + CASE n % 5000 WHEN 8 THEN 86390 ELSE 3600 + n * (79200.0 / {count}) END * interval '1 second' AS at
  FROM generate_series(0::bigint, {count} - 1) AS n) AS made;
INSERT INTO refunds (id, shop, order_id, payment_id, channel, account, merchant_ref, amount_minor, currency, state,
  cause, created_at, updated_at)
SELECT 'ref' || substr(id, 4), 'bench', order_id, id, 'wechat', 'main', 'ref' || substr(id, 4), 50, 'CNY', 'requested',
  'requested', created_at, created_at FROM payments WHERE substr(id, 4)::bigint % 5000 = 12;
ANALYZE;"""


async def fill(db: Database, count: int) -> None:
    """Write our side."""
    script = FILL.format(begins=BEGINS.isoformat(), count=count, payee=f"{MCHID}/{APPID}")
    async with db.session() as tx:
        for statement in script.split(";\n"):
            await tx.execute(statement, timeout=_TIMEOUT_S)


def amount_of(n: int) -> int:
    """Of the nth payment."""
    return 100 + (n * 7919) % 99900


def fee_of(amount: int) -> int:
    """0.6 %, rounded half up."""
    return (amount * 6 + 500) // 1000


def expected(count: int) -> dict[str, tuple[int, int]]:
    """(breaks, the bill's money less ours) of each kind."""
    breaks: Counter[str] = Counter()
    minor: Counter[str] = Counter()
    for n in range(count):
        trouble = _TROUBLE.get(n % EVERY, "")
        if trouble:
            kind = "long" if trouble == "long_known" else trouble
            breaks[kind] += 1
            minor[kind] += _differs(trouble, n)
    return {kind: (breaks[kind], minor[kind]) for kind in sorted(breaks)}


def _differs(trouble: str, n: int) -> int:
    amount = amount_of(n)
    return {
        "long_known": amount, "short": -amount, "amount": 1, "fee": 5, "duplicate": amount, "long": amount,
        "currency": amount, "wrong_day": -amount, "unknown_line": 700, "refund_unknown": -60,
        "refund_without_payment": -60, "status": -50,
    }[trouble]  # fmt: skip


def write_bill(path: Path, count: int) -> int:
    """The bill as the channel gives it, gzipped; returns the number of its lines."""
    lines, paid, back, fees = 0, 0, 0, 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write((",".join(TRADE_COLUMNS) + "\r\n").encode())
        held: list[str] = []
        for row, amount, refund, fee in _rows(count):
            held.append(row)
            lines, paid, back, fees = lines + 1, paid + amount, back + refund, fees + fee
            if len(held) == 10_000:
                file.write("".join(held).encode())
                held.clear()
        file.write("".join(held).encode())
        totals = (str(lines), _yuan(paid), _yuan(back), "0.00", _yuan(fees), _yuan(paid), _yuan(back))
        file.write((",".join(TRADE_TOTALS) + "\r\n`" + ",`".join(totals) + "\r\n").encode())
    return lines


def _rows(count: int) -> Iterator[tuple[str, int, int, int]]:
    for n in range(count):
        trouble, amount, number, ref = _TROUBLE.get(n % EVERY, ""), amount_of(n), f"4200{n:024}", f"pay{n:027}"
        fee = fee_of(amount) + (5 if trouble == "fee" else 0)
        if trouble not in ("short", "wrong_day"):
            yield _payment(n, count, number, ref, amount + (trouble == "amount"), fee)
        if trouble in _ONE_MORE:
            yield _one_more(trouble, n, count)


_ONE_MORE = frozenset("duplicate long unknown_line refund_unknown refund_without_payment status".split())


def _one_more(trouble: str, n: int, count: int) -> tuple[str, int, int, int]:
    """The line that the trouble adds to the bill."""
    amount, number, ref = amount_of(n), f"4200{n:024}", f"pay{n:027}"
    match trouble:
        case "duplicate":
            return _payment(n, count, number, ref, amount, fee_of(amount))
        case "long":
            return _payment(n, count, f"4900{n:024}", f"stranger{n}", amount, fee_of(amount))
        case "unknown_line":
            return _payment(n, count, f"4800{n:024}", f"odd{n}", 700, 4, word="ODD")
        case "refund_unknown":
            return _refund(n, count, number, ref, f"console{n}", 60)
        case "refund_without_payment":
            return _refund(n, count, f"4700{n:024}", f"gone{n}", f"lost{n}", 60)
        case _:
            return _refund(n, count, number, ref, f"ref{n:027}", 50)


def _payment(
    n: int, count: int, number: str, ref: str, amount: int, fee: int, word: str = "SUCCESS"
) -> tuple[str, int, int, int]:
    yuan = _yuan(amount)
    row = (
        f"`{_time(n, count)},`{APPID},`{MCHID},`0,`,`{number},`{ref},`oBuyer000000000000000000000,`NATIVE,`{word},"
        f"`OTHERS,`CNY,`{yuan},`0.00,`0,`0,`0.00,`0.00,`,`,`两张票, 靠窗,`,`{_yuan(fee)}000,`0.60%,`{yuan},`0.00,`\r\n"
    )
    return row, amount, 0, fee


def _refund(n: int, count: int, number: str, ref: str, refund_ref: str, amount: int) -> tuple[str, int, int, int]:
    yuan = _yuan(amount)
    row = (
        f"`{_time(n, count)},`{APPID},`{MCHID},`0,`,`{number},`{ref},`oBuyer000000000000000000000,`NATIVE,`REFUND,"
        f"`OTHERS,`CNY,`0.00,`0.00,`50{n:026},`{refund_ref},`{yuan},`0.00,`ORIGINAL,`SUCCESS,`茶,`,`0.00000,`0.60%,`0.00,"
        f"`{yuan},`\r\n"
    )
    return row, 0, amount, 0


def _time(n: int, count: int) -> str:
    second = 3600 + n * 79200 // count
    return f"2026-11-22 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


def _yuan(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"
