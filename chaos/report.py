"""What a run found: a table for people, and the same as JSON."""

import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from chaos.balancer import Tally
from chaos.plan import Plan
from chaos.proof import Proof
from chaos.trouble import Fault


class Phase(msgspec.Struct, kw_only=True):
    """One phase. Seconds are real ones. breaches: in words. fallen: processes that ended by themselves and were started
    again. not_done: what this machine did not allow, and why."""

    name: str
    load_s: float
    drained_s: float
    longest_without_answer_s: float
    callbacks: Tally
    api: Tally
    faults: list[Fault]
    fallen: list[str]
    proof: Proof
    breaches: list[str]
    not_done: str = ""


class Kind(msgspec.Struct, frozen=True):
    """All faults of one kind. worst_healed_s is None when something went wrong with one of them."""

    kind: str
    survived: int
    of: int
    worst_healed_s: float | None
    note: str


class Report(msgspec.Struct, kw_only=True):
    """The whole run."""

    date: str
    machine: str
    seed: int
    minutes: float
    speed: float
    orders: int
    phases: list[Phase]
    faults: list[Kind]

    @property
    def breaches(self) -> list[str]:
        """All breaches, with the phase they were found in."""
        return [f"{phase.name}: {breach}" for phase in self.phases for breach in phase.breaches]


def report_of(plan: Plan, phases: list[Phase], orders: int, now: datetime) -> Report:
    """Put the report together."""
    return Report(
        date=f"{now:%Y-%m-%d}",
        machine=f"{_cpu()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        seed=plan.seed,
        minutes=plan.minutes,
        speed=plan.speed,
        orders=orders,
        phases=phases,
        faults=kinds([fault for phase in phases for fault in phase.faults]),
    )


def kinds(faults: Sequence[Fault]) -> list[Kind]:
    """Faults by kind, in the order in which each kind first came."""
    by_kind: dict[str, list[Fault]] = {}
    for fault in faults:
        by_kind.setdefault(fault.kind, []).append(fault)
    return [_kind(kind, those) for kind, those in by_kind.items()]


def _kind(kind: str, faults: Sequence[Fault]) -> Kind:
    healed = [fault.healed_s for fault in faults if fault.healed_s is not None]
    worst = max(healed) if len(healed) == len(faults) else None
    notes = dict.fromkeys(fault.note for fault in faults if fault.note)
    return Kind(kind, len(healed), len(faults), worst, "; ".join(notes))


def print_report(report: Report) -> None:
    """The tables, on stdout."""
    console = Console(highlight=False, soft_wrap=True, width=160)
    console.print(f"{report.date}, {report.machine}; seed {report.seed}, {report.minutes:g} minutes under load\n")
    console.print(_faults(report.faults))
    console.print(_phases(report.phases))
    for phase in report.phases:
        if phase.fallen:
            console.print(
                f"fallen      {phase.name}: ended by themselves, were started again: {', '.join(phase.fallen)}"
            )
        if phase.not_done:
            console.print(f"not done    {phase.name}: {phase.not_done}")
    _print_verdict(console, report)


def _print_verdict(console: Console, report: Report) -> None:
    last = report.phases[-1].proof if report.phases else Proof()
    sums = sum_up([phase.callbacks for phase in report.phases])
    console.print(
        f"callbacks   sent {sums.sent}, acknowledged {sums.acknowledged}, answered 5xx {sums.unavailable}, "
        f"refused {sums.refused}, reset {sums.reset}, silent {sums.silent}"
    )
    console.print(
        f"payments    orders {report.orders}, paid at the channels {last.paid_at_channel}, paid here {last.paid_here}, "
        f"told to the shop {last.told_to_shop}"
    )
    worst_s = max((phase.longest_without_answer_s for phase in report.phases), default=0)
    console.print(
        f"lost        {last.lost}    untold {last.untold}    doubled {last.doubled}    invented {last.invented}    "
        f"acknowledged and missing {last.acknowledged_and_missing} of {last.acknowledged}"
    )
    console.print(f"silence     the longest time without an answer was {worst_s:.1f} s")
    for breach in report.breaches:
        console.print(f"BREACH      {breach}", style="bold red")
    console.print(f"verdict     {'BROKEN' if report.breaches else 'HOLDS'}")


def sum_up(tallies: Sequence[Tally]) -> Tally:
    """All of them together."""
    together = Tally()
    for tally in tallies:
        together = together.plus(tally)
    return together


def _faults(rows: Sequence[Kind]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("fault", "survived", "healed within", ""):
        table.add_column(name, justify="left" if name in ("fault", "") else "right")
    for row in rows:
        healed = "WRONG" if row.worst_healed_s is None else f"{row.worst_healed_s:.1f} s"
        table.add_row(row.kind, f"{row.survived} of {row.of}", healed, row.note)
    return table


def _phases(phases: Sequence[Phase]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, title="")
    names = (
        "phase,load,sent,acknowledged,5xx,refused,reset,silent,no answer,drained,paid,here,told,lost,doubled,missing"
    )
    for name in (*names.split(","), "verify"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase in phases:
        tally, proof = phase.callbacks, phase.proof
        counts = (tally.sent, tally.acknowledged, tally.unavailable, tally.refused, tally.reset, tally.silent)
        money = (
            proof.paid_at_channel, proof.paid_here, proof.told_to_shop, proof.lost, proof.doubled,
            proof.acknowledged_and_missing,
        )  # fmt: skip
        table.add_row(
            phase.name, f"{phase.load_s:.0f} s", *map(str, counts), f"{phase.longest_without_answer_s:.1f} s",
            f"{phase.drained_s:.1f} s", *map(str, money), "BROKEN" if phase.breaches else f"{proof.checks} hold",
        )  # fmt: skip
    return table


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} cores of {models[0]}" if models else platform.processor()
