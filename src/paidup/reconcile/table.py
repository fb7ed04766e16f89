"""The table on which the two sides are laid: a DuckDB database, bounded in memory, with a folder to spill into.

Amounts are BIGINT minor units from end to end. Nothing is sniffed: every column's type is written out.
"""

import csv
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from paidup.channels.bill import BillLine, LineKind
from paidup.errors import OurError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LINES = {
    "n": "BIGINT", "kind": "VARCHAR", "word": "VARCHAR", "currency": "VARCHAR", "amount": "BIGINT", "fee": "BIGINT",
    "net": "BIGINT", "at": "BIGINT", "txn": "VARCHAR", "ref": "VARCHAR", "rid": "VARCHAR", "rref": "VARCHAR",
}  # fmt: skip
"""A line of the bill. at: seconds since 1970. txn, ref: the payment's numbers, the channel's and ours; rid, rref: the
refund's."""
KEYS = {"key": "UBIGINT", "rest": "UBIGINT"}
"""The channel's number as an integer; and our number, the currency and the amount as another: made once on both sides,
and compared at a fraction of the price of texts. NULL where there is no number."""
OURS = {
    "id": "VARCHAR", "txn": "VARCHAR", "ref": "VARCHAR", "currency": "VARCHAR", "amount": "BIGINT",
}  # fmt: skip
"""A payment or a refund of ours. txn, ref: its own numbers; ref is NULL where it is the id."""
OUR_TABLES = {"payments": OURS, "refunds": OURS | {"of_txn": "VARCHAR", "of_ref": "VARCHAR"}}
"""of_txn, of_ref: the numbers of the payment that a refund is of."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """memory_mb: what DuckDB may hold; beyond that it writes to the folder. threads: how many work on one run."""

    memory_mb: int = 512
    threads: int = 2


class NoRoom(OurError):
    """A day needs more memory than is allowed, and more of the folder than is there."""


class Table:
    """A connection and the folder that it spills into."""

    def __init__(self, connection: "DuckDBPyConnection", folder: Path) -> None:
        self.sql = connection
        self.folder = folder

    def add_lines(self, lines: Iterable[BillLine]) -> None:
        """Lay lines down; may be called for each of several files."""
        path = self.folder / "lines.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(map(_row, lines))
        self.add_lines_of(f"SELECT * FROM {_reading(path, LINES, _AS_PYTHON_ENDS)}")
        path.unlink()

    def add_lines_of(self, query: str) -> None:
        """Lay down what this query gives, in the columns of LINES."""
        self.sql.execute(f"INSERT INTO lines SELECT *, {_LINE_KEYS} FROM ({query})")

    def clear_lines(self) -> None:
        """As before the first line."""
        self.sql.execute("TRUNCATE lines")

    def add_ours(self, table: str, path: Path) -> None:
        """Lay our rows down, out of a CSV file without header in which nothing between two commas is NULL."""
        if table not in OUR_TABLES:
            raise ValueError(table)
        rows = _reading(path, OUR_TABLES[table], _AS_POSTGRES_ENDS)
        self.sql.execute(f"INSERT INTO {table} SELECT *, {_OUR_KEYS} FROM {rows}")


@contextmanager
def opened(spill: Path | None, limits: Limits) -> Iterator[Table]:
    """An empty table in a fresh folder below `spill` (the system's temporary folder when None), removed at the end.
    Raises NoRoom for what is done with it in between."""
    import duckdb  # noqa: PLC0415 - 60 MB that only those who reconcile need

    if spill is not None:
        spill.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="paidup-reconcile-", dir=spill) as name,
        _connected(folder := Path(name), limits) as connection,
    ):
        try:
            connection.execute(f"CREATE TABLE lines ({_columns(LINES | {'kind': _KINDS} | KEYS)})")
            for table, columns in OUR_TABLES.items():
                connection.execute(f"CREATE TABLE {table} ({_columns(columns | KEYS)})")
            yield Table(connection, folder)
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise NoRoom(
                f"the day does not fit into {limits.memory_mb} MB: allow more by PAIDUP_RECONCILE_MEMORY_MB, and see "
                f"that the folder it spills into has room ({str(error).splitlines()[0][:200]})"
            ) from error


@contextmanager
def one_engine(limits: Limits) -> Iterator[None]:
    """Meanwhile all tables stand in one engine, within these limits, each as a database of its own: to start an engine
    takes some 20 ms, and a simulator matches thousands of days."""
    with tempfile.TemporaryDirectory(prefix="paidup-engine-") as folder, _started(Path(folder), limits) as engine:
        token = _ENGINE.set(engine)
        try:
            yield
        finally:
            _ENGINE.reset(token)


_ENGINE: ContextVar["DuckDBPyConnection | None"] = ContextVar("engine", default=None)
_nth = count()


@contextmanager
def _connected(folder: Path, limits: Limits) -> Iterator["DuckDBPyConnection"]:
    """A connection to an empty database."""
    engine = _ENGINE.get()
    if engine is None:
        with _started(folder, limits) as connection:
            yield connection
        return
    name = f"table_{next(_nth)}"
    with engine.cursor() as connection:
        connection.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
        try:
            yield connection
        finally:
            connection.execute(f"USE memory; DETACH {name}")


@contextmanager
def _started(folder: Path, limits: Limits) -> Iterator["DuckDBPyConnection"]:
    import duckdb  # noqa: PLC0415 - see opened

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{limits.memory_mb}MB",
        "threads": limits.threads,
        "temp_directory": str(folder / "spilled"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=config) as engine:
        yield engine


# How the rows of a file end, lest a lone carriage return in a cell be taken for it.
_AS_PYTHON_ENDS, _AS_POSTGRES_ENDS = r"\r\n", r"\n"
_KINDS = f"ENUM({', '.join(repr(kind.value) for kind in LineKind)})"
_LINE_KEYS = """
CASE kind WHEN 'refund' THEN CASE WHEN rid IS NOT NULL THEN hash(rid) END
  ELSE CASE WHEN txn IS NOT NULL THEN hash(txn) END END,
CASE kind WHEN 'refund' THEN CASE WHEN rref IS NOT NULL THEN hash(rref, currency, -amount) END
  ELSE CASE WHEN ref IS NOT NULL THEN hash(ref, currency, amount) END END"""
_OUR_KEYS = "CASE WHEN txn IS NOT NULL THEN hash(txn) END, hash(coalesce(ref, id), currency, amount)"


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f'"{name}" {kind}' for name, kind in columns.items())


def _reading(path: Path, columns: dict[str, str], new_line: str) -> str:
    typed = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    quoted = str(path).replace("'", "''")
    return (
        f"read_csv('{quoted}', columns = {{{typed}}}, header = false, auto_detect = false, delim = ',', quote = '\"', "
        "escape = '\"', nullstr = '', encoding = 'utf-8', "
        f"new_line = '{new_line}', max_line_size = 1048576)"
    )


def _row(line: BillLine) -> tuple[object, ...]:
    return (
        line.number, line.kind.value, line.word, line.currency, line.amount_minor, line.fee_minor, line.net_minor,
        int(line.occurred_at.timestamp()), line.channel_txn_id, line.merchant_ref, line.channel_refund_id,
        line.merchant_refund_ref,
    )  # fmt: skip
