"""The world of a run: a balancer, two web processes, one process for each worker role, channels, shop, database."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import aiohttp

from chaos.balancer import Backend, Balancer
from chaos.database import Servers
from chaos.disk import Disk, small_disk
from chaos.plan import Plan
from paidup.db.migrate import migrate
from paidup.db.transaction import Database
from paidup.demo.plan import Plan as DemoPlan
from paidup.demo.processes import Child, answering, free_port
from paidup.demo.shop import Shop
from paidup.demo.world import World, environment, shop_in_database, start_sandbox
from paidup.errors import OurError

WEB = ("web-1", "web-2")
WORKERS = ("intake", "repair", "delivery")
AT_ONCE = 12
_STARTS = 3
_DISK_MB, _DISK_MB_A_MINUTE = 400, 100


class Customers(Shop):
    """A shop that goes on ordering until it is told to stop."""

    def __init__(self, plan: DemoPlan, api_url: str) -> None:
        super().__init__(plan, api_url)
        self._every_s = 1 / plan.orders_per_s
        self._next = 0
        self.failed: list[str] = []
        """Orders that could not be placed however often it was tried, and why."""

    async def order_until(self, stop: asyncio.Event) -> None:
        """Place orders, then wait until each that was begun has its payment."""
        gate = asyncio.Semaphore(AT_ONCE)
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as group:
            while not stop.is_set():
                await gate.acquire()
                group.create_task(self._try(session, self._next)).add_done_callback(lambda _: gate.release())
                self._next += 1
                await asyncio.sleep(self._every_s)

    async def _try(self, session: aiohttp.ClientSession, n: int) -> None:
        try:
            await self._order(session, n)
        except RuntimeError as error:
            self.failed.append(str(error))


class Arena(World):
    """Everything that runs. `roles` maps each role, and the channels, to their processes."""

    def __init__(self, plan: Plan, disk: Disk) -> None:
        faults = DemoPlan(
            folder=plan.folder, orders_per_s=plan.orders_per_s, seed=plan.seed, speed=plan.speed, lose=0.15
        )
        super().__init__(faults)
        self.disk = disk
        self.shop: Customers = Customers(faults, self.web_url)
        self.balancer = Balancer()
        self.servers = Servers(plan.folder)
        self.roles: dict[str, list[Child]] = {}
        self.fallen: list[str] = []
        """Names of processes that ended by themselves and were started again, since this was emptied."""
        self._minding = asyncio.Lock()

    async def start_processes(self) -> None:
        """Sandbox first: it writes the accounts that the others read."""
        self.roles["channels"] = [await start_sandbox(self)]
        for name in WEB:
            self.balancer.backends[name] = Backend(free_port())
        self.roles["web"] = [
            self.child(name, "serve", "--roles=web", PAIDUP_PORT=str(self.balancer.backends[name].port)) for name in WEB
        ]
        for name in WORKERS:
            self.roles[name] = [self.child(name, "serve", f"--roles={name}", PAIDUP_PORT="0")]
        for child in self.ours():
            await child.start()
        for child in self.roles["web"]:
            await self.web_answers(child)

    def ours(self) -> list[Child]:
        """All processes of Paidup."""
        return [child for name in ("web", *WORKERS) for child in self.roles[name]]

    async def web_answers(self, child: Child) -> None:
        """Wait until this web process listens. Raises OurError when it does not, however often it is started."""
        for _ in range(_STARTS):
            with contextlib.suppress(OurError):
                return await answering(self.balancer.backends[child.name].port, child)
            await self.start_fallen()
        return await answering(self.balancer.backends[child.name].port, child)

    async def kill(self, child: Child) -> None:
        """SIGKILL, and nobody takes it for one that fell."""
        async with self._minding:
            await child.kill()

    async def start_fallen(self) -> None:
        """Start again what ended by itself, as whatever minds services on a real machine does. Raises OurError when it
        is the sandbox: the truth is gone with it."""
        self.roles["channels"][0].must_live()
        async with self._minding:
            for child in self.ours():
                try:
                    child.must_live()
                except OurError:
                    self.fallen.append(child.name)
                    await child.start()

    async def end_processes(self) -> None:
        """End what runs, frozen processes too."""
        for child in self.children:
            thaw(child)
        await asyncio.gather(*(child.end() for child in reversed(self.children)))


def freeze(child: Child) -> None:
    """SIGSTOP: it keeps its connections and its locks, and does nothing."""
    _signal(child, signal.SIGSTOP)


def thaw(child: Child) -> None:
    """SIGCONT, if it still is there."""
    _signal(child, signal.SIGCONT)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.pid:  # 0 would be everybody in our own process group
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)


@contextlib.asynccontextmanager
async def arena(plan: Plan) -> AsyncIterator[Arena]:
    """Start everything; end everything, by process id, however the block ends."""
    async with contextlib.AsyncExitStack() as stack:
        size_mb = _DISK_MB + int(_DISK_MB_A_MINUTE * plan.minutes)
        world = Arena(plan, stack.enter_context(small_disk(plan.folder / "data", size_mb)))
        stack.push_async_callback(world.servers.close)
        await world.servers.start()
        world.embedded = world.servers.primary
        world.env = environment(world, world.servers.url)
        world.db = await Database.connect(world.servers.url, max_size=4)
        stack.push_async_callback(world.db.close)
        await migrate(world.db)
        stack.push_async_callback(world.shop.close)
        await world.shop.listen(world.shop_port)
        stack.push_async_callback(world.balancer.close)
        await world.balancer.listen(world.web_port)
        await shop_in_database(world)
        stack.push_async_callback(world.end_processes)
        await world.start_processes()
        yield world
