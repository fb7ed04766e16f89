"""Who acts in a run: rounds, requests and deliveries, and the lives of the processes that they belong to."""

from contextvars import ContextVar
from dataclasses import dataclass


class Died(BaseException):
    """The process is gone. Not an Exception: nothing in the code may catch it and live on."""


@dataclass(eq=False)
class Life:
    """Whether a process still lives; all that belongs to it shares one."""

    name: str
    alive: bool = True


@dataclass(eq=False)
class Actor:
    """One round, request or delivery."""

    name: str
    life: Life | None


ACTING: ContextVar[Actor] = ContextVar("actor")
"""Whoever acts here; every task that an actor starts acts for him."""
