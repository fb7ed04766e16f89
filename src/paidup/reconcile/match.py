"""Which line of the bill belongs to which of our rows. Pure: a laid table in, what does not simply agree out.

Each side is used once. Payments are matched by the channel's number, the rest by ours; refunds by their own two, of
which ours names one within its payment (naming.py).
What is found twice, or differs in anything, is handed out whole: the judge (judge.py) says what it means. What agrees
is only counted, so that five million lines that agree cost no more than their join.
"""

from typing import TYPE_CHECKING

import msgspec

from paidup.channels.bill import LineKind
from paidup.errors import ChannelError
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import LINES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_LEFT = 200_000
"""More differences than this are no work for people: it is another account's bill, or our books were not restored."""


class Line(msgspec.Struct, frozen=True):
    """A line that is handed out, in the order of the table's columns."""

    n: int
    kind: str
    word: str | None
    currency: str
    amount: int
    fee: int
    net: int
    at: int
    txn: str | None
    ref: str | None
    rid: str | None
    rref: str | None


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of line in one currency, added up on both sides."""

    what: str
    currency: str
    bill_lines: int = 0
    bill_minor: int = 0
    bill_fee_minor: int = 0
    bill_net_minor: int = 0
    ours: int = 0
    ours_minor: int = 0


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """left: (line, our id) by kind; either may be None. Whoever is in no pair of `left` agrees with his other side."""

    payments: list[tuple[Line | None, str | None]]
    refunds: list[tuple[Line | None, str | None]]
    others: list[Line]
    sums: list[Added]


class TooDifferent(ChannelError):
    """So much differs that nothing is recorded."""


_COLUMNS = ", ".join(f'"{name}"' for name in LINES)


def match(sql: "DuckDBPyConnection", rules: Rules) -> Matched:
    """Lay the two sides over each other. Raises TooDifferent."""
    sql.execute("CREATE OR REPLACE TEMP VIEW payment_lines AS SELECT * FROM lines WHERE kind = 'payment'")
    _doubt(sql, "payment_lines", "payments", _costs_otherwise(LineKind.PAYMENT, rules))
    sql.execute(_ASIDE)
    payments = _left(sql, "payments", LineKind.PAYMENT, ("txn", "ref"), 1, rules)
    _doubt(sql, "refund_lines", "refunds", _costs_otherwise(LineKind.REFUND, rules))
    refunds = _left(sql, "refunds", LineKind.REFUND, ("rid", "rref"), -1, rules)
    others = sql.execute(
        f"SELECT {_COLUMNS} FROM aside WHERE kind NOT IN ('payment', 'refund') ORDER BY n LIMIT {MAX_LEFT + 1}"
    ).fetchall()
    _must_be_bearable(len(payments) + len(refunds) + len(others))
    return Matched(payments=payments, refunds=refunds, others=[Line(*row) for row in others], sums=_sums(sql))


# What is not beyond doubt, and what is not a payment, is little. Where it stands is found by narrow columns first, so
# that texts are read once, and no row is carried through a comparison with all of its texts.
_ASIDE = """
CREATE OR REPLACE TEMP TABLE aside AS SELECT * FROM lines WHERE rowid IN (SELECT rowid FROM lines
  WHERE kind NOT IN ('payment', 'fee', 'payout') OR kind = 'payment' AND (key IS NULL OR key IN (FROM doubted_keys)));
CREATE OR REPLACE TEMP VIEW refund_lines AS SELECT * FROM aside WHERE kind = 'refund'"""


def _left(
    sql: "DuckDBPyConnection", table: str, kind: LineKind, keys: tuple[str, str], sign: int, rules: Rules
) -> list[tuple[Line | None, str | None]]:
    """What does not agree. Nearly all lines do, and are only looked at as integers; the few that are left are matched
    by their texts: by the channel's number first, then what is left of both by ours."""
    differs = _differs(kind, sign, rules)
    first, second = keys
    then = _THEN_REFUNDS if kind is LineKind.REFUND else _THEN
    sql.execute(_DOUBTFUL.format(kind=kind, table=table))
    if sql.execute("SELECT NOT EXISTS (FROM bill) AND NOT EXISTS (FROM ours)").fetchone() == (True,):
        return []
    sql.execute(_TWICE.format(name="twice", source="bill", key=first))
    sql.execute(
        f"""CREATE OR REPLACE TEMP TABLE one AS SELECT b.*, o.o
        FROM bill b FULL JOIN ours o ON b.{first} = o.txn
        WHERE b.n IS NULL OR o.o IS NULL OR {differs} OR b.{first} IN (SELECT key FROM twice)"""
    )
    sql.execute(then.format(key=second, differs=differs))
    found = sql.execute(_FOUND.format(limit=MAX_LEFT + 1)).fetchall()
    _must_be_bearable(len(found))
    return [(Line(*row[:-1]) if row[0] is not None else None, row[-1]) for row in found]


