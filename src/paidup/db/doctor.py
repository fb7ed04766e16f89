"""Whether this database keeps the promises that Paidup makes in its name.

`examine` asks, `judge` decides. What would lose an acknowledged callback is refused; what only makes life harder is
warned about.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from paidup.clock import Clock
from paidup.db.migrate import MAKE_IT_OURS, NO_WRITES, NOT_UTF8, pending
from paidup.db.transaction import OLDEST_SERVER_MAJOR, Database
from paidup.errors import ConfigError
from paidup.ids import ALPHABET

MAX_CLOCK_DIFFERENCE = timedelta(seconds=1)
CONNECTIONS_NEEDED = 40
"""For one process of each role with the default pool size, and some for people."""

# https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
_SURVIVES_A_CRASH = {"on", "remote_apply", "remote_write"}


class Severity(StrEnum):
    """What a finding means for starting."""

    REFUSE = "refuse"  # we do not start: a promise would be broken
    WARN = "warn"  # we start, and somebody should look
    OK = "ok"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `says` is a sentence for people; unless it is OK it ends with what to do."""

    topic: str
    severity: Severity
    says: str


@dataclass(frozen=True)
class Facts:
    """What the database says of itself, in the words of its settings."""

    server_version: int  # 180004 is 18.4
    encoding: str
    timezone: str  # of our sessions
    fsync: str
    synchronous_commit: str
    full_page_writes: str
    data_checksums: str
    is_standby: bool
    is_read_only: bool  # our transactions, whoever says so
    may_make_tables: bool
    others_tables: int  # that another user owns, so that we can neither cut nor analyze them
    connections: int  # that ordinary users may open
    clock_difference: timedelta  # the database's clock minus ours
    sorted_marks: str = ALPHABET  # what ids are made of, as the database sorts it
    has_pooler: bool = False  # between us and PostgreSQL
    pending: tuple[str, ...] = ()  # names of migrations that are not applied
    schema_trouble: str = ""  # why the schema does not fit this version


_FACTS = """
select
    current_setting('server_version_num')::integer as server_version,
    current_setting('server_encoding') as encoding,
    current_setting('TimeZone') as timezone,
    current_setting('fsync') as fsync,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('full_page_writes') as full_page_writes,
    current_setting('data_checksums') as data_checksums,
    pg_is_in_recovery() as is_standby,
    current_setting('transaction_read_only')::boolean as is_read_only,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) as may_make_tables,
    (select count(*) from pg_class where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace
        and not pg_has_role(relowner, 'USAGE'))::integer as others_tables,
    current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer
        - coalesce(current_setting('reserved_connections', true)::integer, 0) as connections,
    (select string_agg(mark, '' order by mark) from unnest(string_to_array($1, null)) mark) as sorted_marks,
    clock_timestamp() as database_now
"""


async def examine(db: Database, clock: Clock, connections_needed: int = CONNECTIONS_NEEDED) -> list[Finding]:
    """Look at everything that the promises rest on; the worst findings come first.

    connections_needed: how many connections all processes together may open.
    """
    async with db.session() as tx:
        asked_at = clock.now()
        [row] = await tx.fetch(_FACTS, ALPHABET)
        answered_at = clock.now()
    facts = dict(row)
    difference = _difference(facts.pop("database_now"), asked_at, answered_at)
    todo: tuple[str, ...] = ()
    trouble = ""
    try:
        todo = tuple(await pending(db))
    except ConfigError as misfit:
        trouble = str(misfit)
    seen = Facts(**facts, clock_difference=difference, has_pooler=db.has_pooler, pending=todo, schema_trouble=trouble)
    return judge(seen, connections_needed)


def judge(facts: Facts, connections_needed: int = CONNECTIONS_NEEDED) -> list[Finding]:
    """The findings, the worst first."""
    findings = [
        _version(facts),
        _schema(facts),
        _role(facts),
        _rights(facts),
        _encoding(facts),
        _collation(facts),
        _timezone(facts),
        _fsync(facts),
        _full_page_writes(facts),
        _synchronous_commit(facts),
        _checksums(facts),
        _clock(facts),
        _connections(facts, connections_needed),
        _pooler(facts, connections_needed),
    ]
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))


def _version(facts: Facts) -> Finding:
    major = facts.server_version // 10000
    if major < OLDEST_SERVER_MAJOR:
        return _refuse("version", f"The server is PostgreSQL {major}: upgrade it to {OLDEST_SERVER_MAJOR} or newer.")
    return _ok("version", f"The server is PostgreSQL {major}.")


def _schema(facts: Facts) -> Finding:
    if facts.schema_trouble:
        return _refuse("schema", f"The schema does not fit: {facts.schema_trouble}.")
    if facts.pending:
        return _refuse("schema", f"Not applied yet: {', '.join(facts.pending)}. Run: paidup db migrate.")
    return _ok("schema", "Every migration is applied.")


