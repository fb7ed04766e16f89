"""Does a role do its work? Each leaves a mark that only grows; a fault is healed when the marks grow again."""

import asyncio
import contextlib
from collections.abc import Collection

from chaos.arena import Arena
from chaos.plan import CHANNELS, ROLES
from chaos.proof import PASSING
from paidup.clock import monotonic_s

WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1

MARKS = """
SELECT (SELECT count(*) FROM decisions WHERE road = 'callback') AS intake,
  (SELECT count(*) FROM channel_calls WHERE purpose = 'query') AS repair"""


async def pulse(world: Arena) -> dict[str, int]:
    """The mark of each role, and of the channels. Raises one of PASSING while the database is away."""
    async with world.db.session() as tx:
        row = await tx.fetchrow(MARKS, timeout=5)
    marks = {str(name): int(count) for name, count in dict(row or {}).items()}
    answered = world.balancer.callbacks.answered - world.balancer.callbacks.unavailable
    return marks | {"web": answered, "delivery": len(world.shop.told), CHANNELS: world.balancer.callbacks.sent}


async def beats_again(world: Arena, roles: Collection[str] = (*ROLES, CHANNELS)) -> bool:
    """Wait until each of these roles has done something from now on; False when one has not within WITHIN_S."""
    before: dict[str, int] = {}
    began = monotonic_s()
    while monotonic_s() - began < WITHIN_S:
        await world.start_fallen()
        with contextlib.suppress(*PASSING):
            now = await pulse(world)
            before = before or now
            if all(now[role] > before[role] for role in roles):
                return True
        await asyncio.sleep(_LOOK_EVERY_S)
    return False