def _doubt(sql: "DuckDBPyConnection", lines: str, table: str, costs_otherwise: str) -> None:
    """Writes down, as the table `doubted_keys`, what is not beyond doubt: what has no other side, or one with other
    money or another number of ours, or that the bill has more than once, or that cost another fee than agreed.

    Beyond doubt is a line whose number there, and whose number here with its money, are those of one row of ours, as 64
    bits each, while no other line has the first. That two that differ look alike so, does not happen in the life of a
    company.
    """
    for query in (_DOUBTED, _DOUBTED_KEYS):
        sql.execute(query.format(lines=lines, table=table, costs_otherwise=costs_otherwise))


# Only what is compared goes through the join: b.dear and o.rest are never NULL where there is a line, and a row.
_DOUBTED = """
CREATE OR REPLACE TEMP TABLE doubted AS
SELECT coalesce(b.key, o.key) AS key, b.dear IS NULL AS is_ours, o.rest IS NULL AS is_theirs
FROM (SELECT key, rest, {costs_otherwise} AS dear FROM {lines} b) b FULL JOIN {table} o ON b.key = o.key
WHERE b.dear IS NULL OR o.rest IS NULL OR b.rest IS DISTINCT FROM o.rest OR b.dear"""

# A row of ours bears the channel's number alone (the database sees to that). So where more lines than rows found
# another side, some line is there more than once; which one, is only looked for in those few of 4096 parts.
_DOUBTED_KEYS = """
CREATE OR REPLACE TEMP TABLE doubted_keys AS WITH crowded AS MATERIALIZED (
  SELECT part FROM (
    SELECT key >> 52 AS part, count(*) AS more FROM {lines} GROUP BY ALL
    UNION ALL SELECT key >> 52, -count(*) FROM {table} GROUP BY ALL
    UNION ALL SELECT key >> 52, count(*) FILTER (WHERE is_ours) - count(*) FILTER (WHERE is_theirs) FROM doubted
    GROUP BY ALL)
  WHERE part IS NOT NULL GROUP BY part HAVING sum(more) > 0)
SELECT key FROM doubted WHERE key IS NOT NULL
UNION SELECT key FROM {lines} WHERE key >> 52 IN (FROM crowded) GROUP BY key HAVING count(*) > 1"""

_DOUBTFUL = f"""
CREATE OR REPLACE TEMP TABLE bill AS SELECT {_COLUMNS} FROM aside
WHERE kind = '{{kind}}' AND (key IS NULL OR key IN (FROM doubted_keys));
CREATE OR REPLACE TEMP TABLE ours AS SELECT rowid AS o, * EXCLUDE (key, rest) REPLACE (coalesce(ref, id) AS ref)
FROM {{table}} WHERE rowid IN (SELECT rowid FROM {{table}} WHERE key IS NULL OR key IN (FROM doubted_keys))"""

# By a hash first: five million numbers grouped as texts would not fit into the memory that is allowed.
_TWICE = """
CREATE OR REPLACE TEMP TABLE {name} AS WITH perhaps AS MATERIALIZED (
  SELECT hash({key}) AS hashed FROM {source} WHERE {key} IS NOT NULL GROUP BY ALL HAVING count(*) > 1)
SELECT {key} AS key FROM {source} WHERE hash({key}) IN (FROM perhaps) GROUP BY ALL HAVING count(*) > 1"""

# A payment's number is borne by no other.
_THEN = f"""{_TWICE.format(name="twice_too", source="(FROM one WHERE o IS NULL)", key="{key}")};
CREATE OR REPLACE TEMP TABLE two AS
SELECT b.* EXCLUDE (o), o.o, ({{differs}}) OR b.{{key}} IN (SELECT key FROM twice_too) AS differs
FROM (FROM one WHERE o IS NULL) b JOIN (FROM ours WHERE o IN (SELECT o FROM one WHERE n IS NULL)) o
  ON b.{{key}} = o.ref"""

