"""The four phases: what is done to the world while orders are placed and paid. Each returns the faults it survived."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from chaos.arena import WEB, WORKERS, Arena, freeze, thaw
from chaos.plan import CHANNELS, DISK_FULL, EVERYTHING, ROLES, Blow, Plan, blows, database_blows, pause_s
from chaos.pulse import WITHIN_S, beats_again
from chaos.straggler import IN_THE_BODY, IN_THE_HEAD, Straggler, refused
from paidup.clock import monotonic_s
from paidup.demo.processes import Child

Tell = Callable[[str], None]
_LEAVES = '"event":"paidup.stopped"'
_UNDER_WAY_S = 1.0
"""So long an answer may take that was on its way when the standby froze."""
_ARRIVES_WITHIN_S = 0.3
_FROZEN_S = 2.0
"""So long a database server is frozen."""
_NOT_FELT = "nobody felt the full disk, so that this proves nothing"


class Fault(msgspec.Struct, frozen=True):
    """One fault that was survived, or not. healed_s: from its beginning until everybody concerned worked again; None
    when something went wrong, which `note` then says."""

    kind: str
    healed_s: float | None
    note: str = ""

    @property
    def wrong(self) -> str:
        """What went wrong; empty when it was survived."""
        return f"{self.kind}: {self.note}" if self.healed_s is None else ""


class Trouble:
    """Makes trouble in a world. `tell` gets a line for each thing that is done."""

    def __init__(self, world: Arena, plan: Plan, tell: Tell) -> None:
        self._world = world
        self._plan = plan
        self._tell = tell

    async def phase(self, name: str) -> list[Fault]:
        """Run one phase to its end, which is when its last fault has healed and its time is over."""
        phases: dict[str, Callable[[float], Awaitable[list[Fault]]]] = {
            "kills": self._kills, "database": self._database, "rolling": self._rolling, "standby": self._standby,
        }  # fmt: skip
        seconds = self._plan.seconds(name)
        faults, _ = await asyncio.gather(phases[name](seconds), asyncio.sleep(seconds))
        return faults

    # Processes -------------------------------------------------------------------------------------------------------

    async def _kills(self, seconds: float) -> list[Fault]:
        """SIGKILL and SIGSTOP, each at its moment; one process suffers one thing at a time."""
        busy = {child.name: asyncio.Lock() for child in self._world.children}
        dice = random.Random(f"{self._plan.seed}/victims")
        planned = [(blow, dice.choice(self._world.roles[blow.role])) for blow in blows(self._plan.seed, seconds)]
        async with asyncio.TaskGroup() as group:
            struck = [group.create_task(self._strike(blow, child, busy[child.name])) for blow, child in planned]
        return [task.result() for task in struck]

    async def _strike(self, blow: Blow, child: Child, turn: asyncio.Lock) -> Fault:
        await asyncio.sleep(blow.at_s)
        async with turn:
            began = monotonic_s()
            self._tell(f"{child.name} ({child.pid}) is {blow.kind} for {blow.lasts_s:.1f} s")
            if blow.kind == "killed":
                await self._world.kill(child)
                await asyncio.sleep(blow.lasts_s)
                await self._start(child)
            else:
                freeze(child)
                try:
                    await asyncio.sleep(blow.lasts_s)
                finally:
                    thaw(child)
            return await self._healed(f"{blow.role} {blow.kind}", began, (blow.role,))

    async def _start(self, child: Child) -> None:
        await child.start()
        if child.name in WEB:
            await self._world.web_answers(child)

    async def _healed(self, kind: str, began: float, roles: Sequence[str], note: str = "") -> Fault:
        works = await beats_again(self._world, roles)
        healed_s = monotonic_s() - began if works else None
        self._tell(f"{kind}: {f'healed after {healed_s:.1f} s' if healed_s else f'NOT healed in {WITHIN_S:.0f} s'}")
        return Fault(kind, healed_s, note if works else f"somebody did nothing for {WITHIN_S:.0f} s afterwards")

    # The database ----------------------------------------------------------------------------------------------------

    async def _database(self, seconds: float) -> list[Fault]:
        kinds = database_blows(self._plan.seed)
        faults = []
        for kind in kinds:
            await asyncio.sleep(pause_s(self._plan.seed, kind, seconds / len(kinds) / 2))
            if kind == DISK_FULL and self._world.disk.why_not:
                self._tell(f"{kind}: not possible here: {self._world.disk.why_not}")
                continue
            began = monotonic_s()
            self._tell(f"{kind} …")
            note = await self._befall(kind, seconds / len(kinds) / 2)
            fault = await self._healed(kind, began, (*ROLES, CHANNELS), note)
            faults.append(Fault(kind, None, note) if note == _NOT_FELT else fault)
        return faults

    async def _befall(self, kind: str, lasts_s: float) -> str:
        servers = self._world.servers
        if kind == "database restarted":
            await servers.restart()
        elif kind == "database killed -9":
            await servers.kill()
            await asyncio.sleep(pause_s(self._plan.seed, "power", 1))
            await servers.revive()
        elif kind == "database frozen":
            async with servers.primary_frozen():
                await asyncio.sleep(min(lasts_s, _FROZEN_S))
        elif kind == "connections cut":
            return f"{await servers.cut()} connections"
        elif kind == EVERYTHING:
            await self._kill_everything()
        else:
            return await self._fill_the_disk(lasts_s)
        return ""

    async def _kill_everything(self) -> None:
        """As when a machine loses its power: the database and every process of ours at once. The channels go on."""
        ours = self._world.ours()
        await asyncio.gather(self._world.servers.kill(), *(self._world.kill(child) for child in ours))
        await asyncio.gather(*(child.start() for child in ours))
        await self._world.servers.revive()
        for child in self._world.roles["web"]:
            await self._world.web_answers(child)

    async def _fill_the_disk(self, lasts_s: float) -> str:
        """Until callbacks are refused for it, and then for a while; a full disk that nobody feels proves nothing."""
        balancer = self._world.balancer
        before = balancer.callbacks.unavailable, balancer.api.unavailable
        try:
            self._world.disk.fill()
            for _ in range(200):
                if balancer.callbacks.unavailable > before[0]:
                    break
                await asyncio.sleep(0.1)
            await asyncio.sleep(lasts_s)
        finally:
            self._world.disk.free()
        await self._world.servers.revive()
        callbacks, calls = balancer.callbacks.unavailable - before[0], balancer.api.unavailable - before[1]
        return f"{callbacks} callbacks and {calls} calls of the shop answered 5xx" if callbacks + calls else _NOT_FELT

    # Rolling restart -------------------------------------------------------------------------------------------------

    async def _rolling(self, seconds: float) -> list[Fault]:
        """One process after the other, again and again while there is time; every process at least once."""
        until = monotonic_s() + seconds
        faults: list[Fault] = []
        while not faults or monotonic_s() < until:
            faults += [await self._replace(name) for name in (*WEB, *WORKERS)]
        return faults

    async def _replace(self, name: str) -> Fault:
        """As an operator does it: the balancer gives a web process nothing new, and in the same moment it is told to
        end (SIGTERM) while requests that it has taken are under way."""
        world = self._world
        role = "web" if name in WEB else name
        child = next(child for child in world.roles[role] if child.name == name)
        backend = world.balancer.backends.get(name)
        began = monotonic_s()
        self._tell(f"{name} ({child.pid}) is replaced")
        if backend:
            backend.takes = False
        wrong = await (_end_with_stragglers(child, backend.port) if backend else _end(child))
        await self._start(child)
        if backend:
            backend.takes = True
        fault = await self._healed(f"{role} replaced", began, (role,))
        if wrong:
            return Fault(fault.kind, None, wrong)
        return Fault(fault.kind, fault.healed_s, "requests half sent at SIGTERM were answered" if backend else "")

    # The standby -----------------------------------------------------------------------------------------------------

    async def _standby(self, seconds: float) -> list[Fault]:
        """A standby is made and frozen for a while; then the primary dies while callbacks arrive."""
        self._tell("a standby is made; from then on no commit is answered before the standby has it")
        await self._world.servers.add_standby()
        await asyncio.sleep(pause_s(self._plan.seed, "standby", seconds / 4))
        self._tell("the standby is frozen")
        frozen = await self._freeze_the_standby()
        await asyncio.sleep(pause_s(self._plan.seed, "primary", seconds / 2))
        return [frozen, await self._lose_the_primary()]

    async def _lose_the_primary(self) -> Fault:
        """It dies without a word, and is not started again; the standby becomes the primary."""
        servers = self._world.servers
        began = monotonic_s()
        before = self._world.balancer.callbacks.acknowledged
        self._tell(f"the primary is killed -9 ({before} callbacks acknowledged in this phase)")
        await servers.kill()
        newcomers = [self._world.roles["web"][0], self._world.roles["intake"][0]]
        for child in newcomers:
            self._tell(f"{child.name} is killed and starts while only a standby answers, which takes no writes")
            await self._world.kill(child)
            await child.start()
        await asyncio.sleep(pause_s(self._plan.seed, "watchdog", 4))
        await servers.fail_over()
        self._tell("the standby is the primary now")
        await self._world.web_answers(newcomers[0])
        note = f"{before} callbacks acknowledged before"
        return await self._healed("primary lost, standby promoted", began, (*ROLES, CHANNELS), note)

    async def _freeze_the_standby(self) -> Fault:
        """While the standby says nothing, nothing may be acknowledged: that is what it is for."""
        tally, began = self._world.balancer.callbacks, monotonic_s()
        async with self._world.servers.standby_frozen():
            await asyncio.sleep(_UNDER_WAY_S)
            before = tally.acknowledged
            await asyncio.sleep(_FROZEN_S)
            meanwhile = tally.acknowledged - before
        fault = await self._healed("standby frozen", began, (*ROLES, CHANNELS), "nothing was acknowledged meanwhile")
        if meanwhile:
            return Fault(fault.kind, None, f"{meanwhile} callbacks were acknowledged without the standby")
        return fault


async def _end(child: Child) -> str:
    """SIGTERM; what went wrong, empty when it finished what it had begun and ended by itself."""
    await child.end()
    said = child.log.read_text(errors="replace").replace(" ", "")[-500:]
    return "" if _LEAVES in said else f"{child.name} did not end by itself after SIGTERM"


async def _end_with_stragglers(child: Child, port: int) -> str:
    """The same, with requests half sent at that moment, each broken off elsewhere; all must be answered."""
    stragglers = [await Straggler.begin(port, sent) for sent in (IN_THE_HEAD, IN_THE_BODY)]
    await asyncio.sleep(_ARRIVES_WITHIN_S)
    ending = asyncio.create_task(_end(child))
    await refused(port)
    statuses = [await straggler.finish() for straggler in stragglers]
    for straggler in stragglers:
        straggler.close()
    wrong = await ending
    return wrong or ("" if all(statuses) else f"requests half sent at SIGTERM were answered {statuses} (0: not at all)")
