"""What the demo shows while it runs, and its verdict."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from paidup.demo.verdict import Verdict

_FAULTS = ("lost", "repeated", "delayed", "reordered", "corrupted", "forged", "unanswered")


class Screen:
    """A live table on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = Live(console=self.console, auto_refresh=False, transient=False)
        self._events: list[str] = []
        self._last = ""

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def happened(self, what: str) -> None:
        """Something worth a line of its own: a kill, a crash, a recovery."""
        self._events.append(what)
        if not self.console.is_terminal:
            self.console.print(f"  !! {what}")

    def show(self, orders: int, counts: Mapping[str, int], summary: Mapping[str, Any], paid: int) -> None:
        """Draw the current state."""
        at_channel = sum(channel["paid"] for channel in summary.get("channels", {}).values())
        line = (
            f"orders {counts['opened']}/{orders}  paid at the channel {at_channel}  paid here {paid}  "
            f"told to the shop {counts['told']}"
        )
        if self.console.is_terminal:
            self._live.update(self._picture(orders, counts, summary, at_channel, paid), refresh=True)
        elif line != self._last:
            self.console.print(line)
        self._last = line

    def _picture(
        self, orders: int, counts: Mapping[str, int], summary: Mapping[str, Any], at_channel: int, paid: int
    ) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for name, value in (
            ("orders opened", counts["opened"]),
            ("paid at the channel", at_channel),
            ("paid here", paid),
            ("told to the shop", counts["told"]),
        ):
            table.add_row(name, ProgressBar(total=orders, completed=value, width=40), str(value))
        callbacks = summary.get("callbacks", {})
        faults = "  ".join(f"{name} {callbacks.get(name, 0)}" for name in _FAULTS)
        lines = [Text(f"callbacks sent {callbacks.get('sent', 0)}  {faults}", style="dim")]
        lines += [Text(f"!! {event}", style="bold red") for event in self._events]
        return Group(table, *lines)


def print_verdict(console: Console, verdict: Verdict, *, speed: float, summary: Mapping[str, Any]) -> None:
    """The verdict for people, on stdout."""
    callbacks = summary["callbacks"]
    console.print()
    console.print(
        f"callbacks   sent {callbacks.get('sent', 0)}, "
        + ", ".join(f"{name} {callbacks.get(name, 0)}" for name in _FAULTS)
    )
    console.print(
        f"payments    paid at the channel {verdict.paid_at_channel}, paid here {verdict.paid_here}; "
        f"orders paid {verdict.orders_paid}, told to the shop {verdict.told_to_shop}"
    )
    console.print(
        f"lost        {len(verdict.lost)}    not told {len(verdict.untold)}    doubled {verdict.doubled}    "
        f"invented {len(verdict.invented)}"
    )
    names = {"callback": "by callback", "query": "by active query (healed)", "bill": "by the bill (healed)"}
    for road in verdict.roads:
        console.print(
            f"{names.get(road.road, road.road):<26}{road.payments:>6} payments, after the money moved: "
            f"p50 {road.p50_s:.0f} s, p95 {road.p95_s:.0f} s, worst {road.worst_s:.0f} s"
        )
    console.print(f"            (seconds of the demo's clocks, which run {speed:g} times as fast as yours)")
    hot = verdict.hot_item
    console.print(
        f"hot item    {hot.buyers} buyers for {hot.units} units: sold {hot.sold}, reserved {hot.reserved}, "
        f"available {hot.available}, oversold {hot.oversold}; turned away {hot.turned_away}"
    )
    word = "[bold green]HOLDS[/]" if verdict.holds else "[bold red]BROKEN[/]"
    console.print(f"verdict     {word}")
