"""Services that take part in transactions, without sockets: the real barrier on real tables, real signatures, and
whatever can go wrong on the way to them, in them, and on the way back."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from paidup.delivery.plan import Answer
from paidup.participant import ASYNCPG, Barrier, Call, Operation, Refused, Untrusted, read_call
from paidup.simulator.actors import Died, Life
from paidup.simulator.channels import Later, Trouble
from paidup.simulator.clock import Clock
from paidup.simulator.database import AWAY, StagedDatabase
from paidup.simulator.stage import Stage

NAMES = ("coupon", "points", "parcel")
RESENT_S = (30.0, 280.0)
"""When a copy of an old request arrives: its signature is still believed."""

DEED = "INSERT INTO deeds (service, xid, step, operation) VALUES ($1, $2, $3, $4)"

MOVE = """
UPDATE shelves SET available = available + $2, held = held + $3, taken = taken + $4
WHERE service = $1 AND available + $2 >= 0 RETURNING available"""

CHANGES = {
    Operation.ACTION: (-1, 0, 1),
    Operation.COMPENSATE: (1, 0, -1),
    Operation.TRY: (-1, 1, 0),
    Operation.CONFIRM: (0, -1, 1),
    Operation.CANCEL: (1, -1, 0),
}
"""What each deed does to what a service has: available, held, taken."""


class Service:
    """One of them. declines: whether its business says no to this. Its process may die; later there is another one."""

    def __init__(self, name: str, db: StagedDatabase, stage: Stage, declines: Callable[[Call], bool]) -> None:
        self.name = name
        self.secrets: tuple[str, ...] = ()
        self.life = Life(f"service {name}")
        self._db = db
        self._stage = stage
        self._declines = declines
        self._barrier = Barrier(ASYNCPG)
        self._back_at: datetime | None = None

    def is_up(self, now: datetime) -> bool:
        """Whether anybody listens."""
        if self.life.alive:
            return True
        if self._back_at is None:
            self._back_at = now + timedelta(seconds=self._stage.fates.between(1, 60, f"back {self.name}"))
        if now < self._back_at:
            return False
        self.life, self._back_at = Life(f"service {self.name}"), None
        return True

    async def take(self, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """One request, as the documentation has it: barrier and business are one transaction."""
        given = {name.lower(): value for name, value in headers}
        try:
            return await self.act(read_call(given, body, self.secrets, self._stage.clock.now()))
        except Untrusted as error:
            return Answer(status=401, elapsed_ms=1, body=str(error).encode())
        except AWAY:
            return Answer(status=500, elapsed_ms=1)

    async def act(self, call: Call) -> Answer:
        """What is asked, or what was answered before. Raises what a database that is away raises."""
        async with self._db.transaction() as tx:
            reply = await self._barrier.run_async(tx, call, dict.fromkeys(CHANGES, self._business))
        self._stage.note(f"service {self.name}: {call.operation} {reply.entry} {reply.status}")
        return Answer(status=reply.status, elapsed_ms=1, body=reply.body)

    async def _business(self, tx: Any, call: Call) -> dict[str, int]:
        await tx.execute(DEED, self.name, call.xid, call.step, str(call.operation))
        if call.operation in (Operation.ACTION, Operation.TRY) and self._declines(call):
            raise Refused("the business says no")
        available = await tx.fetchval(MOVE, self.name, *CHANGES[call.operation])
        if available is None:
            raise Refused("there is none left")
        return {"available": available}


class StagedServices:
    """In place of delivery.send.Sender, towards services. A request whose time is over is heard of when its service
    has ended with it, which is later than a socket would say, and never sooner.

    is_away: whether one is out of reach now. later: do something after so many seconds.
    """

    def __init__(
        self,
        db: StagedDatabase,
        stage: Stage,
        clock: Clock,
        *,
        is_away: Callable[[str], Trouble | None],
        later: Later,
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._is_away = is_away
        self._later = later
        self.named: dict[str, str] = {}
        """What people and fates call an order, by its id."""
        self.services = {name: Service(name, db, stage, self._declines) for name in NAMES}

    async def __call__(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, *, deadline_s: float) -> Answer:
        """See transactions.ask.Post."""
        stage, service = self._stage, self.services[url.rpartition("/")[2]]
        about, began_at = self._about(msgspec.json.decode(body, type=Call)), self._clock.now()
        await stage.point(f"calls {service.name}")
        stage.dies("call")
        answer = await self._way_there(service, about, headers, body, deadline_s)
        if answer is None:
            answer = await self._reach(service, about, headers, body)
            answer = await self._way_back(about, answer, deadline_s)
        stage.dies("answer")
        if answer.status is not None and self._clock.now() > began_at + timedelta(seconds=deadline_s):
            return _silence(deadline_s)
        return answer

    async def _way_there(
        self, service: Service, about: str, headers: Sequence[tuple[str, str]], body: bytes, deadline_s: float
    ) -> Answer | None:
        """What comes back instead of its answer; None when the request arrives."""
        stage, hits = self._stage, partial(self._hits, about)
        if hits("service.refused") or not service.is_up(self._clock.now()):
            return Answer(status=None, elapsed_ms=1, failure="ConnectionRefusedError", connected=False)
        trouble = self._is_away(service.name)
        if trouble is Trouble.AWAY:
            await stage.pause(deadline_s)
            return _silence(deadline_s)
        if (trouble is Trouble.STORM and stage.fates.roll(f"storm {about}") < 0.7) or hits("service.5xx"):
            busy = stage.fates.roll(f"busy {about}") < 0.5
            return Answer(status=503 if busy else 500, elapsed_ms=1, retry_after="4" if busy else None)
        if hits("service.acts late"):
            self._arrives(service, f"late {about}", headers, body, stage.fates.between(1, 120, f"late {about}"))
            await stage.pause(deadline_s)
            return _silence(deadline_s)
        return None

    async def _reach(self, service: Service, about: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """The service's own answer; none when it dies over it."""
        if self._hits(about, "service.repeats"):
            self._stage.spawn(f"service {about} again", service.take(headers, body), service.life)
        if self._hits(about, "service.resent"):
            self._arrives(service, f"old {about}", headers, body, self._stage.fates.between(*RESENT_S, f"old {about}"))
        try:
            return await self._stage.spawn(f"service {about}", service.take(headers, body), service.life)
        except Died:
            return Answer(status=None, elapsed_ms=1, failure="Empty reply from server")

    async def _way_back(self, about: str, answer: Answer, deadline_s: float) -> Answer:
        """What arrives of an answer."""
        stage = self._stage
        if self._hits(about, "service.silent"):
            await stage.pause(deadline_s)
            return _silence(deadline_s)
        if self._hits(about, "service.unwell"):
            return Answer(status=500, elapsed_ms=1)
        if self._hits(about, "service.slow"):
            await stage.pause(stage.fates.between(0.5, deadline_s - 0.5, f"slow {about}"))
        return answer

    def _arrives(
        self, service: Service, name: str, headers: Sequence[tuple[str, str]], body: bytes, after_s: float
    ) -> None:
        """A copy of the request, which nobody waits for any more."""

        def arrive() -> None:
            if service.is_up(self._clock.now()):
                self._stage.spawn(f"service {name}", service.take(headers, body), service.life)

        self._later(after_s, arrive)

    def _declines(self, call: Call) -> bool:
        """Decided once for each order and service: whoever says no says it again."""
        name = f"{self.named.get(call.order_id, '')} {call.step}"
        return self._stage.fates.once("service.declines", name, self._clock.now())

    def _about(self, call: Call) -> str:
        return f"{self.named.get(call.order_id, '')} {call.step} {call.operation}"

    def _hits(self, about: str, kind: str) -> bool:
        return self._stage.fates.hits(kind, about, self._clock.now())


def _silence(deadline_s: float) -> Answer:
    return Answer(status=None, elapsed_ms=int(deadline_s * 1000), failure=f"nothing came within {deadline_s:g} s")
