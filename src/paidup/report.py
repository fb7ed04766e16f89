"""How the life of a payment, and the checks of `verify`, are printed for people."""

import click
from rich.console import Console
from rich.text import Text

from paidup.log import one_line
from paidup.trace.life import Life
from paidup.verify import Check

_COLOURS = {
    "callback": "cyan",
    "decision": "green",
    "query": "yellow",
    "event": "blue",
    "case": "red",
    "stock": "magenta",
}


def print_life(life: Life) -> None:
    """Print a life for people."""
    console = Console(highlight=False, soft_wrap=True)
    order = life.order
    console.print(Text(one_line(life.verdict), style="bold"))
    console.print(Text(one_line(f"order {order.id} ({order.shop_order_no}) of {order.shop}, {order.money}")))
    day = None
    for moment in life.moments:
        if day != (day := moment.at.date()):
            console.print(f"{day} (UTC)")
        line = Text(f"{moment.at:%H:%M:%S.%f}"[:12] + "  ")
        line.append(f"{moment.kind:<13}", style=_COLOURS.get(moment.kind, ""))
        line.append(one_line(moment.what))
        console.print(line)
    console.print(Text(one_line(f"next: {life.next_step}")))
    if life.traces:
        console.print("traces: " + ", ".join(life.traces))


def print_checks(checks: list[Check]) -> None:
    """Print the checks for people."""
    for check in checks:
        mark = click.style("holds ", fg="green") if check.holds else click.style("BROKEN", fg="red", bold=True)
        sums = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in check.sums.items())
        click.echo(f"{mark}  {check.name}: {check.claim}\n        {sums}")
        for breach in check.breaches:
            click.echo(f"        broken by {breach}: paidup trace {breach}")
