"""`paidup demo`: a shop's worst day in a minute."""

import asyncio
import sys
from pathlib import Path

import click

from paidup.demo.plan import Plan
from paidup.demo.run import run
from paidup.settings import load

_SHARE = click.FloatRange(0, 1)


@click.command()
@click.option("--orders", default=Plan.orders, show_default=True, type=click.IntRange(3, 100_000))
@click.option("--orders-per-s", default=Plan.orders_per_s, show_default=True, type=click.FloatRange(1, 5000))
@click.option("--seed", default=Plan.seed, show_default=True, help="the same seed befalls the same payments")
@click.option("--speed", default=Plan.speed, show_default=True, type=click.FloatRange(1, 100), help="of the clocks")
@click.option("--lose", default=Plan.lose, show_default=True, type=_SHARE, help="callbacks that never arrive")
@click.option("--repeat", default=Plan.repeat, show_default=True, type=_SHARE, help="callbacks sent twice")
@click.option("--delay", default=Plan.delay, show_default=True, type=_SHARE, help="callbacks that come a minute late")
@click.option("--reorder", default=Plan.reorder, show_default=True, type=_SHARE)
@click.option("--forge", default=Plan.forge, show_default=True, type=_SHARE)
@click.option("--corrupt", default=Plan.corrupt, show_default=True, type=_SHARE)
@click.option("--slow", default=Plan.slow, show_default=True, type=_SHARE, help="questions answered after seconds")
@click.option("--fail", default=Plan.fail, show_default=True, type=_SHARE, help="questions answered with 5xx")
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
