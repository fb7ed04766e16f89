"""Many tables in one engine of DuckDB, as the simulator opens them: each is as empty and as alone as one of its own."""

from paidup.reconcile.match import match
from paidup.reconcile.rules import Rules
from paidup.reconcile.table import Limits, Table, one_engine, opened

LIMITS = Limits(memory_mb=64, threads=1)
LINE = """
SELECT 2 AS n, 'payment' AS kind, 'SUCCESS' AS word, 'CNY' AS currency, 100 AS amount, 1 AS fee, 99 AS net,
  1795320000 AS "at", '{0}' AS txn, 'ref{0}' AS ref, NULL::VARCHAR AS rid, NULL::VARCHAR AS rref"""
DATABASES = "SELECT count(*) FROM duckdb_databases() WHERE NOT internal"


def found(table: Table) -> list[str | None]:
    """The channel's number of each payment that only the bill has."""
    return [line.txn for line, _ in match(table.sql, Rules()).payments if line is not None]


def databases(table: Table) -> int:
    return (table.sql.execute(DATABASES).fetchone() or (0,))[0]


def test_tables_of_one_engine_do_not_see_each_other() -> None:
    with one_engine(LIMITS), opened(None, LIMITS) as one, opened(None, LIMITS) as other:
        one.add_lines_of(LINE.format("a"))
        other.add_lines_of(LINE.format("b"))
        assert (["a"], ["b"], ["a"]) == (found(one), found(other), found(one))


def test_nothing_of_a_table_stays_in_the_engine() -> None:
    """Thousands of days are opened in one: each ends with its database, also one that broke in the middle."""
    with one_engine(LIMITS):
        for _ in range(3):
            try:
                with opened(None, LIMITS) as table:
                    before, counted = found(table), databases(table)
                    table.add_lines_of(LINE.format("a"))
                    raise KeyError
            except KeyError:
                assert ([], 2) == (before, counted)  # its own, and that of the engine
    with opened(None, LIMITS) as alone:
        assert 1 == databases(alone)
