"""Seeds played by several processes at once, each on a server of its own: a run uses one core, and seeds are many.

Each process stays on one core, with its server: the two take turns at every statement, and to wake somebody on another
core costs more than to give him one's own (a quarter of the time of a run, on two cores of a virtual machine).
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from paidup.simulator.campaign import theatre
from paidup.simulator.outcome import Outcome


class PlayerDied(Exception):
    """A process that played seeds ended before it had played them all."""


def cores() -> int:
    """How many processes can run at once here."""
    return len(_cores()) or os.cpu_count() or 1


def _cores() -> list[int]:
    """The cores that we may use; none where the system does not let us choose."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def play_all(seeds: Sequence[int], *, jobs: int, days: int | None) -> Generator[Outcome]:
    """The outcome of every seed, in the order in which they end. jobs: so many processes. days: as in `Theatre.play`.
    Raises PlayerDied."""
    players = [_start(n, seeds[n::jobs], days) for n in range(min(jobs, len(seeds)))]
    try:
        yield from _outcomes({pipe: process for process, pipe in players})
    finally:
        for process, _ in players:
            process.terminate()
        for process, _ in players:
            process.join()


def _start(nth: int, seeds: Sequence[int], days: int | None) -> "tuple[BaseProcess, Connection[None, Outcome | None]]":
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_play, args=(nth, seeds, days, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return process, ours


def _outcomes(
    playing: "dict[Connection[None, Outcome | None], BaseProcess]",
) -> Iterator[Outcome]:
    while playing:
        for pipe in [pipe for pipe in wait([*playing]) if isinstance(pipe, Connection)]:
            try:
                outcome = pipe.recv()
            except EOFError:
                raise PlayerDied(f"process {playing[pipe].pid} ended before its seeds") from None
            if outcome is not None:
                yield outcome
                continue
            playing.pop(pipe).join()
            pipe.close()


def _play(nth: int, seeds: Sequence[int], days: int | None, pipe: "Connection[Outcome | None, None]") -> None:
    """In a process of its own, the nth: every outcome, then None. SIGTERM ends it, and the server that it has
    started."""

    async def play() -> None:
        async with theatre() as stage:
            for seed in seeds:
                pipe.send(await stage.play(seed, days=days))
        pipe.send(None)

    async def until_told() -> None:
        playing = asyncio.ensure_future(play())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
        with suppress(asyncio.CancelledError):
            await playing

    if allowed := _cores():
        os.sched_setaffinity(0, {allowed[nth % len(allowed)]})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; whoever started this tells it to end
    asyncio.run(until_told())
