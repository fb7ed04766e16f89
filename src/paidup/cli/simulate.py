"""`paidup simulate`: days of trouble in a second, and the proof that everything was paid exactly once."""

import asyncio
import sys
from collections import Counter
from collections.abc import Generator, Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from paidup.cli.output import emit_json, json_option, say
from paidup.clock import monotonic_s
from paidup.money import Money, major
from paidup.simulator.bill_books import AccountSum
from paidup.simulator.campaign import Theatre, theatre
from paidup.simulator.fates import KINDS
from paidup.simulator.outcome import Outcome
from paidup.simulator.shrink import MAX_RUNS, shrink
from paidup.simulator.summary import Summary
from paidup.simulator.troupe import cores, play_all

INTERRUPTED = 130


@click.command()
@click.option("--seed", type=click.IntRange(0), help="replay this one seed")
@click.option("--seeds", type=click.IntRange(1, 1_000_000), help="how many seeds  [default: 100; with --days 1]")
@click.option("--first", default=1, show_default=True, type=click.IntRange(0), help="the first of them")
@click.option("--days", type=click.IntRange(1, 31), help="so many days of trade, each with its bills, up to a month")
@click.option("--jobs", type=click.IntRange(1, 64), help="so many processes play at once  [default: one for each core]")
@click.option("--steps", is_flag=True, help="with --seed: print every step that was taken")
@click.option("--no-shrink", is_flag=True, help="do not look for the fewest faults of a failing seed")
@json_option
def command(
    seed: int | None,
    seeds: int | None,
    first: int,
    days: int | None,
    jobs: int | None,
    steps: bool,
    no_shrink: bool,
    as_json: bool,
) -> None:
    """Run the whole engine on a manual clock against PostgreSQL and the sandbox's channels, with everything that can go
    wrong; then compare the channel's ledger and its bills with our books. Exits with 1 when a seed fails.

    \b
    paidup simulate --seeds 300 --jobs 4
    paidup simulate --first 100000          sales of a hot item
    paidup simulate --first 200000          and people who do by hand what takes two of them
    paidup simulate --first 300000          and transactions across services
    paidup simulate --first 400000          and payments on pages
    paidup simulate --seed 42               the same run again, and what it needs to fail
    paidup simulate --seed 42 --steps
    paidup simulate --days 30               a month, and what each account's bills and books add up to
    """
    many = seeds or (1 if days else 100)
    wanted = range(seed, seed + 1) if seed is not None else range(first, first + many)
    summary, failed = _count(_outcomes(wanted, days=days, jobs=jobs or cores(), steps=steps), len(wanted))
    interrupted = summary.seeds < len(wanted)
    if failed and not interrupted:
        asyncio.run(_tell_failures(failed, days=days, shrinks=not no_shrink))
    if as_json:
        emit_json(summary)
    else:
        _print(summary)
    if summary.failed or interrupted:
        sys.exit(INTERRUPTED if interrupted else 1)


def _outcomes(wanted: range, *, days: int | None, jobs: int, steps: bool) -> Generator[Outcome]:
    """One seed is played here, with all its steps when they are wanted; many by processes of their own."""
    if len(wanted) > 1:
        yield from play_all(wanted, jobs=jobs, days=days)
    else:
        yield asyncio.run(_play(wanted[0], days=days, steps=steps))


async def _play(seed: int, *, days: int | None, steps: bool) -> Outcome:
    async with theatre() as stage:
        outcome = await stage.play(seed, tell=steps, days=days)
    for line in outcome.told:
        click.echo(line)
    return outcome


def _count(outcomes: Generator[Outcome], many: int) -> tuple[Summary, list[Outcome]]:
    """The sums, and the seeds that failed, while a bar shows how far it is. Interrupted: of those that were played."""
    summary, began_s, failed = Summary(), monotonic_s(), []
    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=many)
        try:
            for outcome in outcomes:
                summary = summary.plus(outcome, monotonic_s() - began_s)
                bar.update(task, advance=1, description=f"{summary.simulated_days:.0f} days")
                if not outcome.holds:
                    say(f"seed {outcome.seed} FAILED after {outcome.simulated_s:.0f} simulated seconds")
                    failed.append(outcome)
        except KeyboardInterrupt:
            outcomes.close()
            say(f"interrupted: {summary.seeds} of {many} seeds were played")
    return summary, failed


async def _tell_failures(failed: Sequence[Outcome], *, days: int | None, shrinks: bool) -> None:
    async with theatre() as stage:
        for outcome in failed:
            await _tell_failure(stage, outcome, days=days, shrinks=shrinks)


async def _tell_failure(stage: Theatre, outcome: Outcome, *, days: int | None, shrinks: bool) -> None:
    """What was broken, how to replay it, and which faults it needs."""
    say(f"seed {outcome.seed} broke:")
    for breach in outcome.breaches[:5]:
        say(f"  {breach.invariant}: {breach.what}")
    say(f"  replay: paidup simulate --seed {outcome.seed}{f' --days {days}' if days else ''}")
    if not shrinks:
        return
    least = await _least(stage, outcome, days)
    say(f"  it needs {len(least.hits)} of {len(outcome.hits)} faults:")
    for hit in least.hits[:40]:
        say(f"    {hit.at:%d %H:%M:%S}  {hit.key}  ({KINDS[hit.kind][1]})")


async def _least(stage: Theatre, failed: Outcome, days: int | None) -> Outcome:
    """The fewest faults, while a bar shows how often the seed was played again."""
    columns = (TextColumn("  fewest faults"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(f"{len(failed.hits)} left", total=MAX_RUNS)
        return await shrink(
            failed,
            lambda keys: stage.play(failed.seed, only=keys, days=days),
            lambda runs, left: bar.update(task, completed=runs, description=f"{left} left"),
        )


def _print(summary: Summary) -> None:
    """For people, on stdout."""
    click.echo(
        f"seeds {summary.seeds}, failed {len(summary.failed)}; {summary.simulated_days:.1f} simulated days in "
        f"{summary.real_s:.0f} s ({summary.simulated_days / max(summary.real_s, 0.001):.2f} days a second); "
        f"{summary.steps} steps"
    )
    click.echo(
        f"callbacks {summary.callbacks}, payments {summary.payments}, lost {summary.lost}, doubled {summary.doubled}"
    )
    for one in summary.accounts:
        click.echo(_account(one))
    click.echo(f"faults {sum(summary.faults.values())}:")
    for kind, count in Counter(summary.faults).most_common():
        click.echo(f"  {count:>8}  {kind:<20} {KINDS[kind][1]}")
    for seed in summary.failed:
        click.echo(f"FAILED: paidup simulate --seed {seed}")


def _account(one: AccountSum) -> str:
    """``wechat/main: bills 12.00 = books 10.00 + open breaks 2.00 CNY``"""
    bill, ours, listed = (_signed(it, one.currency) for it in (one.bill_minor, one.ours_minor, one.listed_minor))
    says = "=" if one.adds_up else "IS NOT"
    return (
        f"{one.account}: bills {bill} {says} books {ours} + open breaks {listed} {one.currency} ({one.lines} lines; "
        f"{one.unsettled} open, {one.healed} healed)"
    )


def _signed(minor: int, currency: str) -> str:
    return f"{'-' if minor < 0 else ''}{major(Money(abs(minor), currency))}"
