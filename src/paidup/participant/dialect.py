"""What differs between databases and their drivers: placeholders, insert-unless-there, row locks, the tables.

Statements run at READ COMMITTED, or stricter. A duplicate that arrives while the first is still at work waits in the
insert for the first one's commit; in SQLite, begin with BEGIN IMMEDIATE and it waits there.
"""

from typing import NamedTuple

from paidup.errors import InvalidRequest

MAX_NAME_CHARS = 64
MAX_KEY_CHARS = 200


def check_key(key: str) -> None:
    """Raises InvalidRequest for a key that some database would not keep apart from others."""
    if not 1 <= len(key) <= MAX_KEY_CHARS or key != key.strip():
        raise InvalidRequest(f"a key has 1 to {MAX_KEY_CHARS} characters, and no space at either end")


class Dialect(NamedTuple):
    """One database as one kind of driver speaks to it. mark: a placeholder; {n} is its number, from 1."""

    name: str
    mark: str
    insert: str
    unless_there: str
    lock: str
    tables: tuple[str, ...]

    def sql(self, text: str) -> str:
        """A statement whose placeholders are written ``?``."""
        parts = text.split("?")
        marks = [self.mark.format(n=n) for n in range(1, len(parts))]
        return parts[0] + "".join(mark + part for mark, part in zip(marks, parts[1:], strict=True))

    def insert_unless_there(self, table: str, *columns: str) -> str:
        """An insert that changes no row, and raises nothing, where the key is there already."""
        marks = ", ".join("?" * len(columns))
        return self.sql(f"{self.insert} INTO {table} ({', '.join(columns)}) VALUES ({marks}){self.unless_there}")


def _tables(text: str, moment: str, numbered: str, more: str = "") -> tuple[str, ...]:
    """Names are short and plain so that their keys fit into the smallest index that is in use.

    numbered: the columns seq, which counts rows as they are written, and idem_key.
    """
    return (
        f"""CREATE TABLE IF NOT EXISTS paidup_barrier (
  xid        varchar({MAX_NAME_CHARS}) NOT NULL,
  step       varchar({MAX_NAME_CHARS}) NOT NULL,
  slot       varchar(16) NOT NULL,  -- forward, confirm, back
  placed_by  varchar(16) NOT NULL,  -- the operation that wrote the row
  writer     varchar(32) NOT NULL,  -- by which its writer knows that it was he
  outcome    varchar(16) NOT NULL,  -- begun; done; refused; blocked: it was undone, or denied, before it came
  answer     {text} NOT NULL,
  at         {moment},
  PRIMARY KEY (xid, step, slot)
){more}""",
        f"""CREATE TABLE IF NOT EXISTS paidup_effects (
  {numbered},
  what      {text} NOT NULL,
  outcome   varchar(16) NOT NULL,  -- intended; done; failed
  answer    {text} NOT NULL,
  at        {moment},
  UNIQUE (outcome, seq)
){more}""",
        f"""CREATE TABLE IF NOT EXISTS paidup_messages (
  {numbered},
  body      {text} NOT NULL,
  sent      smallint NOT NULL,
  at        {moment},
  UNIQUE (sent, seq)
){more}""",
    )


_NOW = "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP"
_KEY = f"idem_key  varchar({MAX_KEY_CHARS}) NOT NULL"
_PG_NUMBERED = f"seq       bigint GENERATED ALWAYS AS IDENTITY,\n  {_KEY} PRIMARY KEY"
_PG = (
    "INSERT", " ON CONFLICT DO NOTHING", " FOR UPDATE", _tables("text", f"timestamptz{_NOW[9:]}", _PG_NUMBERED)
)  # fmt: skip

POSTGRESQL = Dialect("postgresql", "%s", *_PG)
"""psycopg and other drivers of the DB-API with %s."""

ASYNCPG = Dialect("postgresql", "${n}", *_PG)

# An update that changes nothing locks the row there is for writing. INSERT IGNORE would lock it for reading, and two
# duplicates that then both want to write it are a deadlock. By the server's own collation Ab3 and aB3 were one key.
MYSQL = Dialect(
    "mysql", "%s", "INSERT", " ON DUPLICATE KEY UPDATE at = at", " FOR UPDATE",
    _tables(
        "longtext", _NOW, f"seq       bigint NOT NULL AUTO_INCREMENT UNIQUE KEY,\n  {_KEY} PRIMARY KEY",
        more=" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    ),
)  # fmt: skip
"""MySQL and MariaDB, with PyMySQL, mysqlclient or the makers' own drivers."""

# INSERT OR IGNORE would leave out without a word what lacks a value, too.
SQLITE = Dialect(
    "sqlite", "?", "INSERT", " ON CONFLICT DO NOTHING", "",
    _tables("text", _NOW, f"seq       integer PRIMARY KEY AUTOINCREMENT,\n  {_KEY} UNIQUE"),
)  # fmt: skip
