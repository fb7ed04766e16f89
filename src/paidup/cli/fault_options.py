"""One option per fault of the sandbox, for every command that takes faults."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import click

from paidup.sandbox.faults import SHARES

F = TypeVar("F", bound=Callable[..., object])
_SHARE = click.FloatRange(0, 1)


def fault_options(defaults: Mapping[str, float]) -> Callable[[F], F]:
    """Decorator: a probability option for each of these faults, with its default, in the order of the table."""

    def add(command: F) -> F:
        for name in reversed([name for name in SHARES if name in defaults]):
            flag = f"--{name.replace('_', '-')}"
            option = click.option(flag, default=defaults[name], show_default=True, type=_SHARE, help=SHARES[name])
            command = option(command)
        return command

    return add
