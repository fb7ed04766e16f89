"""A day that does not fit into the memory that is allowed is written to the folder, and comes to the same."""

from pathlib import Path

from paidup.reconcile.match import Matched, match
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Limits, opened

COUNT = 150_000
LACKING = 15
"""So many of our payments no line has."""
LINES = f"""
SELECT n + 2 AS n, 'payment' AS kind, 'SUCCESS' AS word, 'CNY' AS currency, 100 + n % 999 AS amount, 1 AS fee,
  99 + n % 999 AS net, 1795320000 AS "at", '4200' || lpad(n::VARCHAR, 24, '0') AS txn,
  'pay' || lpad(n::VARCHAR, 27, '0') AS ref, NULL AS rid, NULL::VARCHAR AS rref
FROM range({COUNT}) AS r (n) WHERE n % {COUNT // LACKING} <> 7"""
PAYMENTS = f"""
SELECT 'pay' || lpad(n::VARCHAR, 27, '0'), '4200' || lpad(n::VARCHAR, 24, '0'), NULL, 'CNY', 100 + n % 999
FROM range({COUNT}) AS r (n)"""


def matched(folder: Path, memory_mb: int) -> tuple[Matched, int]:
    """What differs, and how many bytes lay in the folder then."""
    with opened(folder, Limits(memory_mb=memory_mb, threads=1)) as table:
        table.add_lines_of(LINES)
        path = table.folder / "payments.csv"
        table.sql.execute(f"COPY ({PAYMENTS}) TO '{path}' (HEADER false)")
        table.add_ours("payments", path)
        found = match(table.sql, Rules())
        spilled = sum(file.stat().st_size for file in (table.folder / "spilled").glob("*"))
    return found, spilled


def test_what_does_not_fit_into_memory_is_spilled(tmp_path: Path) -> None:
    """With 24 MB as with 400: the same differences and sums. Only the former needs the folder, and leaves it empty."""
    little, written = matched(tmp_path, 24)
    plenty, unwritten = matched(tmp_path, 400)
    assert (LACKING, COUNT - LACKING) == (len(plenty.payments), plenty.sums[0].bill_lines)
    assert plenty == little
    assert (True, 0, []) == (written > 1 << 20, unwritten, list(tmp_path.iterdir()))
