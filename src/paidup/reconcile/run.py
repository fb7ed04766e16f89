"""One reconciliation: a day of one account. The bill and our books are laid side by side outside of any transaction;
what is found is written in one."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from paidup import log
from paidup.db.transaction import Database
from paidup.errors import Conflict
from paidup.reconcile.party import Party
from paidup.reconcile.refusal import NO_ROOM, Refused, refuse
from paidup.reconcile.run_lay import Progress, begin, lay_day
from paidup.reconcile.run_record import Outcome, record
from paidup.reconcile.table import Limits, NoRoom, opened

MAX_OVERTAKEN = 5


async def reconcile(
    db: Database, party: Party, day: date, *, now: datetime, spill: Path | None, limits: Limits, who: str,
    dry_run: bool = False, progress: Progress = lambda _: None, now_of: Callable[[], datetime] | None = None,
) -> Outcome:  # fmt: skip
    """Lay the latest bill of a day beside our books, and write down what differs. Doing it again changes nothing.

    now_of: tells the time when it is written, for runs that take long.

    A bill that is refused is marked so, with its reason and a case. Raises Conflict when other runs of the day are
    always first.
    """
    for _ in range(MAX_OVERTAKEN):
        async with db.session() as tx:
            begun = await begin(tx, party, day, now)
        if begun is None:
            return Outcome(refused=f"no bill of {day} is here yet")
        try:
            with opened(spill, limits) as table:
                laid = await lay_day(db, party, day, begun, table, progress)
        except (Refused, NoRoom) as error:
            refusal = error if isinstance(error, Refused) else Refused(begun.trades, NO_ROOM, "no_room", str(error))
            if not dry_run:
                await refuse(db, refusal, now)
            return Outcome(refused=str(refusal), is_put_off=refusal.kind == NO_ROOM)
        for wrong in () if dry_run else laid.beside.refused:
            await refuse(db, wrong, now)
        progress("record")
        now = now_of() if now_of else now
        async with db.transaction() as tx:
            outcome = await record(tx, party, day, laid, now=now, who=who, dry_run=dry_run)
        if outcome is not None:
            return _logged(outcome, party, day, dry_run=dry_run)
        log.info("reconcile.overtaken", account=party.name, day=day.isoformat())
    raise Conflict(f"{MAX_OVERTAKEN} times another run of {party.name} {day} was first; run it again")


def _logged(outcome: Outcome, party: Party, day: date, *, dry_run: bool) -> Outcome:
    if outcome.run and not dry_run:
        log.info(
            "reconcile.finished", account=party.name, day=day.isoformat(), lines=outcome.run.lines,
            matched=outcome.run.matched, opened=outcome.run.opened,
        )  # fmt: skip
    return outcome
