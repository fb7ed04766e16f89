"""`python -m chaos [--minutes M] [--seed N] [--json]`: break everything under load, then count the money."""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from chaos.plan import PHASES, Plan
from chaos.report import Report, print_report
from chaos.run import run
from paidup.clock import monotonic_s
from paidup.errors import PaidupError

INTERRUPTED = 130


def main() -> int:
    """Exit code 0: everything holds; 1: a breach, and the folder with the logs is kept; 130: interrupted."""
    options = _options(sys.argv[1:])
    folder = Path(tempfile.mkdtemp(prefix="paidup-chaos-"))
    folder.chmod(0o711)  # PostgreSQL's own account must be able to enter it
    plan = Plan(
        folder=folder,
        minutes=options.minutes,
        seed=options.seed,
        orders_per_s=options.orders_per_s,
        speed=options.speed,
        phases=options.phases,
    )
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # it would report what we cause
    code = 1
    try:
        report = asyncio.run(_interruptible(plan))
        code = 1 if report.breaches else 0
        _show(report, as_json=options.json)
    except* asyncio.CancelledError:
        code = INTERRUPTED
    except* PaidupError as wrong:
        _say("; ".join(str(error) for error in wrong.exceptions))
    _clean(folder, keep=options.keep or code == 1)
    return code


async def _interruptible(plan: Plan) -> Report:
    """SIGINT and SIGTERM cancel the run once; ending its processes is not interrupted by the next one."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _cancel_once, task)
    began = monotonic_s()
    return await run(plan, lambda what: _say(f"{monotonic_s() - began:6.1f} s  {what}"))


def _cancel_once(task: "asyncio.Task[Report]") -> None:
    if not task.cancelling():
        _say("told to stop; ending everything that was started …")
        task.cancel()


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print_report(report)


def _clean(folder: Path, *, keep: bool) -> None:
    if keep:
        _say(f"logs and data are in {folder}")
    else:
        shutil.rmtree(folder)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=_within(0.1, 600), default=3.0, help="under load, in all phases together (default 3)"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides who is hit when, and what befalls callbacks")
    parser.add_argument(
        "--orders-per-s", type=_within(1, 1000), default=12.0, help="how many orders are placed (default 12)"
    )
    parser.add_argument(
        "--speed", type=_within(1, 60), default=15.0, help="how much faster than yours the clocks run (15)"
    )
    parser.add_argument("--phases", type=_phases, default=PHASES, help=f"some of {','.join(PHASES)}")
    parser.add_argument("--json", action="store_true", help="the report as JSON on stdout")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    return parser.parse_args(arguments)


def _within(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= float(text) <= high:
            raise ValueError(text)
        return float(text)

    number.__name__ = f"number from {low:g} to {high:g}"  # argparse names it in its complaint
    return number


def _phases(text: str) -> tuple[str, ...]:
    named = text.split(",")
    if not set(named) <= set(PHASES):
        raise argparse.ArgumentTypeError(f"write some of {','.join(PHASES)}")
    return tuple(name for name in PHASES if name in named)


if __name__ == "__main__":
    sys.exit(main())
