"""`paidup demo`: a shop's worst day in a minute."""

import asyncio
import sys
from pathlib import Path

import click

from paidup.demo.plan import Plan
from paidup.demo.run import run
from paidup.settings import load

_SHARE = click.FloatRange(0, 1)
_DEFAULT = Plan(folder=Path())


@click.command()
@click.option("--orders", default=_DEFAULT.orders, show_default=True, type=click.IntRange(3, 100_000))
@click.option("--orders-per-s", default=_DEFAULT.orders_per_s, show_default=True, type=click.FloatRange(1, 5000))
@click.option("--seed", default=_DEFAULT.seed, show_default=True, help="the same seed befalls the same payments")
@click.option("--speed", default=_DEFAULT.speed, show_default=True, type=click.FloatRange(1, 100), help="of the clocks")
@click.option("--lose", default=_DEFAULT.lose, show_default=True, type=_SHARE, help="callbacks that never arrive")
@click.option("--repeat", default=_DEFAULT.repeat, show_default=True, type=_SHARE, help="callbacks sent twice")
@click.option(
    "--delay", default=_DEFAULT.delay, show_default=True, type=_SHARE, help="callbacks that come a minute late"
)
@click.option("--reorder", default=_DEFAULT.reorder, show_default=True, type=_SHARE)
@click.option("--forge", default=_DEFAULT.forge, show_default=True, type=_SHARE)
@click.option("--corrupt", default=_DEFAULT.corrupt, show_default=True, type=_SHARE)
@click.option("--slow", default=_DEFAULT.slow, show_default=True, type=_SHARE, help="questions answered after seconds")
@click.option("--fail", default=_DEFAULT.fail, show_default=True, type=_SHARE, help="questions answered with 5xx")
@click.option("--kill/--no-kill", default=True, show_default=True, help="SIGKILL a worker, crash the database")
@click.option("--once", is_flag=True, help="end by itself; exit code 0 only if everything holds")
def command(**options: float | bool) -> None:
    """Orders are paid through three sandboxed channels; callbacks are lost, processes die; then the verdict.

    \b
    paidup demo                    and stay up to look around
    paidup demo --once --lose 1    every callback is lost
    """
    folder: Path = load().data.resolve() / "demo"
    plan = Plan(folder=folder, **options)  # type: ignore[arg-type]  # click has checked each against its option's type
    sys.exit(0 if asyncio.run(run(plan)) else 1)
