"""`python -m bench [--quick] [--json FILE]`: run all benches and print medians and ratios."""

import argparse
import json
import platform
from pathlib import Path

import uvloop

from bench import ack, door
from bench.world import world


async def run(*, quick: bool) -> dict[str, object]:
    """All benches in one run on one database."""
    async with world() as place:
        return {
            "machine": f"{platform.machine()}, {_cpu()}, Python {platform.python_version()}",
            "date": f"{place.now:%Y-%m-%d}",
            "acknowledge": await ack.run(
                place, rounds=2 if quick else 5, seconds=2 if quick else 5, connections=(64, 256)
            ),
            "apply": await door.run(
                place, rounds=2 if quick else 5, batched=2000 if quick else 5000, single=150 if quick else 400
            ),
        }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} cores of {models[0]}" if models else platform.processor()


def main() -> None:
    """Print the figures; write them to a file when asked."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds, noisier figures")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    text = json.dumps(uvloop.run(run(quick=options.quick)), indent=2, ensure_ascii=False)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
