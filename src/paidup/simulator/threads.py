"""Work that is handed to a thread is waited for at once, so that nothing of a run depends on how fast threads are."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any


class AtOnce(ThreadPoolExecutor):
    """An executor that gives back only what is done."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        """As in ThreadPoolExecutor; everybody else stands still meanwhile."""
        future = super().submit(fn, *args, **options)
        wait([future])
        return future


@contextmanager
def without_overlap(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Meanwhile `asyncio.to_thread` and file copies of this loop are done at once."""
    before = loop._default_executor  # type: ignore[attr-defined]  # there is no public way to ask for it
    with AtOnce(max_workers=1) as executor:
        loop.set_default_executor(executor)
        try:
            yield
        finally:
            loop._default_executor = before  # type: ignore[attr-defined]  # nor to set none again