def _role(facts: Facts) -> Finding:
    if facts.is_standby:
        return _refuse("role", "The server is a standby and takes no writes: give the URL of the primary.")
    if facts.is_read_only:
        return _refuse("role", _sentence(NO_WRITES))
    return _ok("role", "The server takes writes.")


def _rights(facts: Facts) -> Finding:
    if not facts.may_make_tables or facts.others_tables:
        may_not = "make tables here" if not facts.may_make_tables else f"change {facts.others_tables} of the tables"
        return _refuse("rights", f"Our user may not {may_not}, so that no new day can be made: {MAKE_IT_OURS}.")
    return _ok("rights", "Our user may make and change tables.")


def _encoding(facts: Facts) -> Finding:
    if facts.encoding != "UTF8":
        return _refuse("encoding", _sentence(NOT_UTF8.format(facts.encoding)))
    return _ok("encoding", "The encoding is UTF8.")


def _collation(facts: Facts) -> Finding:
    if facts.sorted_marks != ALPHABET:
        return _refuse(
            "collation",
            "The database sorts letters by the rules of a language in which ids are not in the order of their making: "
            "make a new one with CREATE DATABASE … LOCALE 'C' TEMPLATE template0.",
        )
    return _ok("collation", "Ids are sorted in the order of their making.")


def _timezone(facts: Facts) -> Finding:
    if facts.timezone != "UTC":
        return _refuse(
            "timezone",
            f"Our sessions ask for UTC and got {facts.timezone}; days would be cut at the wrong hour. "
            "Something in between drops the setting: give the URL of PostgreSQL itself.",
        )
    return _ok("timezone", "Sessions count days in UTC.")


def _fsync(facts: Facts) -> Finding:
    if facts.fsync != "on":
        return _refuse("fsync", "fsync is off, so a power cut may destroy everything: set fsync = on and restart it.")
    return _ok("fsync", "fsync is on.")


def _full_page_writes(facts: Facts) -> Finding:
    if facts.full_page_writes != "on":
        return _refuse(
            "full_page_writes",
            "full_page_writes is off, so a power cut may leave half-written pages: set full_page_writes = on.",
        )
    return _ok("full_page_writes", "full_page_writes is on.")


def _synchronous_commit(facts: Facts) -> Finding:
    value = facts.synchronous_commit
    if value in _SURVIVES_A_CRASH:
        return _ok("synchronous_commit", f"synchronous_commit is {value}.")
    if value == "local":
        return _warn(
            "synchronous_commit",
            "synchronous_commit is local, so a standby that takes over may lack what was acknowledged last: "
            "set synchronous_commit = on if you have a synchronous standby.",
        )
    return _refuse(
        "synchronous_commit",
        f"synchronous_commit is {value}, so a crash loses callbacks that were answered with 200: "
        "set synchronous_commit = on.",
    )


def _checksums(facts: Facts) -> Finding:
    if facts.data_checksums != "on":
        return _warn(
            "data_checksums",
            "Data checksums are off, so a failing disk goes unnoticed: stop the server and run pg_checksums --enable.",
        )
    return _ok("data_checksums", "Data checksums are on.")


def _clock(facts: Facts) -> Finding:
    seconds = facts.clock_difference.total_seconds()
    if abs(facts.clock_difference) > MAX_CLOCK_DIFFERENCE:
        return _warn("clock", f"The database's clock differs from ours by {seconds:+.1f} s: run NTP on both machines.")
    return _ok("clock", f"The database's clock differs from ours by {seconds:+.3f} s.")


def _connections(facts: Facts, needed: int) -> Finding:
    if facts.connections < needed:
        return _warn(
            "max_connections",
            f"The server lets {facts.connections} connections in and we may need {needed}: raise max_connections, "
            "or run fewer processes.",
        )
    return _ok("max_connections", f"The server lets {facts.connections} connections in; we may need {needed}.")


def _pooler(facts: Facts, needed: int) -> Finding:
    if facts.has_pooler:
        return _ok("pooler", f"A pooler in session mode stands in between; it must let {needed} connections through.")
    return _ok("pooler", "No pooler stands between us and PostgreSQL.")


def _difference(database_now: datetime, asked_at: datetime, answered_at: datetime) -> timedelta:
    """The database read its clock at some moment between; only what lies outside of that is a difference for sure."""
    if asked_at <= database_now <= answered_at:
        return timedelta(0)
    return database_now - (asked_at if database_now < asked_at else answered_at)


def _sentence(says: str) -> str:
    return f"{says[0].upper()}{says[1:]}."


def _refuse(topic: str, says: str) -> Finding:
    return Finding(topic, Severity.REFUSE, says)


def _warn(topic: str, says: str) -> Finding:
    return Finding(topic, Severity.WARN, says)


def _ok(topic: str, says: str) -> Finding:
    return Finding(topic, Severity.OK, says)
