"""One process of the processes bench: `python -m bench.claimer DSN NOW` claims and settles until nothing is due, and
prints how much that was."""

import sys
from collections.abc import Sequence
from datetime import datetime

import uvloop

from bench.growth import ask_all
from paidup.db.transaction import Database


async def claim(dsn: str, now: datetime) -> int:
    """How many questions this process has claimed and settled."""
    db = await Database.connect(dsn, max_size=1)
    pace = await ask_all(db, now)
    await db.close()
    return pace.done


def main(arguments: Sequence[str]) -> None:
    """Begins when a line comes in, so that the time it takes to start is not measured."""
    dsn, now = arguments
    print("ready", flush=True)
    sys.stdin.readline()
    print(uvloop.run(claim(dsn, datetime.fromisoformat(now))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
