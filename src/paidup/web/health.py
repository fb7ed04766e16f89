"""For those who watch: /healthz (the process lives), /readyz (may it take traffic, and if not, why), /metrics."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from paidup.clock import monotonic_s
from paidup.db.migrate import NO_WRITES, pending, takes_writes
from paidup.db.transaction import Database
from paidup.errors import ConfigError, NotAllowed
from paidup.metrics.process import AWAY, Beat, Queue, Vitals
from paidup.web import respond
from paidup.web.context import Context
from paidup.web.problem import Unauthorized

DATABASE_WITHIN_S = 3.0
ROUND_MAY_TAKE_S = 60.0
"""A worker whose last good round ended longer ago than its rest and this is stuck, or fails again and again."""
AGAIN_S = 2

Endpoint = Callable[[Request], Awaitable[Response]]


class Reading(msgspec.Struct, frozen=True):
    """One thing that was looked at, and what a person should know of it."""

    name: str
    ok: bool
    says: str


class Readiness(msgspec.Struct, frozen=True):
    """The answer of /readyz. reasons: what to mend, in a person's words; empty when ready. That every worker waits for
    a database that is away is no reason of its own."""

    ready: bool
    reasons: tuple[str, ...]
    checks: tuple[Reading, ...]


def routes(context: Context) -> tuple[StarletteRoute, ...]:
    """The three addresses."""
    return (
        StarletteRoute("/healthz", _alive),
        StarletteRoute("/readyz", _ready(context)),
        StarletteRoute("/metrics", _metrics(context)),
    )


async def readiness(db: Database, vitals: Vitals, at_s: float) -> Readiness:
    """Look at everything that must be well before traffic is sent here. at_s: now, by clock.monotonic_s."""
    database = await _database(db)
    checks = (_draining(vitals), database, *map(_queue, vitals.queues), *_rounds(vitals, at_s))
    waiting = set() if database.ok else {_named(beat) for beat in vitals.beats if beat.failure == AWAY}
    reasons = tuple(f"{check.name}: {check.says}" for check in checks if not check.ok and check.name not in waiting)
    return Readiness(not reasons, reasons, checks)


async def _alive(_request: Request) -> Response:
    return respond.json(b'{"alive":true}')


def _ready(context: Context) -> Endpoint:
    async def ready(_request: Request) -> Response:
        found = await readiness(context.db, context.vitals, monotonic_s())
        extra = {} if found.ready else {"retry-after": str(AGAIN_S)}
        return respond.json(msgspec.json.encode(found), 200 if found.ready else 503, extra=extra)

    return ready


def _metrics(context: Context) -> Endpoint:
    async def metrics(request: Request) -> Response:
        if context.exporter is None:
            raise NotAllowed("/metrics is closed: set PAIDUP_METRICS_TOKEN, and send it as `Authorization: Bearer …`")
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        token = context.settings.metrics_token
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise Unauthorized("send `Authorization: Bearer …` with the value of PAIDUP_METRICS_TOKEN")
        from paidup.metrics.exposition import CONTENT_TYPE, text  # noqa: PLC0415  loaded by those who are scraped

        return respond.json(text(await context.exporter.read()), media_type=CONTENT_TYPE)

    return metrics


def _draining(vitals: Vitals) -> Reading:
    if vitals.draining:
        return Reading("process", False, "it was told to end, and finishes what it has begun; send traffic elsewhere")
    return Reading("process", True, "it takes work")


async def _database(db: Database) -> Reading:
    """Reachable, and as new as the code. What the error says is for the log: it may name hosts and users."""
    try:
        async with asyncio.timeout(DATABASE_WITHIN_S):
            missing = await pending(db)
            writable = await takes_writes(db)
    except TimeoutError:
        return Reading("database", False, f"no answer within {DATABASE_WITHIN_S:g} s; is it busy, or the network down?")
    except ConfigError as error:
        return Reading("database", False, str(error))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Reading("database", False, f"it cannot be reached ({type(error).__name__}); does PostgreSQL run?")
    if missing:
        return Reading("database", False, f"migrations are missing ({', '.join(missing)}): run `paidup db migrate`")
    if not writable:
        return Reading("database", False, NO_WRITES)
    return Reading("database", True, "it answers, takes writes, and every migration is applied")


def _queue(queue: Queue) -> Reading:
    waiting = queue.waiting()
    says = f"{waiting} of at most {queue.limit} callbacks wait for their commit"
    if waiting >= queue.limit:
        return Reading(queue.name, False, f"{says}: it is full, and the database commits too slowly")
    return Reading(queue.name, True, says)


def _rounds(vitals: Vitals, at_s: float) -> Iterator[Reading]:
    for beat in vitals.beats:
        yield _round(beat, at_s - beat.finished_s)


def _named(beat: Beat) -> str:
    return f"worker {beat.job}"


def _round(beat: Beat, age_s: float) -> Reading:
    says = f"its last good round ended {age_s:.0f} s ago"
    if beat.failures_in_a_row:
        event = "database.away" if beat.failure == AWAY else "round.failed"
        says += f"; since then {beat.failures_in_a_row} failed ({beat.failure}): see {event} in the log"
    return Reading(_named(beat), age_s <= beat.idle_s + ROUND_MAY_TAKE_S, says)
