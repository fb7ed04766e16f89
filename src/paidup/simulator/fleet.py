"""The processes of a run: whose round begins, whom a balancer chooses, and who takes the place of the dead."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from paidup.simulator.actors import Life
from paidup.simulator.database import AWAY
from paidup.simulator.nights import Nights
from paidup.simulator.process import Process
from paidup.simulator.rounds import Rounds
from paidup.simulator.stage import Stage
from paidup.simulator.witness import Witness


class Fleet:
    """All of them. make: a process of this life, with nothing in its memory. sells: whether the run has transactions
    across services."""

    def __init__(
        self, stage: Stage, nights: Nights, witness: Witness, make: Callable[[Life], Process], *, sells: bool
    ) -> None:
        self._stage = stage
        self._nights = nights
        self._witness = witness
        self._make = make
        self._sells = sells
        self._rounds: dict[str, Rounds] = {}
        self._restarts: dict[str, datetime] = {}

    @property
    def processes(self) -> list[Process]:
        """By name; some may have died in this very moment."""
        return [self._rounds[name].process for name in sorted(self._rounds)]

    def pick(self, whom: str) -> Process | None:
        """A process that lives, as a balancer would choose it."""
        alive = [process for process in self.processes if process.life.alive]
        return alive[self._stage.fates.pick(len(alive), f"balancer {whom}")] if alive else None

    def start(self, name: str) -> None:
        """A process begins."""
        self._stage.note(f"{name} starts")
        self._rounds[name] = Rounds(self._make(Life(name)), self._stage.clock.now())

    def restart(self, now: datetime) -> None:
        """Whoever died long enough ago begins anew."""
        for name, at in [*self._restarts.items()]:
            if at <= now:
                del self._restarts[name]
                self.start(name)

    def bury(self) -> None:
        """What died is replaced after a while; what failed otherwise is a breach."""
        for name, rounds in [*self._rounds.items()]:
            if not rounds.process.life.alive:
                del self._rounds[name]
                wait_s = self._stage.fates.between(1, 20, f"restart {name}")
                self._restarts[name] = self._stage.clock.now() + timedelta(seconds=wait_s)
        for name, error in self._stage.failures:
            self._witness.breach("nothing fails by itself", f"{name}: {type(error).__name__}: {error}")

    def next_times(self, due: Mapping[str, datetime | None]) -> Iterator[datetime]:
        """When somebody begins anew, or a round runs next. due: when each job has something to do."""
        yield from self._restarts.values()
        for rounds in self._rounds.values():
            yield from (at for job in due if (at := rounds.next_at(job, due)) is not None)

    # Rounds ----------------------------------------------------------------------------------------------------------

    def begin_rounds(self, due: Mapping[str, datetime | None]) -> None:
        """One process takes each job that is due; sometimes another one does, too."""
        now, fates = self._stage.clock.now(), self._stage.fates
        alive = [self._rounds[name] for name in sorted(self._rounds)]
        wanted = {rounds.process.life.name: rounds.due(due, now) for rounds in alive}
        for job in dict.fromkeys(job for jobs in wanted.values() for job in jobs):
            ready = [rounds for rounds in alive if job in wanted[rounds.process.life.name]]
            first = ready.pop(fates.pick(len(ready), f"who {job}"))
            self._begin(first, job)
            for other in ready:
                landed = job == "delivery" and other.process.landed
                if landed or fates.hits("second worker", job, now):
                    self._begin(other, job)

    def _begin(self, rounds: Rounds, job: str) -> None:
        rounds.began(job)
        name = f"{rounds.process.life.name} {job}"
        self._stage.spawn(name, self._round(rounds, job), rounds.process.life)

    async def _round(self, rounds: Rounds, job: str) -> None:
        """As the supervisor runs it: what fails because the database is away is tried again."""
        clock = self._stage.clock
        began_at = clock.now()
        try:
            done = await rounds.process.round(job, began_at)
        except AWAY as error:
            self._stage.note(f"{job} failed: {type(error).__name__}")
            rounds.failed(job, clock.now())
            return
        self._stage.note(f"{job} did {done}")
        if job == "reconcile":
            self._nights.looked(began_at)
        rounds.ended(job, done, clock.now())
        if done and job in ("intake", "repair", "expiry") and self._sells:
            for other in self._rounds.values():
                other.call_checkout()
        if job == "sweep" and done:
            self._witness.breach("no unfinished row lacks its job", f"the sweep found {done}")
