"""One process of the stock bench: `python -m bench.stock_stand crowd DSN NOW N CALLERS SECONDS` measures a crowd, and
`… sale DSN NOW N BUYERS` serves so many buyers of one unit once each, and prints how many got it."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime

import msgspec
import uvloop

from bench.stock import at_the_counter, crowd
from paidup.checkout.counter import Counter
from paidup.db.transaction import Database
from paidup.orders.order import Order

AT_ONCE = 500


async def work(kind: str, dsn: str, now: datetime, stand: str, rest: Sequence[str]) -> None:
    """Begins when a line comes in, so that the time it takes to start is not measured."""
    db = await Database.connect(dsn, max_size=5)
    counter = Counter(db, lambda: now)
    buy = at_the_counter(counter, "hot", f"stand{stand}")
    print("ready", flush=True)
    sys.stdin.readline()
    if kind == "crowd":
        pace = await crowd(buy, callers=int(rest[0]), seconds=float(rest[1]))
        print(msgspec.json.encode(pace).decode(), flush=True)
    else:
        gate = asyncio.Semaphore(AT_ONCE)

        async def once(n: int) -> bool:
            async with gate:
                return isinstance(await buy(n), Order)

        print(sum(await asyncio.gather(*map(once, range(int(rest[0]))))), flush=True)
    await db.close()


def main(arguments: Sequence[str]) -> None:
    """The process."""
    kind, dsn, now, stand, *rest = arguments
    uvloop.run(work(kind, dsn, datetime.fromisoformat(now), stand, rest))


if __name__ == "__main__":
    main(sys.argv[1:])