# A refund's number may be borne by refunds of several payments: it is the one whose payment the line names. Where a
# line names none, or the number is our own id, the number must be enough, and is so unless several of ours bear it.
_THEN_REFUNDS = """
CREATE OR REPLACE TEMP TABLE two AS SELECT b.* EXCLUDE (o), o.o, ({differs}) AS differs
FROM (FROM one WHERE o IS NULL) b JOIN (FROM ours WHERE o IN (SELECT o FROM one WHERE n IS NULL)) o
  ON b.{key} = o.ref AND b.txn = o.of_txn;
CREATE OR REPLACE TEMP TABLE lone AS
FROM one WHERE o IS NULL AND {key} IS NOT NULL AND n NOT IN (SELECT n FROM two);
CREATE OR REPLACE TEMP TABLE rest AS
FROM ours WHERE ref IN (SELECT {key} FROM lone) AND o IN (SELECT o FROM one WHERE n IS NULL);
INSERT INTO two SELECT b.* EXCLUDE (o), o.o, ({differs}) FROM lone b JOIN (SELECT n, arg_min(o, nth) AS o FROM (
  SELECT b.n, o.o, 1 AS nth FROM lone b JOIN rest o ON b.{key} = o.ref AND b.ref = o.of_ref
  UNION ALL SELECT b.n, o.o, 2 FROM lone b JOIN rest o ON b.{key} = o.ref AND o.ref = o.id
  UNION ALL SELECT b.n, o.o, 3 FROM lone b
    JOIN (SELECT ref, any_value(o) AS o FROM rest GROUP BY ref HAVING count(*) = 1) o ON b.{key} = o.ref
    WHERE b.txn IS NULL AND b.ref IS NULL) GROUP BY n) met ON met.n = b.n JOIN rest o ON o.o = met.o;
UPDATE two SET differs = true WHERE o IN (SELECT o FROM two GROUP BY o HAVING count(*) > 1)"""

_FOUND = """
SELECT found.* EXCLUDE (o), ours.id FROM (
  FROM one WHERE NOT ((o IS NULL AND n IN (SELECT n FROM two)) OR (n IS NULL AND o IN (SELECT o FROM two)))
  UNION ALL SELECT * EXCLUDE (differs) FROM two WHERE differs LIMIT {limit}) found
LEFT JOIN ours ON ours.o = found.o
ORDER BY found.n, ours.id"""


def _differs(kind: LineKind, sign: int, rules: Rules) -> str:
    """SQL: whether a line b and our row o differ in money."""
    allowed = " ".join(f"WHEN '{_code(code)}' THEN {minor:d}" for code, minor in rules.tolerance_minor.items())
    gap = f"abs({sign} * b.amount - o.amount)"
    amount = f"{gap} > CASE b.currency {allowed} ELSE 0 END" if allowed else f"{sign} * b.amount <> o.amount"
    return f"(b.currency <> o.currency OR {amount} OR {_costs_otherwise(kind, rules)})"


def _costs_otherwise(kind: LineKind, rules: Rules) -> str:
    """SQL: whether the fee of a line b is not the agreed one."""
    if kind is LineKind.PAYMENT and rules.fee_ppm is not None:
        rounded = f"((b.amount % 1000000) * {rules.fee_ppm:d} + 500000) // 1000000"  # in two parts, each within 64 bits
        agreed = f"((b.amount // 1000000) * {rules.fee_ppm:d} + {rounded} + {rules.fee_fixed_minor:d})"
        return f"abs(b.fee - {agreed}) > {rules.fee_tolerance_minor:d}"
    return "false"


def _code(currency: str) -> str:
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise ValueError(currency)
    return currency


def _sums(sql: "DuckDBPyConnection") -> list[Added]:
    bill = sql.execute(
        "SELECT kind, currency, count(*), sum(amount), sum(fee), sum(net) FROM lines GROUP BY ALL"
    ).fetchall()
    added = {
        (kind, currency): Added(
            what=kind,
            currency=currency,
            bill_lines=count,
            bill_minor=int(amount),
            bill_fee_minor=int(fee),
            bill_net_minor=int(net),
        )
        for kind, currency, count, amount, fee, net in bill
    }
    for table, what, sign in (("payments", "payment", 1), ("refunds", "refund", -1)):
        for currency, count, amount in sql.execute(
            f"SELECT currency, count(*), sum(amount) FROM {table} GROUP BY ALL"
        ).fetchall():
            one = added.get((what, currency), Added(what=what, currency=currency))
            added[what, currency] = msgspec.structs.replace(one, ours=count, ours_minor=sign * int(amount))
    return [added[key] for key in sorted(added)]


def _must_be_bearable(left: int) -> None:
    if left > MAX_LEFT:
        raise TooDifferent(
            f"more than {MAX_LEFT} lines and payments differ: this is another account's or another day's bill, or our "
            "books are not whole; nothing was recorded"
        )
