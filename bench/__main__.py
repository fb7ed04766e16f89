"""`python -m bench [NAME …] [--quick] [--flush-ms N] [--json FILE] [--html FILE] [--against OLD] …`

Runs the named benches (all, if none is named), prints figures and bars, and writes them where it is told to.
"""

import argparse
import asyncio
import importlib
import os
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from bench import cpu, report
from bench.result import Asked, Result, Run
from paidup.clock import SystemClock

BENCHES = {
    "ack": "how many callbacks a second are acknowledged durably, and what it costs",
    "door": "how many callbacks a second become paid orders",
    "relay": "how many events a second reach the shop",
    "end_to_end": "how long from a callback to the shop, at a fixed rate",
    "idle": "what does it cost to have nothing to do, how soon does it wake, and does it grow",
    "growth": "does work become dearer when the tables grow",
    "processes": "what do more processes on one PostgreSQL bring, and is anything done twice",
    "footprint": "how much disk and how much WAL does a paid order take",
    "proof": "what do seals and chains cost the door, and how fast is verify",
    "reconcile": "how long does a day's bill take, and how much memory",
    "transactions": "what does it cost that two services agree, and what does two-phase commit",
    "console": "how long does whoever has a customer on the phone wait, over full tables",
    "stock": "how many buyers a second get one hot article, and does a sale with crashes add up",
    "cells": "can a second cell with its own PostgreSQL take half of the payments",
}
"""name of the module below bench/, and the question it answers; its `run(Asked)` gives a Result."""

FLUSHING = {"ack", "door", "stock"}
"""Those that can be asked how they would do on a disk with slower flushes."""


def bench(name: str) -> Callable[[Asked], Awaitable[Result]]:
    """The function that runs one of BENCHES."""
    run: Callable[[Asked], Awaitable[Result]] = importlib.import_module(f"bench.{name}").run
    return run


async def run_all(names: Sequence[str], asked: Asked) -> Run:
    """One after the other, each on a database of its own."""
    load = f"{os.getloadavg()[0]:.1f} processes wanted a core before it began"
    results: dict[str, Result] = {}
    for name in names:
        print(f"\n{name}: {BENCHES[name]}?", flush=True)
        results[name] = await _alone(name, asked)
        print(report.as_text(results[name]), flush=True)
        await asyncio.sleep(1)  # so that what one bench leaves to the disk is not paid by the next one
    return Run(
        machine=f"{platform.machine()}, {_cpu()}, Python {platform.python_version()}",
        date=f"{SystemClock().now():%Y-%m-%d}",
        load_before=load,
        quick=asked.quick,
        results=results,
    )


async def _alone(name: str, asked: Asked) -> Result:
    """Run it, and say how much of the machine others took meanwhile."""
    began, (machine, ours) = time.monotonic(), cpu.busy_s()
    result = await bench(name)(asked)
    elapsed, (machine_after, ours_after) = time.monotonic() - began, cpu.busy_s()
    others = max(0.0, machine_after - machine - (ours_after - ours)) / elapsed
    notes = [f"Took {elapsed:.0f} s. Others used {others:.2f} of {os.cpu_count()} cores meanwhile."]
    if asked.flush_ms:
        notes.append(f"Each flush of the WAL took {asked.flush_ms:g} ms longer than this disk needs (commit_delay).")
    return msgspec.structs.replace(result, notes=[*result.notes, *notes])


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} cores of {models[0]}" if models else platform.processor()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="shorter rounds, noisier figures")
    parser.add_argument("--minutes", type=float, help="how long memory is watched under load (2)")
    parser.add_argument("--rate", type=int, help="the only rate that end_to_end tries, callbacks a second")
    parser.add_argument("--rows", type=int, help="rows of history below the console's pages (1000000)")
    parser.add_argument(
        "--flush-ms", type=float, default=0, help=f"as on a slower disk, for {', '.join(sorted(FLUSHING))}"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--html", type=Path, help="also write a page with charts to this file")
    parser.add_argument("--against", type=Path, help="the JSON of an earlier run: say what changed beyond the noise")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHES:
            parser.error(f"there is no bench {name!r}; there are {', '.join(BENCHES)}")
    if options.flush_ms and not set(options.names or BENCHES) <= FLUSHING:
        parser.error(f"--flush-ms is for {', '.join(sorted(FLUSHING))}: name one of them")
    if not 0 <= options.flush_ms <= 100:
        parser.error("--flush-ms takes 0 to 100 milliseconds")
    return options


def main() -> None:
    """Print the figures; write them to files when asked."""
    options = _options()
    before = msgspec.json.decode(options.against.read_bytes(), type=Run) if options.against else None
    asked = Asked(
        quick=options.quick, minutes=options.minutes, rate=options.rate, rows=options.rows, flush_ms=options.flush_ms
    )
    run = uvloop.run(run_all(options.names or list(BENCHES), asked))
    print(report.bars(run))
    if before:
        print(report.changes(before, run))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if options.html:
        options.html.parent.mkdir(parents=True, exist_ok=True)
        options.html.write_text(report.page(run))


if __name__ == "__main__":
    main()
