"""/readyz says what is wrong in words that help at night, and is ready again when that is mended."""

import asyncpg

from paidup.clock import monotonic_s
from paidup.db.transaction import Database
from paidup.metrics.process import AWAY, Beat, Queue, Vitals
from paidup.web.health import Readiness, readiness

AT_S = 1000.0


async def look(db: Database, vitals: Vitals) -> Readiness:
    return await readiness(db, vitals, AT_S)


def a_beat(*, finished_s: float, idle_s: float = 5.0) -> Beat:
    return Beat("repair", idle_s, finished_s)


async def test_a_process_that_is_well_is_ready(db: Database) -> None:
    """Each thing that was looked at is told, and there is nothing to mend."""
    vitals = Vitals(queues=[Queue("inbox", lambda: 9, 10)], beats=[a_beat(finished_s=AT_S - 64)])
    found = await look(db, vitals)
    assert (True, ()) == (found.ready, found.reasons)
    assert ["process", "database", "inbox", "worker repair"] == [check.name for check in found.checks]


async def test_a_full_entrance_is_not_ready(db: Database) -> None:
    """More would be answered 503 by the entrance itself."""
    found = await look(db, Vitals(queues=[Queue("inbox", lambda: 10, 10)]))
    said = "inbox: 10 of at most 10 callbacks wait for their commit: it is full, and the database commits too slowly"
    assert (False, (said,)) == (found.ready, found.reasons)


async def test_a_worker_that_makes_no_round_is_not_ready(db: Database) -> None:
    """Neither one that hangs nor one that fails again and again; the kind of its error is told, its words are not."""
    hung, failing = a_beat(finished_s=AT_S - 66), a_beat(finished_s=AT_S - 70)
    for _ in range(3):
        failing.broke("DataError")
    found = await look(db, Vitals(beats=[hung, failing]))
    last = "worker repair: its last good round ended"
    again = "since then 3 failed (DataError): see round.failed in the log"
    assert (False, (f"{last} 66 s ago", f"{last} 70 s ago; {again}")) == (found.ready, found.reasons)


async def test_workers_that_wait_for_a_database_that_is_away_are_no_reasons_of_their_own() -> None:
    """One reason says what to mend; what else is wrong stands beside it, and each worker among the checks."""
    nowhere = "postgresql://nobody@127.0.0.1:9/none"
    waiting, failing = a_beat(finished_s=AT_S - 70), Beat("intake", 5.0, AT_S - 70)
    waiting.broke(AWAY)
    failing.broke("DataError")
    async with asyncpg.create_pool(nowhere, min_size=0, ssl=False) as pool:
        found = await look(Database(nowhere, pool), Vitals(beats=[waiting, failing]))
    assert ["database", "worker intake"] == [reason.partition(":")[0] for reason in found.reasons]
    assert ["see database.away in the log"] == [
        check.says.rpartition(": ")[2] for check in found.checks if check.name == "worker repair"
    ]


async def test_a_long_rest_is_no_illness(db: Database) -> None:
    """Housekeeping rests for ten minutes; a round that failed once a moment ago does not take us out of traffic."""
    resting, stumbled = a_beat(finished_s=AT_S - 610, idle_s=600), a_beat(finished_s=AT_S - 3)
    stumbled.broke("DeadlockDetectedError")
    assert (await look(db, Vitals(beats=[resting, stumbled]))).ready


async def test_a_good_round_ends_the_complaint(db: Database) -> None:
    """What failed before is forgotten, and counted."""
    beat = a_beat(finished_s=0)
    beat.broke("OSError")
    ill = await look(db, Vitals(beats=[beat]))
    beat.ended(AT_S)
    well = await look(db, Vitals(beats=[beat]))
    assert (False, True, 1, 1) == (ill.ready, well.ready, beat.failed, beat.good)


async def test_a_draining_process_is_not_ready(db: Database) -> None:
    """It was told to end, and says so."""
    vitals = Vitals()
    vitals.draining = True
    found = await look(db, vitals)
    assert (False, True) == (found.ready, found.reasons[0].startswith("process: it was told to end"))


async def test_a_missing_migration_and_a_lost_database_are_told_apart(db: Database) -> None:
    """The one is mended by a command that is named, the other by starting PostgreSQL."""
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
    behind = (await look(db, Vitals())).reasons
    await db.close()
    away = (await readiness(db, Vitals(), monotonic_s())).reasons
    assert ([True], [True]) == (
        ["run `paidup db migrate`" in reason for reason in behind],
        ["cannot be reached" in reason for reason in away],
    )


async def test_a_database_that_takes_no_writes_is_not_ready(db: Database) -> None:
    """A standby, or one that was made read-only, would have every callback answered with 503."""
    async with db.session() as tx:
        await tx.execute(
            "DO $$ BEGIN EXECUTE format("
            "'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$"
        )
    closed = await Database.connect(db.dsn)
    try:
        found = await look(closed, Vitals())
    finally:
        await closed.close()
    assert (False, True) == (found.ready, "takes no writes" in found.reasons[0])
