"""`paidup demo`: a shop's worst day in a minute."""

import asyncio
import sys
from pathlib import Path

import click

from paidup.cli.fault_options import fault_options
from paidup.cli.output import json_option
from paidup.demo.plan import Plan
from paidup.demo.run import run
from paidup.sandbox.faults import SHARES
from paidup.settings import load

_DEFAULT = Plan(folder=Path())


@click.command()
@click.option("--orders", default=_DEFAULT.orders, show_default=True, type=click.IntRange(3, 100_000))
@click.option("--orders-per-s", default=_DEFAULT.orders_per_s, show_default=True, type=click.FloatRange(1, 5000))
@click.option(
    "--hot-units",
    default=_DEFAULT.hot_units,
    show_default=True,
    type=click.IntRange(0, 100_000),
    help="units of the hot item, which every third order wants",
)
@click.option("--seed", default=_DEFAULT.seed, show_default=True, help="the same seed befalls the same payments")
@click.option("--speed", default=_DEFAULT.speed, show_default=True, type=click.FloatRange(1, 100), help="of the clocks")
@fault_options({name: getattr(_DEFAULT, name) for name in SHARES if hasattr(_DEFAULT, name)})
@click.option("--kill/--no-kill", default=True, show_default=True, help="SIGKILL a worker, crash the database")
@click.option("--once", is_flag=True, help="end by itself; exit code 0 only if everything holds")
@json_option
def command(**options: float | bool) -> None:
    """Orders are paid through three sandboxed channels; callbacks are lost, processes die; then the verdict.

    \b
    paidup demo                    and stay up to look around
    paidup demo --once --lose 1    every callback is lost
    paidup demo --once --json      the verdict for a machine
    """
    folder: Path = load().data.resolve() / "demo"
    plan = Plan(folder=folder, **options)  # type: ignore[arg-type]  # click has checked each against its option's type
    sys.exit(0 if asyncio.run(run(plan)) else 1)
