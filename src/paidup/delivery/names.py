"""Which addresses a name has, asked of the operating system without making anybody else wait.

While name servers are silent, a question keeps its thread for ten seconds and longer, and no deadline gives it back.
The event loop has a handful of threads for all that is asked in this process, by whoever calls the channels, too. So
these questions have threads of their own, more of them than one shop may have endpoints; and about one name there is
one question under way, whose answer all get that want it meanwhile.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread

AT_ONCE = 64
"""Threads, one for each question."""


def system_look_up(host: str) -> Sequence[str]:
    """The addresses that the operating system knows for this name; blocks. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """Resolves names for one Sender. look_up: who is asked; it may block."""

    def __init__(self, look_up: Callable[[str], Sequence[str]] = system_look_up) -> None:
        self._look_up = look_up
        self._room = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[str, asyncio.Task[Sequence[str]]] = {}

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        """The addresses of a name. Raises OSError; whoever stops waiting leaves the question to the others."""
        asked = self._asked.get(host)
        if asked is None:
            asked = asyncio.create_task(self._ask(host))
            self._asked[host] = asked
            asked.add_done_callback(partial(self._answered, host))
        return await asyncio.shield(asked)

    def close(self) -> None:
        """Ask nothing more. A question that is under way is not waited for, not even when the process ends."""
        for asked in self._asked.values():
            asked.cancel()

    async def _ask(self, host: str) -> Sequence[str]:
        async with self._room:
            answer = Future[Sequence[str]]()
            Thread(target=_look, args=(self._look_up, host, answer), name="paidup-names", daemon=True).start()
            return await asyncio.wrap_future(answer)

    def _answered(self, host: str, asked: asyncio.Task[Sequence[str]]) -> None:
        del self._asked[host]
        if not asked.cancelled():
            asked.exception()  # perhaps nobody waits for it any more, and it is no news then


def _look(look_up: Callable[[str], Sequence[str]], host: str, answer: Future[Sequence[str]]) -> None:
    """In a thread of its own: Python waits for those of an executor before it ends, however long they are silent."""
    answer.set_running_or_notify_cancel()
    try:
        answer.set_result(look_up(host))
    except (OSError, ValueError) as error:  # ValueError: of a name that they cannot even ask for
        answer.set_exception(error)
    except BaseException as error:
        answer.set_exception(error)  # or those who asked would wait for ever
        raise
